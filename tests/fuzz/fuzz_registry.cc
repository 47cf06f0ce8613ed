// The registry: a line for each key, "key=value", below fleet's prefix; in the value \n stands for
// a line break. An empty line separates what is read at first from what changes later.

#include <algorithm>
#include <vector>

#include "base/limits.h"
#include "cluster/registry.h"
#include "engine/decide.h"
#include "engine/engine.h"
#include "tests/fuzz/fuzz.h"

using namespace fleet;

namespace {

// What can be decoded can be encoded, and decodes to the same.
template <class Decode>
void check_value(std::string_view text, Decode decode) {
  const auto record = decode(text);
  if (!record) return fuzz::check_error(record);
  HOLDS(text.size() <= limits::kRegistryValueBytes);
  const auto again = decode(encode(*record));
  HOLDS(again && *again == *record);
}

void check_values(std::string_view text) {
  check_value(text, [](std::string_view it) { return decode_unit("a.service", it); });
  check_value(text, decode_target);
  check_value(text, decode_schedule);
  check_value(text, decode_machine);
  check_value(text, decode_state);
}

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool line_break = text[i] == '\\' && text.substr(i).starts_with("\\n");
    out += line_break ? '\n' : text[i];
    if (line_break) ++i;
  }
  return out;
}

// What is there must have been understood or have an error that says why not; never both.
template <class T>
void check_entry(const Entry<T>& entry) {
  HOLDS(entry.exists());
  HOLDS(entry.value.has_value() == entry.error.empty());
  HOLDS(entry.mod_revision >= entry.create_revision);
}

void check_registry(const Registry& registry) {
  for (const auto& [name, unit] : registry.units()) {
    if (unit.unit.exists()) check_entry(unit.unit);
    if (unit.target.exists()) check_entry(unit.target);
    for (const auto& [machine, entry] : unit.schedule) {
      check_entry(entry);
      HOLDS(registry.machine(machine)->units.contains(name));
    }
    for (const auto& [machine, entry] : unit.states) check_entry(entry);
    (void)registry.current_state(unit);
  }
  for (const auto& [id, machine] : registry.machines()) {
    if (machine.presence.exists()) check_entry(machine.presence);
    for (const auto& [key, entry] : machine.dynamic_metadata) check_entry(entry);
    for (const std::string& name : machine.units) HOLDS(registry.unit(name) != nullptr);
  }
}

// "Missing" or "unreadable" is never "not wanted".
void check_decisions(const Registry& registry) {
  const Placement placement = placement_of(registry);
  DecideContext context;
  context.term = 1;
  for (const auto& [id, machine] : registry.machines()) {
    if (!machine.is_present()) context.dead.insert(id);
  }
  for (const auto& [name, unit] : registry.units()) {
    const Verdict verdict = decide(registry, placement, name, context);
    if (!unit.unreadable().empty()) HOLDS(verdict.decisions.empty() && !verdict.waiting.empty());
    if (!unit.unit.exists() && !unit.target.value) HOLDS(verdict.decisions.empty());
    for (const Decision& decision : verdict.decisions) {
      if (decision.forget_target || decision.record.state == UnitState::inactive) continue;
      HOLDS(unit.is_known());
      const Machine* machine = registry.machine(decision.machine);
      HOLDS(machine != nullptr && (machine->is_present() || unit.unit->requirements.global));
    }
    (void)why_waiting(registry, placement, name, 50);
    (void)refusals(registry, placement, name);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = fuzz::text_of(data, size);
  const Keys keys;
  ReadResult read;
  WatchBatch later;
  Revision revision = 1;
  bool reading = true;
  while (!rest.empty()) {
    std::string_view line = fuzz::take_until(rest, '\n');
    if (line.empty()) {
      reading = false;
      continue;
    }
    const bool removes = line.find('=') == std::string_view::npos;
    KeyValue it;
    it.key = keys.prefix() + std::string(fuzz::take_until(line, '='));
    it.value = unescaped(line);
    check_values(it.value);
    it.create_revision = it.mod_revision = ++revision;
    if (reading) {
      read.values.push_back(std::move(it));
    } else {
      later.events.push_back(
          {removes ? WatchEvent::Kind::removed : WatchEvent::Kind::put, std::move(it)});
    }
  }
  read.revision = 1 + static_cast<Revision>(read.values.size());
  later.revision = revision;

  Registry registry(keys);
  registry.load(read);
  check_registry(registry);
  check_decisions(registry);
  if (later.events.empty()) return 0;
  registry.apply(later);
  HOLDS(registry.revision() == revision);
  check_registry(registry);
  check_decisions(registry);
  return 0;
}
