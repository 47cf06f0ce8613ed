#include "api/lists.h"

#include <fmt/format.h>

#include "api/answers.h"
#include "api/json/entities.h"
#include "api/paging.h"
#include "api/views.h"

namespace fleet {

ApiResponse get_info(const Registry& registry, const ApiOptions& options) {
  InfoEntity info;
  info.leader_machine_id = registry.leader().value.value_or("");
  info.machine_id = options.machine_id;
  info.registry = options.registry;
  if (const Entry<std::string>& mark = registry.incomplete(); mark.exists()) {
    info.registry_incomplete = mark.value.value_or(mark.error);
  }
  info.registry_location = options.registry_location;
  info.version = options.version;
  return json_answer(to_json(info));
}

ApiResponse list_units(const Registry& registry, const RequestTarget& target, unsigned limit) {
  Result<Pager> pager = Pager::from(target, limit);
  if (!pager) return error_answer(400, pager.error().message);
  UnitPage page;
  for (const auto& [name, unit] : registry.units()) {
    if (pager->is_full()) break;
    if (!has_unit(unit) || !pager->takes_next()) continue;
    page.units.push_back(unit_entity(registry, name, unit));
    // 1.0 shows a global unit's as `inactive` in lists and not at all alone.
    std::string& current = page.units.back().current_state;
    if (current.empty()) current = to_string(UnitState::inactive);
  }
  page.next_page_token = pager->next_token();
  return json_answer(to_json(page));
}

ApiResponse list_states(const Registry& registry, const RequestTarget& target, unsigned limit) {
  Result<Pager> pager = Pager::from(target, limit);
  if (!pager) return error_answer(400, pager.error().message);
  const std::string machine_wanted = target.first("machineID");
  const std::string unit_wanted = target.first("unitName");
  UnitStatePage page;
  const auto add_states_of = [&](const std::string& name, const Unit& unit) {
    for (const auto& [machine, state] : unit.states) {
      if (!machine_wanted.empty() && machine != machine_wanted) continue;
      if (!state.value || !is_present(registry, machine) || !pager->takes_next()) continue;
      page.states.push_back(unit_state_entity(name, machine, *state.value));
    }
  };
  if (unit_wanted.empty()) {
    for (const auto& [name, unit] : registry.units()) {
      if (pager->is_full()) break;
      add_states_of(name, unit);
    }
  } else if (const Unit* unit = registry.unit(unit_wanted)) {
    add_states_of(unit_wanted, *unit);
  }
  page.next_page_token = pager->next_token();
  return json_answer(to_json(page));
}

ApiResponse list_machines(const Registry& registry, const RequestTarget& target, unsigned limit) {
  Result<Pager> pager = Pager::from(target, limit);
  if (!pager) return error_answer(400, pager.error().message);
  MachinePage page;
  for (const auto& [id, machine] : registry.machines()) {
    if (pager->is_full()) break;
    if (!machine.is_present() || !pager->takes_next()) continue;
    page.machines.push_back(machine_entity(id, machine));
  }
  page.next_page_token = pager->next_token();
  return json_answer(to_json(page));
}

ApiResponse get_unit(const Registry& registry, const std::string& name) {
  const Unit* unit = registry.unit(name);
  if (unit == nullptr || !has_unit(*unit)) {
    return error_answer(404, fmt::format("unit {} does not exist", name));
  }
  // Without its desired state it can still be told what to send again.
  if (!unit->unit.error.empty()) {
    return error_answer(
        500, fmt::format("{}; to mend it, destroy the unit or send it again with its options",
                         unit->unit.error));
  }
  return json_answer(to_json(unit_entity(registry, name, *unit)));
}

ApiResponse get_state(const Registry& registry, const std::string& name) {
  const Unit* unit = registry.unit(name);
  if (unit == nullptr || !has_unit(*unit)) {
    return error_answer(404, fmt::format("unit {} does not exist", name));
  }
  const std::string target = registry.target_machine(*unit);
  std::optional<UnitStateEntity> found;
  for (const auto& [machine, state] : unit->states) {
    if (!state.value || !is_present(registry, machine)) continue;
    if (!found || machine == target) found = unit_state_entity(name, machine, *state.value);
  }
  if (!found) {
    return error_answer(404, fmt::format("no machine has reported a state of unit {}", name));
  }
  return json_answer(to_json(*found));
}

}  // namespace fleet
