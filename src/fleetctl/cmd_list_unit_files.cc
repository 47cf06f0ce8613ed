#include <algorithm>

#include "fleetctl/fields.h"
#include "fleetctl/json.h"
#include "unit/unit_file.h"

namespace fleet::ctl {
namespace {

std::map<std::string, std::string> descriptions_of(const std::vector<UnitEntity>& units) {
  std::map<std::string, std::string> descriptions;
  for (const UnitEntity& unit : units) {
    const auto values = UnitFile{unit.options}.values("Unit", "Description");
    if (!values.empty()) descriptions[unit.name] = values.front();
  }
  return descriptions;
}

int failed(Context& context, const Error& error) {
  context.err << "Error retrieving list of units from repository: " << error.message << "\n";
  return 1;
}

}  // namespace

int cmd_list_unit_files(Context& context) {
  using Unit = UnitStatusEntity;
  const bool full = context.flags.flag("full");
  MachineNames names;
  std::map<std::string, std::string> descriptions;
  const auto place = [&](const Unit& unit) { return or_dash(names.text(unit.machine_id, full)); };
  const Fields<Unit> known{
      {"unit", [](const Unit& u) { return or_dash(u.name); }},
      {"hash", [full](const Unit& u) { return or_dash(hash_text(u.hash, full)); }},
      {"dstate", [](const Unit& u) { return or_dash(u.desired_state); }},
      // A global unit has one on each machine.
      {"state", [](const Unit& u) { return or_dash(u.global ? "" : u.current_state); }},
      // As in the releases before 1.0.
      {"tmachine",
       [place](const Unit& u) {
         if (!u.global) return place(u);
         return u.desired_state == "inactive" ? "-" : global_spread(u);
       }},
      {"target", [place](const Unit& u) { return u.global ? "global" : place(u); }},
      {"global", [](const Unit& u) { return std::string(u.global ? "true" : "false"); }},
      {"desc", [&](const Unit& u) { return or_dash(descriptions[u.name]); }},
  };
  const auto json = wants_json(context.flags);
  if (!json) return refused(context, json.error());
  const auto fields = chosen_fields(context.flags, known);
  if (!fields) return refused(context, fields.error());
  if (std::ranges::find(*fields, "tmachine") != fields->end()) {
    context.err << "WARNING: The \"tmachine\" field is deprecated. Use \"target\" instead\n";
  }
  auto status = context.api.status({});
  if (!status) return failed(context, status.error());
  // What is left of a unit on its machines after it was destroyed is no unit file.
  std::erase_if(status->units, [](const Unit& unit) { return unit.destroyed; });
  if (*json || std::ranges::find(*fields, "desc") != fields->end()) {
    const auto units = context.api.units();
    if (!units) return failed(context, units.error());
    descriptions = descriptions_of(*units);
  }
  // An ID alone is better than no list.
  if (const auto machines = context.api.machines()) names = MachineNames(*machines);
  context.out << (*json ? units_json(status->units, descriptions, names)
                        : list_text(context, known, *fields, status->units));
  return 0;
}

}  // namespace fleet::ctl
