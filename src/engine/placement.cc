#include "engine/placement.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/glob.h"

namespace fleet {

void MachineLoad::put(const std::string& unit, Occupant occupant) {
  auto [place, is_new] = occupants_.try_emplace(unit);
  if (!is_new) discount(unit, place->second);
  if (occupant.assigned) ++assigned_;
  if (!occupant.conflicts.empty()) with_conflicts_.insert(unit);
  if (!occupant.replaces.empty()) with_replaces_.insert(unit);
  place->second = std::move(occupant);
}

void MachineLoad::erase(const std::string& unit) {
  const auto found = occupants_.find(unit);
  if (found == occupants_.end()) return;
  discount(unit, found->second);
  occupants_.erase(found);
}

void MachineLoad::discount(const std::string& unit, const Occupant& occupant) {
  if (occupant.assigned) --assigned_;
  if (!occupant.conflicts.empty()) with_conflicts_.erase(unit);
  if (!occupant.replaces.empty()) with_replaces_.erase(unit);
}

bool MachineLoad::has_assigned(const std::string& unit) const {
  const Occupant* found = occupant(unit);
  return found != nullptr && found->assigned;
}

const Occupant* MachineLoad::occupant(const std::string& unit) const {
  const auto found = occupants_.find(unit);
  return found == occupants_.end() ? nullptr : &found->second;
}

bool matches_any(const std::vector<std::string>& patterns, const std::string& name) {
  return std::ranges::any_of(
      patterns, [&name](const std::string& pattern) { return glob_match(pattern, name); });
}

bool in_conflict(const std::string& one, const std::vector<std::string>& conflicts_of_one,
                 const std::string& other, const std::vector<std::string>& conflicts_of_other) {
  return matches_any(conflicts_of_one, other) || matches_any(conflicts_of_other, one);
}

const std::string* MachineLoad::replacing(const std::string& unit,
                                          const std::vector<std::string>& but_for) const {
  for (const auto& other : with_replaces_) {
    if (counts(other, unit, /*only_assigned=*/true) &&
        matches_any(occupants_.at(other).replaces, unit) && !matches_any(but_for, other)) {
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

void Placement::open(const std::string& machine,
                     const std::map<std::string, std::string>& metadata) {
  close(machine);
  auto& [id, place] = machines_.entry(machine);
  place.open = true;
  place.metadata = metadata;
  const OpenMachine entry{place.load.assigned(), &id};
  for_each_order(place, [&](ByLoad& order) { order.insert(entry); });
}

void Placement::close(const std::string& machine) {
  const auto found = machines_.find(machine);
  if (found == machines_.end() || !found->second.open) return;
  auto& [id, place] = *found;
  const OpenMachine entry{place.load.assigned(), &id};
  for_each_order(place, [&](ByLoad& order) { order.erase(entry); });
  place.open = false;
  place.metadata.clear();
}

template <class Each>
void Placement::for_each_order(const Place& place, Each each) {
  each(open_);
  for (const auto& [key, value] : place.metadata) each(by_metadata_[key][value]);
}

void Placement::change_load(Places::value_type& place,
                            const std::function<void(MachineLoad&)>& change) {
  auto& [id, it] = place;
  const OpenMachine before{it.load.assigned(), &id};
  change(it.load);
  const OpenMachine after{it.load.assigned(), &id};
  if (!it.open || before.load == after.load) return;
  for_each_order(it, [&](ByLoad& order) {
    auto node = order.extract(before);
    node.value() = after;
    order.insert(std::move(node));
  });
}

void Placement::put(const std::string& machine, const std::string& unit, Occupant occupant) {
  change_load(machines_.entry(machine),
              [&](MachineLoad& load) { load.put(unit, std::move(occupant)); });
  machines_of_[unit].insert(machine);
}

void Placement::erase(const std::string& machine, const std::string& unit) {
  const auto found = machines_.find(machine);
  if (found == machines_.end()) return;
  change_load(*found, [&](MachineLoad& load) { load.erase(unit); });
  const auto there = machines_of_.find(unit);
  if (there == machines_of_.end()) return;
  there->second.erase(machine);
  if (there->second.empty()) machines_of_.erase(there);
}

const MachineLoad& Placement::on(const std::string& machine) const {
  static const MachineLoad nothing;
  const auto found = machines_.find(machine);
  return found == machines_.end() ? nothing : found->second.load;
}

const std::set<std::string>& Placement::machines_of(const std::string& unit) const {
  static const std::set<std::string> none;
  const auto found = machines_of_.find(unit);
  return found == machines_of_.end() ? none : found->second;
}

const Placement::ByLoad* Placement::with_metadata(const std::string& key,
                                                  const std::string& value) const {
  const auto values = by_metadata_.find(key);
  if (values == by_metadata_.end()) return nullptr;
  const auto found = values->second.find(value);
  return found == values->second.end() ? nullptr : &found->second;
}

// Of the keys of metadata that are wanted the one that the fewest machines satisfy: its machines,
// in a set for each of its values.
std::vector<const Placement::ByLoad*> Placement::narrowest(const Requirements& requirements) const {
  std::vector<const ByLoad*> narrowest = {&open_};
  std::size_t fewest = open_.size();
  for (const auto& [key, values] : requirements.metadata) {
    std::vector<const ByLoad*> orders;
    std::size_t machines = 0;
    for (const std::string& value : values) {
      if (const ByLoad* order = with_metadata(key, value)) {
        orders.push_back(order);
        machines += order->size();
      }
    }
    if (machines > fewest) continue;
    fewest = machines;
    narrowest = std::move(orders);
  }
  return narrowest;
}

const std::string* Placement::first_open(
    const Requirements& requirements,
    const std::function<bool(const std::string&)>& accepts) const {
  // Where one machine, or the few that have a unit, come into question, only those are looked at.
  ByLoad few;
  const auto add = [&few](const Places::value_type& place) {
    if (place.second.open) few.insert({place.second.load.assigned(), &place.first});
  };
  std::vector<const ByLoad*> orders = {&few};
  if (requirements.machine_id) {
    const std::string& begin = *requirements.machine_id;  // empty: no machine at all
    auto at = begin.empty() ? machines_.end() : machines_.lower_bound(begin);
    for (; at != machines_.end() && at->first.starts_with(begin); ++at) add(*at);
  } else if (!requirements.machine_of.empty()) {
    for (const std::string& machine : machines_of(requirements.machine_of.front())) {
      add(*machines_.find(machine));
    }
  } else {
    orders = narrowest(requirements);
  }
  std::optional<OpenMachine> first;
  for (const ByLoad* order : orders) {
    for (const OpenMachine& machine : *order) {
      if (first && !(machine < *first)) break;
      if (!accepts(*machine.id)) continue;
      first = machine;
      break;
    }
  }
  return first ? first->id : nullptr;
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

bool is_assigned(const Entry<ScheduleRecord>& record) {
  // A record that cannot be read keeps its place: the unit may well be running there.
  return !record.value || record->state != UnitState::inactive;
}

Occupant occupant_of(const Unit& unit, const Entry<ScheduleRecord>& record) {
  return make_occupant(&unit, is_assigned(record));
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
  // Of two that replace each other neither is driven off where both are, as in 1.0.
  static const std::vector<std::string> kNone;
  const std::vector<std::string>& but_for = stay == Stay::staying ? requirements.replaces : kNone;
  if (const std::string* other = load.replacing(unit, but_for)) {
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
