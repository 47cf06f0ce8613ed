#include "api/views.h"

#include <utility>

namespace fleet {
namespace {

bool is_global(const Unit& unit) {
  return unit.unit.value && unit.unit->requirements.global;
}

UnitOnMachineEntity on_machine(const Unit& unit, const std::string& machine) {
  UnitOnMachineEntity entity;
  entity.machine_id = machine;
  entity.state = to_string(UnitState::inactive);
  if (const auto found = unit.schedule.find(machine); found != unit.schedule.end()) {
    const Entry<ScheduleRecord>& decided = found->second;
    entity.state = decided.value ? to_string(decided->state) : "";
    entity.problem = decided.error;
  }
  if (const auto found = unit.states.find(machine); found != unit.states.end()) {
    const Entry<StateRecord>& said = found->second;
    if (!said.value) {
      entity.problem = said.error;
      return entity;
    }
    entity.current_state = to_string(said->current);
    entity.hash = said->hash;
    entity.systemd_load_state = said->load_state;
    entity.systemd_active_state = said->active_state;
    entity.systemd_sub_state = said->sub_state;
    if (!said->problem.empty()) entity.problem = said->problem;
    entity.restarts = static_cast<std::int64_t>(said->restarts);
  }
  return entity;
}

}  // namespace

bool has_unit(const Unit& unit) {
  return unit.unit.exists() && !(unit.target.value && unit.target->destroyed);
}

UnitEntity unit_entity(const Registry& registry, const std::string& name, const Unit& unit) {
  UnitEntity entity;
  entity.name = name;
  if (unit.target.error.empty()) entity.desired_state = to_string(unit.desired());
  if (unit.unit.value) {
    // It has been parsed when it was decoded, so this cannot fail.
    if (Result<UnitFile> file = parse_unit_file(unit.unit->text)) {
      entity.options = std::move(file->options);
    }
  }
  if (!is_global(unit)) {
    entity.current_state = to_string(registry.current_state(unit));
    entity.machine_id = registry.target_machine(unit);
  }
  return entity;
}

UnitStateEntity unit_state_entity(const std::string& name, const std::string& machine,
                                  const StateRecord& record) {
  UnitStateEntity entity;
  entity.name = name;
  entity.machine_id = machine;
  entity.hash = record.hash;
  entity.systemd_load_state = record.load_state;
  entity.systemd_active_state = record.active_state;
  entity.systemd_sub_state = record.sub_state;
  return entity;
}

MachineEntity machine_entity(const std::string& id, const Machine& machine) {
  MachineEntity entity;
  entity.id = id;
  entity.metadata = machine.metadata;
  if (machine.presence.value) entity.primary_ip = machine.presence->public_ip;
  return entity;
}

bool is_present(const Registry& registry, const std::string& machine) {
  const Machine* found = registry.machine(machine);
  return found != nullptr && found->is_present();
}

UnitStatusEntity unit_status_entity(const Registry& registry, const ApiBackend& backend,
                                    const std::string& name, const Unit& unit) {
  UnitStatusEntity entity;
  entity.name = name;
  entity.destroyed = !has_unit(unit);
  entity.global = is_global(unit);
  entity.desired_state = to_string(unit.desired());
  entity.current_state = to_string(registry.current_state(unit));
  if (unit.unit.value) entity.hash = unit.unit->hash;
  if (unit.target.value) entity.restarts = static_cast<std::int64_t>(unit.target->restarts);
  if (!entity.global) entity.machine_id = registry.target_machine(unit);

  std::set<std::string> machines;
  for (const auto& [machine, entry] : unit.schedule) machines.insert(machine);
  for (const auto& [machine, entry] : unit.states) machines.insert(machine);
  for (const std::string& machine : machines) {
    entity.machines.push_back(on_machine(unit, machine));
    entity.machines.back().absent = !is_present(registry, machine);
  }

  Explanation explanation = backend.explain(registry, name);
  entity.reason = explanation.reason.empty() ? unit.unreadable() : std::move(explanation.reason);
  for (Explanation::Refusal& refusal : explanation.machines) {
    entity.unplaceable.push_back({std::move(refusal.machine), std::move(refusal.reason)});
  }
  return entity;
}

StatusEntity status_entity(const Registry& registry, const ApiBackend& backend,
                           const std::set<std::string>& names) {
  StatusEntity status;
  status.revision = registry.revision();
  if (names.empty()) {
    for (const auto& [name, unit] : registry.units()) {
      status.units.push_back(unit_status_entity(registry, backend, name, unit));
    }
    return status;
  }
  for (const std::string& name : names) {
    const Unit* unit = registry.unit(name);
    if (unit == nullptr || !has_unit(*unit)) status.missing.push_back(name);
    if (unit != nullptr) {
      status.units.push_back(unit_status_entity(registry, backend, name, *unit));
    }
  }
  return status;
}

}  // namespace fleet
