#include "fleetctl/units.h"
#include "fleetctl/wait.h"

namespace fleet::ctl {

int cmd_destroy(Context& context) {
  if (context.args.empty()) {
    context.err << "No units given\n";
    return 0;
  }
  int exit_code = 0;
  std::vector<std::string> destroyed;
  for (const std::string& name : unit_names(context.args)) {
    const Result<bool> done = context.api.destroy_unit(name);
    if (!done) {
      context.err << "Error destroying units: " << name << ": " << done.error().message << "\n";
      exit_code = 1;
      if (done.error().code == ErrorCode::unavailable)
        break;  // the next would fail in the same way
    } else if (*done) {
      context.out << "Destroyed " << name << "\n";
      destroyed.push_back(name);
    }
  }
  context.out.flush();
  if (destroyed.empty()) {
    if (exit_code == 0) context.err << "Units not found in registry\n";
    return exit_code;
  }
  // It is decided, and nobody needs to wait for that; who asks to wait, does.
  if (context.flags.integer("block-attempts") == 0 || context.flags.flag("no-block")) {
    return exit_code;
  }
  const Status gone = wait_for(context, destroyed, Goal::gone);
  if (gone) return exit_code;
  context.err << "Error waiting for units: " << gone.error().message << "\n";
  return 1;
}

}  // namespace fleet::ctl
