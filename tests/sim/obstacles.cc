#include "tests/sim/obstacles.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/glob.h"

namespace fleet {

namespace {

constexpr std::size_t kShortMachineId = 8;

bool is_named(const std::string& wanted, const std::string& id) {
  return wanted == id || (wanted.size() == kShortMachineId && id.starts_with(wanted));
}

void add_metadata_obstacles(const Requirements& wants, const Machine& machine,
                            std::vector<std::string>& found) {
  for (const auto& [key, values] : wants.metadata) {
    const auto has = machine.metadata.find(key);
    if (has == machine.metadata.end()) {
      found.push_back(fmt::format("has no metadata {} (wanted: ", key));
    } else if (std::ranges::count(values, has->second) == 0) {
      found.push_back(fmt::format("has metadata {}={} (wanted: ", key, has->second));
    }
  }
}

}  // namespace

bool any_matches(const std::vector<std::string>& globs, const std::string& name) {
  return std::ranges::any_of(globs,
                             [&](const std::string& glob) { return glob_match(glob, name); });
}

bool keeps_place(const Entry<ScheduleRecord>& record) {
  return record.exists() && (!record.value || record->state != UnitState::inactive);
}

std::vector<std::string> obstacles(const Registry& registry, const std::string& unit,
                                   const std::string& machine, bool stays) {
  const Machine* there = registry.machine(machine);
  if (there == nullptr || !there->is_present()) return {"is not there"};
  if (!there->presence.value) return {"its record cannot be read: "};
  const Requirements& wants = registry.unit(unit)->unit->requirements;
  std::vector<std::string> found;
  if (there->presence->leaving) found.emplace_back("its fleetd is being stopped");
  if (wants.machine_id && !is_named(*wants.machine_id, machine)) {
    found.push_back(fmt::format("is not the machine that MachineID={} names", *wants.machine_id));
  }
  add_metadata_obstacles(wants, *there, found);
  for (const std::string& leader : wants.machine_of) {
    const Unit* known = registry.unit(leader);
    if (known == nullptr || !known->schedule.contains(machine) ||
        !keeps_place(known->schedule.at(machine))) {
      found.push_back(fmt::format("{} (MachineOf) is not on it", leader));
    }
  }
  for (const std::string& other : there->units) {
    if (other == unit) continue;
    const Unit& occupant = *registry.unit(other);
    const bool keeps = keeps_place(occupant.schedule.at(machine));
    const bool readable = occupant.unit.value.has_value();
    const bool in_conflict = any_matches(wants.conflicts, other) ||
                             (readable && any_matches(occupant.unit->requirements.conflicts, unit));
    if (in_conflict && keeps) {
      found.push_back(fmt::format("conflicts with {}, which runs there", other));
    } else if (in_conflict && !stays) {
      found.push_back(fmt::format("conflicts with {}, which has not stopped there yet", other));
    }
    const bool each_other = any_matches(wants.replaces, other);
    if (keeps && readable && any_matches(occupant.unit->requirements.replaces, unit) &&
        !(stays && each_other)) {
      found.push_back(fmt::format("runs {}, which replaces it", other));
    }
  }
  return found;
}

}  // namespace fleet
