#include "fleetctl/units.h"

namespace fleet::ctl {

int cmd_unload(Context& context) {
  return take_units(context, {"inactive", "unload", "unloading", "unloaded"});
}

}  // namespace fleet::ctl
