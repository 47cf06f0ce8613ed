#include "engine/placement.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/glob.h"

namespace fleet {

void MachineLoad::put(const std::string& unit, Occupant occupant) {
  erase(unit);
  if (occupant.assigned) ++assigned_;
  if (!occupant.conflicts.empty()) with_conflicts_.insert(unit);
  if (!occupant.replaces.empty()) with_replaces_.insert(unit);
  occupants_.emplace(unit, std::move(occupant));
}

void MachineLoad::erase(const std::string& unit) {
  const auto found = occupants_.find(unit);
  if (found == occupants_.end()) return;
  if (found->second.assigned) --assigned_;
  with_conflicts_.erase(unit);
  with_replaces_.erase(unit);
  occupants_.erase(found);
}

bool MachineLoad::has_assigned(const std::string& unit) const {
  const auto found = occupants_.find(unit);
  return found != occupants_.end() && found->second.assigned;
}

bool matches_any(const std::vector<std::string>& patterns, const std::string& name) {
  return std::ranges::any_of(
      patterns, [&name](const std::string& pattern) { return glob_match(pattern, name); });
}

bool in_conflict(const std::string& one, const std::vector<std::string>& conflicts_of_one,
                 const std::string& other, const std::vector<std::string>& conflicts_of_other) {
  return matches_any(conflicts_of_one, other) || matches_any(conflicts_of_other, one);
}

const std::string* MachineLoad::replacing(const std::string& unit) const {
  for (const auto& other : with_replaces_) {
    if (counts(other, unit, /*only_assigned=*/true) &&
        matches_any(occupants_.at(other).replaces, unit)) {
      return &other;
    }
  }
  return nullptr;
}

std::vector<std::string> MachineLoad::replaced_by(const std::string& unit,
                                                  const std::vector<std::string>& replaces) const {
  std::vector<std::string> replaced;
  if (replaces.empty()) return replaced;
  for (const auto& [other, occupant] : occupants_) {
    if (counts(other, unit, /*only_assigned=*/true) && matches_any(replaces, other)) {
      replaced.push_back(other);
    }
  }
  return replaced;
}

const std::string* MachineLoad::conflicting(const std::string& unit,
                                            const std::vector<std::string>& conflicts,
                                            bool only_assigned) const {
  for (const auto& other : with_conflicts_) {
    if (!counts(other, unit, only_assigned)) continue;
    if (in_conflict(other, occupants_.at(other).conflicts, unit, {})) return &other;
  }
  if (conflicts.empty()) return nullptr;
  for (const auto& [other, occupant] : occupants_) {
    if (!counts(other, unit, only_assigned)) continue;
    if (in_conflict(unit, conflicts, other, {})) return &other;
  }
  return nullptr;
}

void Placement::set_open(const std::string& machine, bool open) {
  const std::pair entry{machines_[machine].assigned(), machine};
  if (open) {
    open_.insert(entry);
  } else {
    open_.erase(entry);
  }
}

void Placement::put(const std::string& machine, const std::string& unit, Occupant occupant) {
  MachineLoad& load = machines_[machine];
  const bool open = open_.erase({load.assigned(), machine}) != 0;
  load.put(unit, std::move(occupant));
  if (open) open_.insert({load.assigned(), machine});
}

void Placement::erase(const std::string& machine, const std::string& unit) {
  const auto found = machines_.find(machine);
  if (found == machines_.end()) return;
  MachineLoad& load = found->second;
  const bool open = open_.erase({load.assigned(), machine}) != 0;
  load.erase(unit);
  if (open) open_.insert({load.assigned(), machine});
}

const MachineLoad& Placement::on(const std::string& machine) const {
  static const MachineLoad nothing;
  const auto found = machines_.find(machine);
  return found == machines_.end() ? nothing : found->second;
}

bool is_open(const Machine& machine) {
  return machine.presence.value && !machine.presence->leaving;
}

Occupant make_occupant(const Unit* unit, bool assigned) {
  Occupant occupant;
  occupant.assigned = assigned;
  if (unit != nullptr && unit->unit.value) {
    occupant.conflicts = unit->unit->requirements.conflicts;
    occupant.replaces = unit->unit->requirements.replaces;
  }
  return occupant;
}

Occupant occupant_of(const Unit& unit, const Entry<ScheduleRecord>& record) {
  // A record that cannot be read keeps its place: the unit may well be running there.
  return make_occupant(&unit, !record.value || record->state != UnitState::inactive);
}

namespace {

// The first key of the wanted metadata that `has` does not satisfy, in words; empty if all hold.
std::string metadata_refusal(const Requirements& requirements,
                             const std::map<std::string, std::string>& has) {
  for (const auto& [key, values] : requirements.metadata) {
    const auto found = has.find(key);
    if (found != has.end() && std::ranges::find(values, found->second) != values.end()) continue;
    const std::string wanted = fmt::format("{}={}", key, fmt::join(values, " or "));
    return found == has.end()
               ? fmt::format("has no metadata {} (wanted: {})", key, wanted)
               : fmt::format("has metadata {}={} (wanted: {})", key, found->second, wanted);
  }
  return {};
}

}  // namespace

std::optional<std::string> refusal(const std::string& unit, const Requirements& requirements,
                                   const std::string& machine_id, const Machine& machine,
                                   const MachineLoad& load, Stay stay) {
  if (!machine.is_present()) return "is not there";
  if (!machine.presence.value) return "its record cannot be read: " + machine.presence.error;
  if (machine.presence->leaving) return "its fleetd is being stopped";
  if (requirements.machine_id && !machine_id_matches(*requirements.machine_id, machine_id)) {
    return fmt::format("is not the machine that MachineID={} names", *requirements.machine_id);
  }
  if (std::string why = metadata_refusal(requirements, machine.metadata); !why.empty()) return why;
  for (const auto& leader : requirements.machine_of) {
    if (!load.has_assigned(leader)) return fmt::format("{} (MachineOf) is not on it", leader);
  }
  if (const std::string* other =
          load.conflicting(unit, requirements.conflicts, stay == Stay::staying)) {
    return load.has_assigned(*other)
               ? fmt::format("conflicts with {}, which runs there", *other)
               : fmt::format("conflicts with {}, which has not stopped there yet", *other);
  }
  if (const std::string* other = load.replacing(unit)) {
    return fmt::format("runs {}, which replaces it", *other);
  }
  return std::nullopt;
}

std::string unreadable(const Machine& machine) {
  if (!machine.presence.error.empty()) return machine.presence.error;
  for (const auto& [key, entry] : machine.dynamic_metadata) {
    if (!entry.error.empty()) return entry.error;
  }
  return {};
}

}  // namespace fleet
