// What the cluster knows of a unit. (That systemd's own status of it follows, as in 1.0, is yet to
// come.)
#include <algorithm>

#include "fleetctl/units.h"

namespace fleet::ctl {
namespace {

std::string description_of(Context& context, const std::string& name) {
  const auto unit = context.api.unit(name);
  if (!unit || !*unit) return {};
  const auto values = UnitFile{(*unit)->options}.values("Unit", "Description");
  return values.empty() ? std::string() : values.front();
}

// As `systemctl status` has it: 0 if it is running, 3 if it is not.
int show(Context& context, const UnitStatusEntity& unit, const MachineNames& machines) {
  context.out << status_text(unit, description_of(context, unit.name), machines);
  if (unit.global) return 0;
  if (unit.current_state == "inactive" || unit.current_state.empty()) {
    context.out.flush();
    context.err << "Unit " << unit.name << " does not appear to be loaded.\n";
    return 1;
  }
  const bool active = std::ranges::any_of(unit.machines, [&](const UnitOnMachineEntity& machine) {
    return machine.machine_id == unit.machine_id && (machine.systemd_active_state == "active" ||
                                                     machine.systemd_active_state == "reloading");
  });
  return active ? 0 : 3;
}

}  // namespace

int cmd_status(Context& context) {
  if (context.args.empty()) return 0;
  const std::vector<std::string> names = unit_names(context.args);
  const auto status = context.api.status(names);
  if (!status) {
    context.err << "Error retrieving unit status: " << status.error().message << "\n";
    return 1;
  }
  MachineNames machines;
  if (const auto list = context.api.machines()) machines = MachineNames(*list);
  int exit_code = 0;
  bool first = true;
  for (const std::string& name : names) {
    const auto found = std::ranges::find(status->units, name, &UnitStatusEntity::name);
    int code = 1;
    if (found == status->units.end() || found->destroyed) {
      context.err << "Unit " << name << " does not exist.\n";
    } else {
      if (!first) context.out << "\n";
      first = false;
      code = show(context, *found, machines);
    }
    if (exit_code == 0) exit_code = code;
  }
  return exit_code;
}

}  // namespace fleet::ctl
