// What --output=json prints: one array, an object a line. The members are documented in
// docs/fleetctl-json.md; each is always there. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/json/entities.h"
#include "api/json/status.h"
#include "fleetctl/format.h"

namespace fleet::ctl {

std::string machines_json(const std::vector<MachineEntity>& machines);

std::string states_json(const std::vector<UnitStateEntity>& states, const MachineNames& machines);

// `descriptions` by unit name.
std::string units_json(const std::vector<UnitStatusEntity>& units,
                       const std::map<std::string, std::string>& descriptions,
                       const MachineNames& machines);

}  // namespace fleet::ctl
