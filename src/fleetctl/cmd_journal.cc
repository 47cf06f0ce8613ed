// What a unit has logged, of its machine's journal (behaviour document 6.4).
#include "fleetctl/remote.h"
#include "fleetctl/units.h"
#include "unit/requirements.h"

namespace fleet::ctl {

int cmd_journal(Context& context) {
  if (context.args.size() != 1) {
    context.err << "One unit file must be provided.\n";
    return 1;
  }
  const std::string name = unit_argument(context.args.front()).name;
  const auto unit = context.api.unit(name);
  if (!unit) {
    context.err << "Error retrieving Unit " << name << ": " << unit.error().message << "\n";
    return 1;
  }
  if (!*unit) {
    context.err << "Unit " << name << " does not exist.\n";
    return 1;
  }
  if (requirements_of({(*unit)->options}, split_unit_name(name)).global) {
    context.err << "Unable to retrieve journal of global unit " << name << ".\n"
                << "It runs on several machines; of one of them: fleetctl ssh --machine MACHINE "
                << "journalctl --unit " << name << "\n";
    return 1;
  }
  const std::string& state = (*unit)->current_state;
  if (state.empty() || state == "inactive" || (*unit)->machine_id.empty()) {
    context.err << "Unit " << name << " does not appear to be running.\n";
    return 1;
  }
  Argv words;
  if (context.flags.flag("sudo")) words.emplace_back("sudo");
  words.insert(words.end(), {"journalctl", "--unit", name, "--no-pager", "-n",
                             std::to_string(context.flags.integer("lines")), "--output",
                             context.flags.text("output")});
  if (context.flags.flag("follow")) words.emplace_back("-f");
  return run_on_machine(context, (*unit)->machine_id, words);
}

}  // namespace fleet::ctl
