#include "fleetctl/units.h"

namespace fleet::ctl {

int cmd_cat(Context& context) {
  if (context.args.size() != 1) {
    context.err << "One unit file must be provided\n";
    return 1;
  }
  const std::string name = unit_argument(context.args.front()).name;
  const auto unit = context.api.unit(name);
  if (!unit) {
    context.err << "Error retrieving Unit " << name << ": " << unit.error().message << "\n";
    return 1;
  }
  if (!*unit) {
    context.err << "Unit " << name << " not found\n";
    return 1;
  }
  context.out << serialize({(*unit)->options});
  return 0;
}

}  // namespace fleet::ctl
