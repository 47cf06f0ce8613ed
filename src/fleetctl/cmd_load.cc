#include "fleetctl/units.h"

namespace fleet::ctl {

int cmd_load(Context& context) {
  return bring_units(context, {"loaded", "load", "loading", "loaded"});
}

}  // namespace fleet::ctl
