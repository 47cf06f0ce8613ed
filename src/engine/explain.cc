// Telling people why a unit is not where they want it. Any fleetd can: it takes only the registry.

#include "engine/engine.h"

namespace fleet {

namespace {

// decide() with everything that the registry shows in its place. When a machine was missed only the
// leader knows; what it says of one that is away must be true either way.
Verdict decide_from_registry(const Registry& registry, const Placement& placement,
                             const std::string& name, int mass_loss_percent) {
  const MissingMachines missing = missing_machines(registry, {}, mass_loss_percent);
  DecideContext context;
  context.held = missing.outage ? Held::brake : Held::grace;
  context.dead = missing.emptied;
  Verdict verdict = decide(registry, placement, name, context);
  const Unit& unit = *registry.unit(name);
  const std::string target = registry.target_machine(unit);
  if (verdict.waiting.empty() || !missing.machines.contains(target)) return verdict;
  // Its machine is away. Time brings it elsewhere only if there is somewhere else to go.
  context.dead.insert(target);
  Verdict once_lost = decide(registry, placement, name, context);
  return once_lost.waiting.empty() ? verdict : once_lost;
}

bool wants_machine(const Unit& unit) {
  return unit.is_known() && unit.unreadable().empty() && unit.desired() != UnitState::inactive;
}

// The common cases, which cost nothing: it is where it should be, or nobody wants it anywhere.
bool is_settled(const Registry& registry, const Unit& unit) {
  if (wants_machine(unit)) {
    if (unit.unit->requirements.global) return false;  // any machine may want it
    const std::string target = registry.target_machine(unit);
    const Machine* machine = target.empty() ? nullptr : registry.machine(target);
    if (machine == nullptr || !is_open(*machine) || !unreadable(*machine).empty()) return false;
    const Entry<ScheduleRecord>& record = unit.schedule.at(target);
    return record->hash == unit.unit->hash && record->state == unit.desired();
  }
  return unit.unreadable().empty() && unit.desired() == UnitState::inactive &&
         !(unit.target.value && unit.target->destroyed) && unit.schedule.empty() &&
         unit.states.empty();
}

}  // namespace

Placement placement_of(const Registry& registry) {
  Placement placement;
  for (const auto& [id, machine] : registry.machines()) {
    if (is_open(machine)) placement.open(id, machine.metadata);
    for (const auto& name : machine.units) {
      const Unit& unit = *registry.unit(name);
      placement.put(id, name, occupant_of(unit, unit.schedule.at(id)));
    }
  }
  return placement;
}

std::string why_waiting(const Registry& registry, const std::string& name, int mass_loss_percent) {
  const Unit* unit = registry.unit(name);
  if (unit == nullptr || is_settled(registry, *unit)) return {};
  return why_waiting(registry, placement_of(registry), name, mass_loss_percent);
}

std::string why_waiting(const Registry& registry, const Placement& placement,
                        const std::string& name, int mass_loss_percent) {
  const Unit* unit = registry.unit(name);
  if (unit == nullptr || is_settled(registry, *unit)) return {};
  if (const Entry<std::string>& mark = registry.incomplete(); mark.exists()) {
    return "the registry is incomplete (" + mark.value.value_or(mark.error) +
           "): nothing is decided until that is done";
  }
  Verdict verdict = decide_from_registry(registry, placement, name, mass_loss_percent);
  if (verdict.waiting.empty() && !verdict.decisions.empty() &&
      !verdict.decisions[0].forget_target) {
    return registry.leader().exists() ? "the leader is about to act on it"
                                      : "no engine leads at the moment";
  }
  return verdict.waiting;
}

std::vector<std::pair<std::string, std::string>> refusals(const Registry& registry,
                                                          const Placement& placement,
                                                          const std::string& name) {
  std::vector<std::pair<std::string, std::string>> all;
  const Unit* unit = registry.unit(name);
  if (unit == nullptr || !wants_machine(*unit)) return all;
  const bool global = unit->unit->requirements.global;
  const std::string target = global ? "" : registry.target_machine(*unit);
  if (const Machine* there = target.empty() ? nullptr : registry.machine(target);
      there != nullptr && there->is_present()) {
    return all;
  }
  for (const auto& [id, machine] : registry.machines()) {
    if (!machine.is_present()) continue;
    if (global && placement.on(id).has_assigned(name)) continue;
    const auto why = refusal(name, unit->unit->requirements, id, machine, placement.on(id));
    if (why) all.emplace_back(id, *why);
  }
  return all;
}

}  // namespace fleet
