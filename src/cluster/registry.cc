#include "cluster/registry.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/limits.h"

namespace fleet {
namespace {

template <class T>
void fill(Entry<T>& entry, const KeyValue& from, Result<T> decoded) {
  entry.create_revision = from.create_revision;
  entry.mod_revision = from.mod_revision;
  entry.value.reset();
  entry.error.clear();
  if (decoded) {
    entry.value = std::move(*decoded);
  } else {
    entry.error = fmt::format("registry key {}: {}", from.key, decoded.error().message);
  }
}

// The key says whose record it is; a record that says otherwise is nobody's.
Result<MachineRecord> decode_machine_of(const std::string& id, std::string_view json) {
  Result<MachineRecord> record = decode_machine(json);
  if (record && record->id != id) {
    return fail(ErrorCode::invalid, fmt::format("it is the record of machine {}", record->id));
  }
  return record;
}

// Metadata values and the leader's machine ID are kept as plain text.
Result<std::string> decode_text(const std::string& text, std::size_t limit) {
  if (text.size() > limit) {
    return fail(ErrorCode::too_large,
                fmt::format("the value has {} bytes; the limit is {}", text.size(), limit));
  }
  return text;
}

void note(Revision& newest, Revision revision) {
  newest = std::max(newest, revision);
}

}  // namespace

std::string Unit::unreadable() const {
  if (!unit.error.empty()) return unit.error;
  if (!target.error.empty()) return target.error;
  for (const auto& [machine, entry] : schedule) {
    if (!entry.error.empty()) return entry.error;
  }
  for (const auto& [machine, entry] : states) {
    if (!entry.error.empty()) return entry.error;
  }
  return {};
}

void Registry::load(const ReadResult& everything) {
  units_.clear();
  machines_.clear();
  leader_ = {};
  incomplete_ = {};
  requirements_changed_ = 0;
  Changes changes;
  for (const KeyValue& value : everything.values) put(value, changes);
  revision_ = everything.revision;
  load_revision_ = everything.revision;
}

Registry::Changes Registry::apply(const WatchBatch& batch) {
  Changes changes;
  const Revision held = revision_;
  for (const WatchEvent& event : batch.events) {
    // What is held already includes it.
    if (event.value.mod_revision <= held) continue;
    if (event.kind == WatchEvent::Kind::put) {
      put(event.value, changes);
    } else {
      remove(event.value.key, event.value.mod_revision, changes);
    }
  }
  note(revision_, batch.revision);
  return changes;
}

void Registry::put(const KeyValue& value, Changes& changes) {
  const std::optional<Key> key = keys_.parse(value.key);
  if (!key) return;
  switch (key->kind) {
    case Key::Kind::unit:
      fill(units_[key->name].unit, value, decode_unit(key->name, value.value));
      break;
    case Key::Kind::target:
      fill(units_[key->name].target, value, decode_target(value.value));
      break;
    case Key::Kind::schedule:
      fill(units_[key->name].schedule[key->machine], value, decode_schedule(value.value));
      machines_[key->machine].units.insert(key->name);
      break;
    case Key::Kind::state:
      fill(units_[key->name].states[key->machine], value, decode_state(value.value));
      break;
    case Key::Kind::machine: {
      Machine& machine = machines_[key->machine];
      fill(machine.presence, value, decode_machine_of(key->machine, value.value));
      machine.lease = value.lease;
      refresh_metadata(machine);
      note(machine.changed, value.mod_revision);
      changes.machines.insert(key->machine);
      return;
    }
    case Key::Kind::metadata: {
      Machine& machine = machines_[key->machine];
      fill(machine.dynamic_metadata[key->name], value,
           decode_text(value.value, limits::kMetadataValueBytes));
      refresh_metadata(machine);
      note(machine.changed, value.mod_revision);
      changes.machines.insert(key->machine);
      return;
    }
    case Key::Kind::leader:
      fill(leader_, value, decode_text(value.value, limits::kMachineIdBytes));
      changes.leader = true;
      return;
    case Key::Kind::incomplete:
      fill(incomplete_, value, decode_text(value.value, limits::kMetadataValueBytes));
      return;
    case Key::Kind::requirements:
      requirements_changed_ = value.mod_revision;
      return;
  }
  note(units_[key->name].changed, value.mod_revision);
  changes.units.insert(key->name);
}

void Registry::remove(const std::string& key_text, Revision revision, Changes& changes) {
  const std::optional<Key> key = keys_.parse(key_text);
  if (!key) return;
  if (key->kind == Key::Kind::leader) {
    leader_ = {};
    changes.leader = true;
    return;
  }
  if (key->kind == Key::Kind::incomplete) {
    incomplete_ = {};
    return;
  }
  if (key->kind == Key::Kind::requirements) {
    requirements_changed_ = 0;
    return;
  }
  if (key->kind == Key::Kind::machine || key->kind == Key::Kind::metadata) {
    const auto machine = machines_.find(key->machine);
    if (machine == machines_.end()) return;
    if (key->kind == Key::Kind::machine) {
      machine->second.presence = {};
      machine->second.lease = 0;
    } else {
      machine->second.dynamic_metadata.erase(key->name);
    }
    refresh_metadata(machine->second);
    note(machine->second.changed, revision);
    changes.machines.insert(key->machine);
    forget_machine_if_empty(key->machine);
    return;
  }
  const auto unit = units_.find(key->name);
  if (unit == units_.end()) return;
  switch (key->kind) {
    case Key::Kind::unit:
      unit->second.unit = {};
      break;
    case Key::Kind::target:
      unit->second.target = {};
      break;
    case Key::Kind::state:
      unit->second.states.erase(key->machine);
      break;
    default:  // schedule: the others have been dealt with
      unit->second.schedule.erase(key->machine);
      if (const auto machine = machines_.find(key->machine); machine != machines_.end()) {
        machine->second.units.erase(key->name);
        forget_machine_if_empty(key->machine);
      }
      break;
  }
  note(unit->second.changed, revision);
  changes.units.insert(key->name);
  forget_unit_if_empty(key->name);
}

void Registry::refresh_metadata(Machine& machine) {
  machine.metadata.clear();
  if (machine.presence.value) machine.metadata = machine.presence->metadata;
  for (const auto& [key, entry] : machine.dynamic_metadata) {
    if (!entry.value) continue;
    if (entry.value->empty()) {
      machine.metadata.erase(key);
    } else {
      machine.metadata[key] = *entry.value;
    }
  }
}

void Registry::forget_unit_if_empty(const std::string& name) {
  const auto found = units_.find(name);
  const Unit& unit = found->second;
  if (unit.unit.exists() || unit.target.exists()) return;
  if (unit.schedule.empty() && unit.states.empty()) units_.erase(found);
}

void Registry::forget_machine_if_empty(const std::string& id) {
  const auto found = machines_.find(id);
  const Machine& machine = found->second;
  if (machine.presence.exists() || !machine.dynamic_metadata.empty()) return;
  if (machine.units.empty()) machines_.erase(found);
}

const Unit* Registry::unit(const std::string& name) const {
  const auto found = units_.find(name);
  return found == units_.end() ? nullptr : &found->second;
}

const Machine* Registry::machine(const std::string& id) const {
  const auto found = machines_.find(id);
  return found == machines_.end() ? nullptr : &found->second;
}

std::string Registry::target_machine(const Unit& unit) const {
  for (const auto& [machine, entry] : unit.schedule) {
    if (entry.value && entry->state != UnitState::inactive) return machine;
  }
  return {};
}

UnitState Registry::current_state(const Unit& unit) const {
  const auto taken_on = [&unit](const std::string& machine) {
    const auto state = unit.states.find(machine);
    if (state == unit.states.end() || !state->second.value) return UnitState::inactive;
    // What runs there is the unit's former content: of this one nothing has been done yet.
    if (unit.unit.value && state->second->hash != unit.unit->hash) return UnitState::inactive;
    return state->second->current;
  };

  if (!unit.unit.value || !unit.unit->requirements.global) {
    const std::string machine = target_machine(unit);
    return machine.empty() ? UnitState::inactive : taken_on(machine);
  }
  UnitState least = UnitState::launched;
  bool scheduled = false;
  for (const auto& [machine, entry] : unit.schedule) {
    if (!entry.value || entry->state == UnitState::inactive) continue;
    scheduled = true;
    least = std::min(least, taken_on(machine));
  }
  return scheduled ? least : UnitState::inactive;
}

}  // namespace fleet
