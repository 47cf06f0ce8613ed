#include "fleetctl/units.h"

namespace fleet::ctl {

int cmd_stop(Context& context) {
  return take_units(context, {"loaded", "stop", "stopping", "stopped"});
}

}  // namespace fleet::ctl
