#include "fleetctl/fields.h"
#include "fleetctl/json.h"

namespace fleet::ctl {

int cmd_list_machines(Context& context) {
  const bool full = context.flags.flag("full");
  const Fields<MachineEntity> known{
      {"machine", [full](const auto& m) { return or_dash(machine_id_text(m.id, full)); }},
      {"ip", [](const auto& m) { return or_dash(m.primary_ip); }},
      {"metadata", [](const auto& m) { return or_dash(metadata_text(m.metadata)); }},
  };
  const auto json = wants_json(context.flags);
  if (!json) return refused(context, json.error());
  const auto fields = chosen_fields(context.flags, known);
  if (!fields) return refused(context, fields.error());
  const auto machines = context.api.machines();
  if (!machines) {
    context.err << "Error retrieving list of active machines from fleet API ("
                << machines.error().message << ")\n"
                << "Possible issues:\n"
                << "  etcd is unhealthy and/or lost quorum\n"
                << "  connection cannot be established to any etcd servers\n";
    return 1;
  }
  context.out << (*json ? machines_json(*machines) : list_text(context, known, *fields, *machines));
  return 0;
}

}  // namespace fleet::ctl
