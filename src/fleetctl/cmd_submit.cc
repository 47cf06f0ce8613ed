#include "fleetctl/units.h"

namespace fleet::ctl {

int cmd_submit(Context& context) {
  if (context.args.empty()) {
    context.err << "No units given\n";
    return 0;
  }
  const auto plan = plan_units(context, "inactive");
  if (!plan) {
    context.err << "Error creating units: " << plan.error().message << "\n";
    return 1;
  }
  const auto done = apply_plan(context, *plan, "inactive");
  if (!done) {
    context.err << "Error creating units: " << done.error().error.message << "\n";
    return 1;
  }
  return 0;
}

}  // namespace fleet::ctl
