// restart: one unit after another, so that of several that serve together one is away at a time.
#include <algorithm>

#include <fmt/format.h>

#include "fleetctl/units.h"
#include "fleetctl/wait.h"

namespace fleet::ctl {
namespace {

Status set_launched(Context& context, const std::string& name) {
  UnitEntity entity;
  entity.name = name;
  entity.desired_state = "launched";
  return context.api.put_unit(entity);
}

// Asks for a restart and returns its number.
Result<std::int64_t> ask_for_restart(Context& context, const PlannedUnit& unit) {
  const auto asked = context.api.restart_unit(unit.name);
  if (!asked) return std::unexpected(asked.error());
  if (!*asked) return fail(ErrorCode::not_found, "somebody has destroyed it meanwhile");
  if (unit.global)
    context.out << "Triggered global unit " << unit.name << " restart\n" << std::flush;
  return **asked;
}

Status restart(Context& context, const PlannedUnit& unit) {
  if (unit.desired == "inactive") {
    // As in 1.0 no failure: there is nothing to restart.
    context.err << "Unable to restart unit " << unit.name << " in state inactive; \"fleetctl start "
                << unit.name << "\" starts it\n";
    return {};
  }
  const bool runs = unit.desired == "launched";
  std::int64_t restarts = 0;
  if (runs) {
    const auto asked = ask_for_restart(context, unit);
    if (!asked) return std::unexpected(asked.error());
    restarts = *asked;
  } else if (Status set = set_launched(context, unit.name); !set) {
    return set;
  }
  if (Status done = wait_for(context, {unit.name}, Goal::launched, restarts); !done) return done;
  context.err << fmt::format("Unit({}) was {}.\n", unit.name,
                             runs ? "restarted" : "only loaded; it has been started");
  return {};
}

}  // namespace

int cmd_restart(Context& context) {
  if (context.args.empty()) {
    context.err << "No units given\n";
    return 0;
  }
  const auto plan = plan_units(context, "inactive");
  if (!plan) {
    context.err << "Error creating units: " << plan.error().message << "\n";
    return 1;
  }
  // As in 1.0 a unit that the cluster does not know is submitted, and no more.
  if (const auto submitted = apply_plan(context, *plan, "inactive"); !submitted) {
    context.err << "Error creating units: " << submitted.error().error.message << "\n";
    return 1;
  }
  for (auto unit = plan->begin(); unit != plan->end(); ++unit) {
    const Status done = restart(context, *unit);
    context.err.flush();
    if (done) continue;
    context.err << fmt::format("Failed to restart units [{}]. err: {}\n", unit->name,
                               done.error().message);
    std::vector<std::string> left;
    std::ranges::transform(unit + 1, plan->end(), std::back_inserter(left), &PlannedUnit::name);
    if (!left.empty()) {
      context.err << fmt::format("Not restarted: [{}].\n", fmt::join(left, " "));
    }
    return 1;
  }
  return 0;
}

}  // namespace fleet::ctl
