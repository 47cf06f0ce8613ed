#include "api/writes.h"

#include <map>
#include <utility>

#include <fmt/format.h>

#include "api/answers.h"
#include "api/views.h"
#include "base/limits.h"

namespace fleet {
namespace {

// A decision of the engine holds the unit's text too, and with it a reason and the like.
constexpr std::size_t kUnitRecordBytes = limits::kRegistryValueBytes - 16UL * 1024;

WriteDecision answer(ApiResponse response) {
  return {std::move(response), std::nullopt};
}

WriteDecision refuse(int status, std::string_view message) {
  return answer(error_answer(status, message));
}

// The transaction that holds only if the unit is still as it was seen.
Transaction unchanged_since(const Keys& keys, const std::string& name, const Unit& seen) {
  const auto same = [](std::string key, Revision revision) {
    return Compare{.range = {std::move(key), false},
                   .field = Compare::Field::mod_revision,
                   .relation = Compare::Relation::equal,
                   .operand = revision};
  };
  return {{same(keys.unit(name), seen.unit.mod_revision),
           same(keys.target(name), seen.target.mod_revision)},
          {}};
}

std::uint64_t restarts_of(const Unit& unit) {
  return unit.target.value ? unit.target->restarts : 0;
}

UnitState state_of(const UnitEntity& wanted) {
  return wanted.desired_state.empty()
             ? UnitState::inactive
             : parse_unit_state(wanted.desired_state).value_or(UnitState::inactive);
}

// The unit as it reads back once it has been stored; that is what `same` means (1.3).
Result<UnitRecord> record_of(const std::string& name, const UnitEntity& wanted) {
  Result<UnitFile> file = parse_unit_file(serialize({wanted.options}));
  if (!file) return std::unexpected(file.error());
  return make_unit_record(name, *file);
}

// Puts the unit as it is wanted, whatever there is.
WriteDecision create(const Registry& registry, const std::string& name, const UnitEntity& wanted,
                     const Unit& seen) {
  if (const Status status = check_unit_file({wanted.options}); !status) {
    return refuse(400, status.error().message);
  }
  const Result<UnitRecord> record = record_of(name, wanted);
  if (!record) return refuse(400, record.error().message);
  std::string value = encode(*record);
  if (value.size() > kUnitRecordBytes) {
    return refuse(400, fmt::format("the unit file is too large: it takes {} bytes in the registry, "
                                   "and the limit is {}",
                                   value.size(), kUnitRecordBytes));
  }
  // The number of restarts goes on where it was, so that no machine takes an old number for its
  // own.
  const TargetRecord target{.state = state_of(wanted), .restarts = restarts_of(seen)};
  const Keys& keys = registry.keys();
  Transaction transaction = unchanged_since(keys, name, seen);
  transaction.operations = {Put{.key = keys.unit(name), .value = std::move(value)},
                            Put{.key = keys.target(name), .value = encode(target)}};
  return {empty_answer(201), std::move(transaction)};
}

// Sets the desired state and leaves the unit as it is.
WriteDecision update(const Registry& registry, const std::string& name, const UnitEntity& wanted,
                     const Unit& seen) {
  if (wanted.desired_state.empty()) {
    return refuse(409, fmt::format("unit {} exists, and the request changes nothing about it: give "
                                   "a desiredState or other options",
                                   name));
  }
  const UnitState state = state_of(wanted);
  if (state != UnitState::inactive && split_unit_name(name).is_template()) {
    return refuse(400, fmt::format("unit {} is a template, which can only be inactive: {} an "
                                   "instance of it",
                                   name, state == UnitState::loaded ? "load" : "launch"));
  }
  if (seen.target.value && seen.target->state == state) return answer(empty_answer(204));

  const TargetRecord target{.state = state, .restarts = restarts_of(seen)};
  const Keys& keys = registry.keys();
  Transaction transaction = unchanged_since(keys, name, seen);
  transaction.operations = {Put{.key = keys.target(name), .value = encode(target)}};
  return {empty_answer(204), std::move(transaction)};
}

bool is_json_media_type(const std::vector<std::string>& content_types) {
  if (content_types.size() != 1) return false;
  std::string_view type = content_types.front();
  type = type.substr(0, type.find(';'));
  const std::size_t begin = type.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return false;
  type = type.substr(begin, type.find_last_not_of(" \t") - begin + 1);
  return type == "application/json";
}

struct MetadataKey {
  std::string machine;
  std::string key;
};

// Takes /<machine ID>/metadata/<key> apart.
Result<MetadataKey> parse_metadata_path(std::string_view path) {
  constexpr std::string_view kMiddle = "/metadata/";
  const std::size_t middle = path.starts_with('/') ? path.find('/', 1) : std::string_view::npos;
  if (middle == std::string_view::npos || middle == 1 ||
      !path.substr(middle).starts_with(kMiddle)) {
    return fail(ErrorCode::invalid, "path must be /<machine ID>/metadata/<key>");
  }
  const std::string_view machine = path.substr(1, middle - 1);
  const std::string_view key = path.substr(middle + kMiddle.size());
  const bool good_key = !key.empty() && key.find_first_not_of(
                                            "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                            "abcdefghijklmnopqrstuvwxyz"
                                            "0123456789_.-") == std::string_view::npos;
  if (!good_key) {
    return fail(ErrorCode::invalid, "a metadata key is made of letters, digits, '_', '.' and '-'");
  }
  if (machine.size() > limits::kMachineIdBytes || key.size() > limits::kMetadataKeyBytes) {
    return fail(ErrorCode::invalid,
                fmt::format("path is too long: at most {} bytes for the machine ID and {} for the "
                            "metadata key",
                            limits::kMachineIdBytes, limits::kMetadataKeyBytes));
  }
  return MetadataKey{std::string(machine), std::string(key)};
}

Result<MetadataKey> check_change(const MetadataChange& change) {
  const bool removes = change.op == "remove";
  if (!removes && change.op != "add" && change.op != "replace") {
    return fail(ErrorCode::invalid, "op must be add, replace or remove");
  }
  Result<MetadataKey> key = parse_metadata_path(change.path);
  if (!key) return key;
  if (!removes && change.value.empty()) {
    return fail(ErrorCode::invalid, "value must be {\"value\":\"<text>\"} with a text in it");
  }
  if (change.value.size() > limits::kMetadataValueBytes) {
    return fail(ErrorCode::invalid,
                fmt::format("value is too long: at most {} bytes", limits::kMetadataValueBytes));
  }
  return key;
}

}  // namespace

std::optional<ApiResponse> check_put(const ApiRequest& request, const std::string& name,
                                     UnitEntity& wanted) {
  if (!is_json_media_type(request.content_types)) {
    return error_answer(415, "a PUT needs one Content-Type header: application/json");
  }
  Result<UnitEntity> body = unit_from_json(request.body);
  if (!body) return error_answer(400, fmt::format("the body: {}", body.error().message));
  if (!body->name.empty() && body->name != name) {
    return error_answer(400, "the name in the body is not the one in the path");
  }
  if (const Status status = check_unit_name(name); !status) {
    return error_answer(400, status.error().message);
  }
  if (!body->desired_state.empty()) {
    if (const Result<UnitState> state = parse_unit_state(body->desired_state); !state) {
      return error_answer(400, fmt::format("desiredState: {}", state.error().message));
    }
  }
  wanted = std::move(*body);
  return std::nullopt;
}

WriteDecision decide_put(const Registry& registry, const std::string& name,
                         const UnitEntity& wanted) {
  static const Unit kNothing;
  const Unit* held = registry.unit(name);
  const Unit& seen = held == nullptr ? kNothing : *held;

  if (!has_unit(seen)) {
    if (wanted.options.empty()) {
      return refuse(409, fmt::format("unit {} does not exist, and the request has no options to "
                                     "create it from",
                                     name));
    }
    return create(registry, name, wanted, seen);
  }
  if (wanted.options.empty()) {
    if (!seen.unit.value) {
      return refuse(500, fmt::format("{}; destroy the unit or send it again with its options",
                                     seen.unit.error));
    }
    return update(registry, name, wanted, seen);
  }
  const Result<UnitRecord> record = record_of(name, wanted);
  if (!record) return refuse(400, record.error().message);
  const bool same = seen.unit.value && seen.unit->hash == record->hash;
  // A record that cannot be read is replaced, which mends it.
  if (!same || !seen.target.error.empty()) return create(registry, name, wanted, seen);
  return update(registry, name, wanted, seen);
}

WriteDecision decide_delete(const Registry& registry, const std::string& name) {
  const Unit* seen = registry.unit(name);
  if (seen == nullptr || !has_unit(*seen)) {
    return refuse(404, fmt::format("unit {} does not exist", name));
  }
  const TargetRecord tombstone{
      .state = UnitState::inactive, .destroyed = true, .restarts = restarts_of(*seen)};
  const Keys& keys = registry.keys();
  Transaction transaction = unchanged_since(keys, name, *seen);
  transaction.operations = {Delete{.range = {keys.unit(name), false}},
                            Put{.key = keys.target(name), .value = encode(tombstone)}};
  return {empty_answer(204), std::move(transaction)};
}

WriteDecision decide_patch(const Keys& keys, const std::vector<MetadataChange>& changes) {
  if (changes.size() > limits::kPatchOperations) {
    return refuse(400, fmt::format("there are {} changes, and the limit is {}", changes.size(),
                                   limits::kPatchOperations));
  }
  // Of several changes of one key the last one counts, as if they were made in order.
  std::map<std::string, std::string> values;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const Result<MetadataKey> key = check_change(changes[i]);
    if (!key) return refuse(400, fmt::format("change {}: {}", i + 1, key.error().message));
    // An empty value hides what the machine is configured with.
    values[keys.metadata(key->machine, key->key)] =
        changes[i].op == "remove" ? std::string() : changes[i].value;
  }
  // 1.0 gives this one empty answer a media type.
  ApiResponse done = json_answer({});
  done.status = 204;
  if (values.empty()) return answer(std::move(done));
  Transaction transaction;
  for (auto& [key, value] : values) {
    transaction.operations.push_back(Put{.key = key, .value = std::move(value)});
  }
  return {std::move(done), std::move(transaction)};
}

}  // namespace fleet
