// What the cluster knows of a unit, and what its machine's systemd says (behaviour document 6.4).
#include <algorithm>

#include <fmt/format.h>

#include "fleetctl/fields.h"
#include "fleetctl/json.h"
#include "fleetctl/remote.h"
#include "fleetctl/units.h"

namespace fleet::ctl {
namespace {

std::string description_of(Context& context, const std::string& name) {
  const auto unit = context.api.unit(name);
  if (!unit || !*unit) return {};
  const auto values = UnitFile{(*unit)->options}.values("Unit", "Description");
  return values.empty() ? std::string() : values.front();
}

// The cluster's facts, then systemd's. Returns what `systemctl status` returns: 0 if the unit is
// running, 3 if it is not.
int show(Context& context, const UnitStatusEntity& unit,
         const Result<std::vector<MachineEntity>>& machines) {
  context.out << status_text(unit, description_of(context, unit.name),
                             machines ? MachineNames(*machines) : MachineNames(), context.coloured);
  if (unit.global) {
    context.out << fmt::format(
        "\nIt runs on several machines; on one of them: fleetctl ssh --machine MACHINE systemctl "
        "status {}\n",
        unit.name);
    return 0;
  }
  context.out.flush();
  if (unit.current_state == "inactive" || unit.current_state.empty() || unit.machine_id.empty()) {
    context.err << "Unit " << unit.name << " does not appear to be loaded.\n";
    return 1;
  }
  context.out << "\n";
  return run_on_machine(context, unit.machine_id, {"systemctl", "status", "-l", unit.name},
                        machines ? &*machines : nullptr);
}

// The cluster's facts as JSON, without asking any machine.
int print_json(Context& context, StatusEntity status,
               const Result<std::vector<MachineEntity>>& machines) {
  std::erase_if(status.units, [](const UnitStatusEntity& unit) { return unit.destroyed; });
  std::map<std::string, std::string> descriptions;
  for (const UnitStatusEntity& unit : status.units) {
    descriptions[unit.name] = description_of(context, unit.name);
  }
  context.out << units_json(status.units, descriptions,
                            machines ? MachineNames(*machines) : MachineNames());
  for (const std::string& name : status.missing) {
    context.err << "Unit " << name << " does not exist.\n";
  }
  return status.missing.empty() ? 0 : 1;
}

}  // namespace

int cmd_status(Context& context) {
  const auto json = wants_json(context.flags);
  if (!json) return refused(context, json.error());
  if (context.args.empty()) {
    if (*json) context.out << units_json({}, {}, {});
    return 0;
  }
  const std::vector<std::string> names = unit_names(context.args);
  const auto status = context.api.status(names);
  if (!status) {
    context.err << "Error retrieving unit status: " << status.error().message << "\n";
    return 1;
  }
  const auto machines = context.api.machines();
  if (*json) return print_json(context, *status, machines);
  bool first = true;
  for (const std::string& name : names) {
    const auto found = std::ranges::find(status->units, name, &UnitStatusEntity::name);
    if (found == status->units.end() || found->destroyed) {
      context.err << "Unit " << name << " does not exist.\n";
      return 1;
    }
    if (!first) context.out << "\n";
    first = false;
    if (const int exit_code = show(context, *found, machines); exit_code != 0) return exit_code;
  }
  return 0;
}

}  // namespace fleet::ctl
