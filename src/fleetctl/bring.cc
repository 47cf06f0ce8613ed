// load and start: units brought to a state.
#include <fmt/format.h>

#include "fleetctl/units.h"
#include "fleetctl/wait.h"

namespace fleet::ctl {
namespace {

int wait_until_there(Context& context, const Verb& verb, const std::vector<std::string>& names) {
  const Goal goal = verb.state == "launched" ? Goal::launched : Goal::loaded;
  const Status done = wait_for(context, names, goal);
  if (done) return 0;
  const std::string& why = done.error().message;
  context.err << "Error waiting for units: " << why << "\n";
  if (why.starts_with("timed out")) {
    context.err << "Error waiting for unit states, exit status: " << why << "\n";
  }
  return 1;
}

}  // namespace

int bring_units(Context& context, const Verb& verb) {
  if (context.args.empty()) {
    context.err << "No units given\n";
    return 0;
  }
  const std::string state(verb.state);
  const auto plan = plan_units(context, state);
  if (!plan) {
    context.err << "Error creating units: " << plan.error().message << "\n";
    return 1;
  }
  const auto changed = apply_plan(context, *plan, state);
  if (!changed) {
    context.err << fmt::format("Error {} units: {}\n",
                               changed.error().setting ? verb.gerund : "creating",
                               changed.error().error.message);
    return 1;
  }
  const bool no_block = context.flags.flag("no-block");
  std::vector<std::string> names;
  for (const PlannedUnit& unit : *changed) {
    names.push_back(unit.name);
    if (unit.global) {
      context.out << "Triggered global unit " << unit.name << " " << verb.word << "\n";
    } else if (no_block) {
      context.out << "Triggered unit " << unit.name << " " << verb.word << "\n";
    }
  }
  context.out.flush();
  return no_block || names.empty() ? 0 : wait_until_there(context, verb, names);
}

}  // namespace fleet::ctl
