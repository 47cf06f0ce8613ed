// What the API shows of the registry: pure functions from one revision to entities.
#pragma once

#include <string>
#include <vector>

#include "api/api.h"
#include "api/json/entities.h"
#include "api/json/status.h"
#include "cluster/registry.h"

namespace fleet {

// Whether the user has such a unit, readable or not. What is left of a destroyed one is none.
bool has_unit(const Unit& unit);

// A unit that there is. What cannot be read is left out.
UnitEntity unit_entity(const Registry& registry, const std::string& name, const Unit& unit);

// A unit's state on one machine.
UnitStateEntity unit_state_entity(const std::string& name, const std::string& machine,
                                  const StateRecord& record);

MachineEntity machine_entity(const std::string& id, const Machine& machine);

// Whether the states of a machine count: one that is not there says nothing.
bool is_present(const Registry& registry, const std::string& machine);

// Everything about one name under which something is held.
UnitStatusEntity unit_status_entity(const Registry& registry, const ApiBackend& backend,
                                    const std::string& name, const Unit& unit);

// Everything about `names`, or of all units if it is empty.
StatusEntity status_entity(const Registry& registry, const ApiBackend& backend,
                           const std::set<std::string>& names);

}  // namespace fleet
