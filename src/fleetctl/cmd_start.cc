#include "fleetctl/units.h"

namespace fleet::ctl {

int cmd_start(Context& context) {
  return bring_units(context, {"launched", "start", "starting", "started"});
}

}  // namespace fleet::ctl
