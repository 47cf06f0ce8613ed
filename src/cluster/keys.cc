#include "cluster/keys.h"

#include <utility>

namespace fleet {
namespace {

constexpr std::string_view kUnit = "unit/";
constexpr std::string_view kTarget = "target/";
constexpr std::string_view kSchedule = "schedule/";
constexpr std::string_view kMachine = "machine/";
constexpr std::string_view kMetadata = "metadata/";
constexpr std::string_view kState = "state/";
constexpr std::string_view kLeader = "engine/leader";
constexpr std::string_view kBarrier = "engine/barrier";
constexpr std::string_view kFence = "fence/";
constexpr std::string_view kIncomplete = "incomplete";
constexpr std::string_view kRequirements = "engine/requirements";

std::string join(std::string_view a, std::string_view b, std::string_view c,
                 std::string_view d = {}, std::string_view e = {}) {
  std::string key;
  key.reserve(a.size() + b.size() + c.size() + d.size() + e.size());
  return key.append(a).append(b).append(c).append(d).append(e);
}

std::string normalise(std::string_view prefix) {
  std::string result = "/";
  while (!prefix.empty()) {
    const std::size_t slash = prefix.find('/');
    const std::string_view part = prefix.substr(0, slash);
    if (!part.empty()) result.append(part).append("/");
    prefix.remove_prefix(slash == std::string_view::npos ? prefix.size() : slash + 1);
  }
  return result;
}

bool is_element(std::string_view text) {
  return !text.empty() && text.find('/') == std::string_view::npos;
}

// `rest` as one element: <name> or, with `of_machine`, <machine>.
std::optional<Key> one_element(Key::Kind kind, std::string_view rest, bool of_machine) {
  if (!is_element(rest)) return std::nullopt;
  Key key{.kind = kind, .machine = {}, .name = {}};
  (of_machine ? key.machine : key.name) = rest;
  return key;
}

// `rest` as <machine>/<name>.
std::optional<Key> two_elements(Key::Kind kind, std::string_view rest) {
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view machine = rest.substr(0, slash);
  const std::string_view name = rest.substr(slash + 1);
  if (!is_element(machine) || !is_element(name)) return std::nullopt;
  return Key{.kind = kind, .machine = std::string(machine), .name = std::string(name)};
}

}  // namespace

Keys::Keys(std::string_view prefix) : prefix_(normalise(prefix)) {}

std::string Keys::unit(std::string_view name) const {
  return join(prefix_, kUnit, name);
}

std::string Keys::target(std::string_view name) const {
  return join(prefix_, kTarget, name);
}

std::string Keys::schedule(std::string_view machine, std::string_view name) const {
  return join(prefix_, kSchedule, machine, "/", name);
}

std::string Keys::schedule_of(std::string_view machine) const {
  return join(prefix_, kSchedule, machine, "/");
}

std::string Keys::machine(std::string_view id) const {
  return join(prefix_, kMachine, id);
}

std::string Keys::metadata(std::string_view id, std::string_view key) const {
  return join(prefix_, kMetadata, id, "/", key);
}

std::string Keys::metadata_of(std::string_view id) const {
  return join(prefix_, kMetadata, id, "/");
}

std::string Keys::state(std::string_view machine, std::string_view name) const {
  return join(prefix_, kState, machine, "/", name);
}

std::string Keys::leader() const {
  return join(prefix_, kLeader, {});
}

std::string Keys::incomplete() const {
  return join(prefix_, kIncomplete, {});
}

std::string Keys::barrier() const {
  return join(prefix_, kBarrier, {});
}

std::string Keys::fence(std::string_view machine) const {
  return join(prefix_, kFence, machine);
}

std::string Keys::requirements() const {
  return join(prefix_, kRequirements, {});
}

std::optional<Key> Keys::parse(std::string_view key) const {
  if (!key.starts_with(prefix_)) return std::nullopt;
  key.remove_prefix(prefix_.size());
  const auto after = [key](std::string_view folder) { return key.substr(folder.size()); };

  if (key.starts_with(kUnit)) return one_element(Key::Kind::unit, after(kUnit), false);
  if (key.starts_with(kTarget)) return one_element(Key::Kind::target, after(kTarget), false);
  if (key.starts_with(kSchedule)) return two_elements(Key::Kind::schedule, after(kSchedule));
  if (key.starts_with(kMachine)) return one_element(Key::Kind::machine, after(kMachine), true);
  if (key.starts_with(kMetadata)) return two_elements(Key::Kind::metadata, after(kMetadata));
  if (key.starts_with(kState)) return two_elements(Key::Kind::state, after(kState));
  if (key == kLeader) return Key{.kind = Key::Kind::leader, .machine = {}, .name = {}};
  if (key == kIncomplete) return Key{.kind = Key::Kind::incomplete, .machine = {}, .name = {}};
  if (key == kRequirements) return Key{.kind = Key::Kind::requirements, .machine = {}, .name = {}};
  return std::nullopt;
}

}  // namespace fleet
