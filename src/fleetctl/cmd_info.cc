#include <fmt/format.h>

#include "fleetctl/fields.h"

namespace fleet::ctl {

int cmd_info(Context& context) {
  const auto info = context.api.info();
  if (!info) {
    context.err << "Error retrieving what serves the cluster: " << info.error().message << "\n";
    return 1;
  }
  const auto line = [&context](const char* what, const std::string& value) {
    context.out << fmt::format("{:>10}: {}\n", what, or_dash(value));
  };
  line("fleetd", info->version);
  line("Machine", info->machine_id);
  line("Registry", info->registry + ", " + info->registry_location);
  if (!info->registry_incomplete.empty()) line("Incomplete", info->registry_incomplete);
  line("Leader", info->leader_machine_id);
  return 0;
}

}  // namespace fleet::ctl
