#include "api/writes.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "api/answers.h"
#include "api/json/status.h"
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

WriteDecision refuse_unknown(const std::string& name) {
  return refuse(404, fmt::format("unit {} does not exist", name));
}

WriteDecision refuse_unreadable(const Unit& unit) {
  return refuse(500, fmt::format("{}; destroy the unit or send it again with its options",
                                 unit.unreadable()));
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

Operation requirements_changed(const Keys& keys) {
  return Put{.key = keys.requirements(), .value = R"({"v":1})"};
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
  // Others may be about to be placed beside what it was: see Registry::requirements_changed.
  const bool may_be_placed = seen.unit.exists() || seen.target.exists() || !seen.schedule.empty();
  const bool same = seen.unit.value && seen.unit->requirements == record->requirements;
  if (may_be_placed && !same) {
    transaction.operations.push_back(requirements_changed(keys));
  }
  return {empty_answer(201), std::move(transaction)};
}

// Sets the desired state and leaves the unit as it is.
WriteDecision update(const Registry& registry, const std::string& name, UnitState state,
                     const Unit& seen) {
  if (state != UnitState::inactive && split_unit_name(name).is_template()) {
    return refuse(400, fmt::format("unit {} is a template, which can only be inactive: {} an "
                                   "instance of it",
                                   name, state == UnitState::loaded ? "load" : "launch"));
  }
  // Written also where the mirror shows that state already: the mirror may lag behind what another
  // user has changed since, and an answer from it would acknowledge what is not so.
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

ApiResponse wrong_media_type() {
  return error_answer(415, "a PUT needs one Content-Type header: application/json");
}

std::optional<ApiResponse> check_name_and_state(const std::string& name, const UnitEntity& wanted) {
  if (const Status status = check_unit_name(name); !status) {
    return error_answer(400, status.error().message);
  }
  if (wanted.desired_state.empty()) return std::nullopt;
  if (const Result<UnitState> state = parse_unit_state(wanted.desired_state); !state) {
    return error_answer(400, fmt::format("desiredState: {}", state.error().message));
  }
  return std::nullopt;
}

std::size_t bytes_of(const Transaction& transaction) {
  std::size_t bytes = 0;
  for (const Operation& operation : transaction.operations) {
    if (const auto* put = std::get_if<Put>(&operation))
      bytes += put->key.size() + put->value.size();
  }
  return bytes;
}

}  // namespace

std::optional<ApiResponse> check_put(const ApiRequest& request, const std::string& name,
                                     UnitEntity& wanted) {
  if (!is_json_media_type(request.content_types)) return wrong_media_type();
  Result<UnitEntity> body = unit_from_json(request.body);
  if (!body) return error_answer(400, fmt::format("the body: {}", body.error().message));
  if (!body->name.empty() && body->name != name) {
    return error_answer(400, "the name in the body is not the one in the path");
  }
  if (auto refusal = check_name_and_state(name, *body)) return refusal;
  wanted = std::move(*body);
  return std::nullopt;
}

std::optional<ApiResponse> check_put_all(const ApiRequest& request,
                                         std::vector<UnitEntity>& wanted) {
  if (!is_json_media_type(request.content_types)) return wrong_media_type();
  Result<UnitPage> body = unit_page_from_json(request.body);
  if (!body) return error_answer(400, fmt::format("the body: {}", body.error().message));
  if (body->units.empty() || body->units.size() > limits::kPutUnits) {
    return error_answer(400, fmt::format("the body has {} units, and must have 1 to {}: "
                                         "{{\"units\":[{{\"name\":...}}]}}",
                                         body->units.size(), limits::kPutUnits));
  }
  std::set<std::string_view> names;
  for (const UnitEntity& unit : body->units) {
    if (auto refusal = check_name_and_state(unit.name, unit)) return refusal;
    if (!names.insert(unit.name).second) {
      return error_answer(400, fmt::format("unit {} is in the request twice", unit.name));
    }
  }
  wanted = std::move(body->units);
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
    if (!seen.unit.value) return refuse_unreadable(seen);
  } else {
    const Result<UnitRecord> record = record_of(name, wanted);
    if (!record) return refuse(400, record.error().message);
    const bool same = seen.unit.value && seen.unit->hash == record->hash;
    // A record that cannot be read is replaced, which mends it.
    if (!same || !seen.target.error.empty()) return create(registry, name, wanted, seen);
  }
  if (wanted.desired_state.empty()) {
    return refuse(409, fmt::format("unit {} exists, and the request changes nothing about it: give "
                                   "a desiredState or other options",
                                   name));
  }
  return update(registry, name, state_of(wanted), seen);
}

WriteDecision decide_put_all(const Registry& registry, const std::vector<UnitEntity>& wanted) {
  std::vector<UnitResultEntity> results;
  Transaction all;
  for (const UnitEntity& unit : wanted) {
    WriteDecision one = decide_put(registry, unit.name, unit);
    if (one.answer.status == 409 && !unit.options.empty()) {
      // This can only say that the unit has them already; it is to be so when it is answered, too.
      const Unit& held = *registry.unit(unit.name);
      one = update(registry, unit.name, held.desired(), held);
    }
    const int code = one.answer.status;
    if (code >= 400) {
      const Result<ErrorEntity> error = error_from_json(one.answer.body);
      return refuse(code, fmt::format("unit {}: {} (nothing was changed, the other units of the "
                                      "request neither)",
                                      unit.name, error ? error->message : std::string()));
    }
    results.push_back({unit.name, code});
    std::ranges::move(one.transaction->compares, std::back_inserter(all.compares));
    for (Operation& operation : one.transaction->operations) {
      // Several units may each change what is asked for; a transaction writes a key once.
      if (operation == requirements_changed(registry.keys()) &&
          std::ranges::find(all.operations, operation) != all.operations.end()) {
        continue;
      }
      all.operations.push_back(std::move(operation));
    }
  }
  if (const std::size_t bytes = bytes_of(all); bytes > limits::kTransactionBytes) {
    return refuse(413, fmt::format("the units of the request are too large together: they take {} "
                                   "bytes in the registry, and the limit is {}; send fewer at once",
                                   bytes, limits::kTransactionBytes));
  }
  return {json_answer(to_json(results)), std::move(all)};
}

WriteDecision decide_restart(const Registry& registry, const std::string& name) {
  const Unit* seen = registry.unit(name);
  if (seen == nullptr || !has_unit(*seen)) return refuse_unknown(name);
  if (!seen->unit.value || !seen->target.error.empty()) return refuse_unreadable(*seen);
  if (seen->desired() != UnitState::launched) {
    return refuse(409, fmt::format("unit {} is not to be running (its desired state is {}), so "
                                   "there is nothing to restart: start it instead",
                                   name, to_string(seen->desired())));
  }
  TargetRecord target = *seen->target.value;
  ++target.restarts;
  const Keys& keys = registry.keys();
  Transaction transaction = unchanged_since(keys, name, *seen);
  transaction.operations = {Put{.key = keys.target(name), .value = encode(target)}};
  return {json_answer(restarts_to_json(static_cast<std::int64_t>(target.restarts))),
          std::move(transaction)};
}

WriteDecision decide_delete(const Registry& registry, const std::string& name) {
  const Unit* seen = registry.unit(name);
  if (seen == nullptr || !has_unit(*seen)) return refuse_unknown(name);
  const TargetRecord tombstone{
      .state = UnitState::inactive, .destroyed = true, .restarts = restarts_of(*seen)};
  const Keys& keys = registry.keys();
  Transaction transaction = unchanged_since(keys, name, *seen);
  transaction.operations = {Delete{.range = {keys.unit(name), false}},
                            Put{.key = keys.target(name), .value = encode(tombstone)}};
  return {empty_answer(204), std::move(transaction)};
}

WriteDecision decide_patch(const Registry& registry, const std::vector<MetadataChange>& changes) {
  if (changes.size() > limits::kPatchOperations) {
    return refuse(400, fmt::format("there are {} changes, and the limit is {}", changes.size(),
                                   limits::kPatchOperations));
  }
  // Of several changes of one key the last one counts, as if they were made in order.
  std::map<std::string, std::string> values;
  std::map<std::string, std::set<std::string>> new_keys;  // by machine
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const Result<MetadataKey> key = check_change(changes[i]);
    if (!key) return refuse(400, fmt::format("change {}: {}", i + 1, key.error().message));
    // An empty value hides what the machine is configured with.
    values[registry.keys().metadata(key->machine, key->key)] =
        changes[i].op == "remove" ? std::string() : changes[i].value;
    const Machine* machine = registry.machine(key->machine);
    if (machine == nullptr || !machine->dynamic_metadata.contains(key->key)) {
      new_keys[key->machine].insert(key->key);
    }
  }
  for (const auto& [id, keys] : new_keys) {
    const Machine* machine = registry.machine(id);
    const std::size_t held = machine == nullptr ? 0 : machine->dynamic_metadata.size();
    if (held + keys.size() <= limits::kMetadataKeys) continue;
    return refuse(400,
                  fmt::format("machine {} would have {} metadata keys set through the API, and "
                              "the limit is {} (a removed key counts, because it hides what "
                              "the machine is configured with)",
                              id, held + keys.size(), limits::kMetadataKeys));
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
