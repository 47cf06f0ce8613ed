// Telling people why a unit is not where they want it. Any fleetd can: it takes only the registry.

#include "engine/engine.h"

namespace fleet {

namespace {

// decide() with everything that the registry shows in its place.
Verdict decide_from_registry(const Registry& registry, const std::string& name,
                             int mass_loss_percent) {
  Placement placement;
  for (const auto& [id, machine] : registry.machines()) {
    placement.set_open(id, is_open(machine));
    for (const auto& [unit, occupant] : load_of(registry, id).occupants()) {
      placement.put(id, unit, occupant);
    }
  }
  DecideContext context;
  context.held =
      missing_machines(registry, {}, mass_loss_percent).outage ? Held::brake : Held::grace;
  return decide(registry, placement, name, context);
}

bool wants_machine(const Unit& unit) {
  return unit.is_known() && unit.unreadable().empty() && unit.desired() != UnitState::inactive &&
         !unit.unit->requirements.global;
}

}  // namespace

std::string why_waiting(const Registry& registry, const std::string& name, int mass_loss_percent) {
  const Unit* unit = registry.unit(name);
  if (unit == nullptr) return {};
  // The common case costs nothing: it is where it should be, or nobody wants it anywhere.
  if (wants_machine(*unit)) {
    const std::string target = registry.target_machine(*unit);
    const Machine* machine = target.empty() ? nullptr : registry.machine(target);
    if (machine != nullptr && is_open(*machine) && unit->schedule.at(target).value &&
        unit->schedule.at(target)->hash == unit->unit->hash) {
      return {};
    }
  }
  Verdict verdict = decide_from_registry(registry, name, mass_loss_percent);
  if (verdict.waiting.empty() && !verdict.decisions.empty() &&
      !verdict.decisions[0].forget_target) {
    return registry.leader().exists() ? "the leader is about to act on it"
                                      : "no engine leads at the moment";
  }
  return verdict.waiting;
}

std::vector<std::pair<std::string, std::string>> refusals(const Registry& registry,
                                                          const std::string& name) {
  std::vector<std::pair<std::string, std::string>> all;
  const Unit* unit = registry.unit(name);
  if (unit == nullptr || !wants_machine(*unit)) return all;
  const std::string target = registry.target_machine(*unit);
  if (const Machine* there = target.empty() ? nullptr : registry.machine(target);
      there != nullptr && there->is_present()) {
    return all;
  }
  for (const auto& [id, machine] : registry.machines()) {
    if (!machine.is_present()) continue;
    const auto why = refusal(name, unit->unit->requirements, id, machine, load_of(registry, id));
    if (why) all.emplace_back(id, *why);
  }
  return all;
}

}  // namespace fleet
