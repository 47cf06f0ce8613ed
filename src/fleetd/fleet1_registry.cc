#include "fleetd/fleet1_registry.h"

#include <optional>
#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/limits.h"
#include "base/sha1.h"
#include "cluster/values.h"
#include "unit/unit_name.h"

namespace fleet {
namespace {

namespace json = boost::json;

constexpr const char* kReason = "it was there under fleet 1.0";
constexpr std::size_t kSha1Bytes = 20;

Result<json::value> parse(std::string_view text) {
  json::parse_options options;
  options.max_depth = limits::kJsonDepth;
  options.allow_invalid_utf8 = true;
  boost::system::error_code error;
  json::value value = json::parse({text.data(), text.size()}, error, {}, options);
  if (error) return fail(ErrorCode::invalid, fmt::format("not JSON: {}", error.message()));
  return value;
}

const json::value* member(const json::value& value, const char* name) {
  return value.is_object() ? value.get_object().if_contains(name) : nullptr;
}

std::optional<std::string> text_of(const json::value* value) {
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string(value->get_string());
}

Status add_node(const json::value& node, std::string_view prefix, Fleet1Keys& keys) {
  const auto key = text_of(member(node, "key"));
  // The root has none.
  if (!key && member(node, "nodes") == nullptr) {
    return fail(ErrorCode::invalid, "a node of etcd's answer has no key");
  }
  if (const auto value = text_of(member(node, "value")); value && key) {
    if (key->starts_with(prefix)) keys[key->substr(prefix.size())] = *value;
    return {};
  }
  const json::value* nodes = member(node, "nodes");
  if (nodes == nullptr) return {};  // an empty directory
  if (!nodes->is_array()) return fail(ErrorCode::invalid, "\"nodes\" is not an array");
  for (const json::value& each : nodes->get_array()) {
    if (Status done = add_node(each, prefix, keys); !done) return done;
  }
  return {};
}

// The array of 20 numbers as which 1.0 writes a hash, in hexadecimal.
std::optional<std::string> hash_of_object(const json::value& object) {
  const json::value* hash = member(object, "UnitHash");
  if (hash == nullptr || !hash->is_array()) return std::nullopt;
  if (hash->get_array().size() != kSha1Bytes) return std::nullopt;
  std::string digits;
  for (const json::value& byte : hash->get_array()) {
    if (!byte.is_int64() || byte.get_int64() < 0 || byte.get_int64() > 255) return std::nullopt;
    digits += fmt::format("{:02x}", byte.get_int64());
  }
  return digits;
}

const std::string* find(const Fleet1Keys& keys, const std::string& key) {
  const auto found = keys.find(key);
  return found == keys.end() ? nullptr : &found->second;
}

struct Fleet1Unit {
  UnitRecord unit;
  UnitState desired = UnitState::inactive;
  std::string machine;  // empty: none
};

Result<UnitRecord> read_unit(const Fleet1Keys& keys, const std::string& name) {
  const auto object = parse(keys.at("job/" + name + "/object"));
  if (!object) return std::unexpected(with_context(object.error(), "its object"));
  const auto hash = hash_of_object(*object);
  if (!hash) return fail(ErrorCode::invalid, "its object has no UnitHash of 20 bytes");
  const std::string* stored = find(keys, "unit/" + *hash);
  if (stored == nullptr) {
    return fail(ErrorCode::not_found, fmt::format("its content, unit/{}, is not there", *hash));
  }
  const auto content = parse(*stored);
  if (!content) return std::unexpected(with_context(content.error(), "unit/" + *hash));
  const auto raw = text_of(member(*content, "Raw"));
  if (!raw) return fail(ErrorCode::invalid, fmt::format("unit/{} has no text Raw", *hash));
  if (const std::string found = sha1_hex(*raw); found != *hash) {
    return fail(ErrorCode::invalid,
                fmt::format("unit/{} holds a text with the hash {}", *hash, found));
  }
  const auto file = parse_unit_file(*raw);
  if (!file) return std::unexpected(with_context(file.error(), "its unit file"));
  return make_unit_record(name, *file);
}

Result<Fleet1Unit> read_job(const Fleet1Keys& keys, const std::string& name) {
  Fleet1Unit read;
  if (Status valid = check_unit_name(name); !valid) return std::unexpected(valid.error());
  auto unit = read_unit(keys, name);
  if (!unit) return std::unexpected(unit.error());
  read.unit = std::move(*unit);
  const std::string* wanted = find(keys, "job/" + name + "/target-state");
  // Taking it for inactive would stop it.
  if (wanted == nullptr) return fail(ErrorCode::not_found, "its target-state is not there");
  const auto state = parse_unit_state(*wanted);
  if (!state) return std::unexpected(with_context(state.error(), "its target-state"));
  read.desired = *state;
  const std::string* target = find(keys, "job/" + name + "/target");
  if (target != nullptr) read.machine = *target;
  if (read.machine.size() > limits::kMachineIdBytes || read.machine.contains('/')) {
    return fail(ErrorCode::invalid, "its target is no machine ID");
  }
  return read;
}

void take(const std::string& name, Fleet1Unit&& read, const Keys& keys, Fleet1Import& import) {
  ++import.units;
  import.contents[keys.unit(name)] = encode(read.unit);
  import.contents[keys.target(name)] = encode(TargetRecord{read.desired, false, 0});
  // systemd runs no template, wherever 1.0 had put it.
  if (read.machine.empty() || read.unit.requirements.global ||
      split_unit_name(name).is_template()) {
    return;
  }
  ScheduleRecord record;
  record.state = read.desired;
  record.reason = kReason;
  if (read.desired == UnitState::inactive) {
    record.reason = "its desired state is inactive";
  } else {
    ++import.placed;
    record.text = std::move(read.unit.text);
    record.hash = std::move(read.unit.hash);
  }
  import.contents[keys.schedule(read.machine, name)] = encode(record);
}

// "a" and "b/c" of "a/b/c".
std::pair<std::string, std::string> split(const std::string& path) {
  const std::size_t slash = path.find('/');
  if (slash == std::string::npos) return {path, {}};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

void take_machine_key(const std::string& id, const std::string& rest, const std::string& value,
                      const Keys& keys, Fleet1Import& import) {
  if (rest == "object") import.machines.push_back(id);
  const auto [folder, key] = split(rest);
  if (folder != "metadata") return;
  if (id.empty() || key.empty() || key.contains('/') || key.size() > limits::kMetadataKeyBytes ||
      value.size() > limits::kMetadataValueBytes || id.size() > limits::kMachineIdBytes) {
    import.unreadable.push_back(
        fmt::format("machines/{}/{}: not metadata that fleet could keep", id, rest));
    return;
  }
  import.contents[keys.metadata(id, key)] = value;
}

}  // namespace

Status add_v2_answer(std::string_view json, std::string_view prefix, Fleet1Keys& keys) {
  const auto answer = parse(json);
  if (!answer) return std::unexpected(with_context(answer.error(), "etcd's answer"));
  const json::value* node = member(*answer, "node");
  if (node == nullptr) return fail(ErrorCode::invalid, "etcd's answer has no node");
  return add_node(*node, prefix, keys);
}

Fleet1Import import_fleet1(const Fleet1Keys& fleet1, const Keys& keys) {
  Fleet1Import import;
  for (const auto& [key, value] : fleet1) {
    const auto [folder, path] = split(key);
    const auto [name, rest] = split(path);
    if (folder == "machines") take_machine_key(name, rest, value, keys, import);
    // A directory without an object is what a destroy can leave.
    if (folder != "job" || rest != "object") continue;
    auto read = read_job(fleet1, name);
    if (read) {
      take(name, std::move(*read), keys, import);
    } else {
      import.unreadable.push_back(fmt::format("job/{}: {}", name, read.error().message));
    }
  }
  return import;
}

}  // namespace fleet
