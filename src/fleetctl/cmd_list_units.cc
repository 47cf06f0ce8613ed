#include "fleetctl/fields.h"
#include "fleetctl/json.h"

namespace fleet::ctl {

int cmd_list_units(Context& context) {
  using State = UnitStateEntity;
  const bool full = context.flags.flag("full");
  MachineNames names;
  const Fields<State> known{
      {"unit", [](const State& s) { return or_dash(s.name); }},
      {"machine", [&](const State& s) { return or_dash(names.text(s.machine_id, full)); }},
      {"load", [](const State& s) { return or_dash(s.systemd_load_state); }},
      {"active",
       [](const State& s) {
         return Cell(or_dash(s.systemd_active_state), colour_of(s.systemd_active_state));
       }},
      {"sub", [](const State& s) { return or_dash(s.systemd_sub_state); }},
      {"hash", [full](const State& s) { return or_dash(hash_text(s.hash, full)); }},
  };
  const auto json = wants_json(context.flags);
  if (!json) return refused(context, json.error());
  const auto fields = chosen_fields(context.flags, known);
  if (!fields) return refused(context, fields.error());
  const auto states = context.api.states();
  if (!states) {
    context.err << "Error retrieving list of units from repository: " << states.error().message
                << "\n";
    return 1;
  }
  // An ID alone is better than no list.
  if (const auto machines = context.api.machines()) names = MachineNames(*machines);
  context.out << (*json ? states_json(*states, names)
                        : list_text(context, known, *fields, *states));
  return 0;
}

}  // namespace fleet::ctl
