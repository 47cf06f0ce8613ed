#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <malloc.h>

#include "fleetd/command_line.h"
#include "fleetd/config_file.h"
#include "fleetd/daemon.h"
#include "fleetd/registry_command.h"

namespace fleet {
namespace {

constexpr const char* kVersion = FLEET_VERSION;
constexpr const char* kDefaultConfig = "/etc/fleet/fleet.conf";

// All but a little is allocated by one thread, so that a heap for each thread would hold more than
// it saves; and what a long answer took is given back. It is 2 MiB of 29 with 1,000 units
// (mallopt(3)).
void keep_memory_small() {
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_TRIM_THRESHOLD, 256 * 1024);
}

int run(const std::vector<std::string>& arguments) {
  const CommandLine command_line = parse_command_line(arguments, kVersion);
  if (command_line.exit_status) {
    fmt::print("{}", command_line.out);
    fmt::print(stderr, "{}", command_line.error);
    return *command_line.exit_status;
  }
  const ConfigSource source{command_line.config_file.value_or(kDefaultConfig),
                            command_line.config_file.has_value(), own_environment()};
  const auto config = read_config(source);
  if (!config) {
    fmt::print(stderr, "fleetd: {}\n", config.error().message);
    return 1;
  }
  if (command_line.registry) return run_registry_command(*command_line.registry, config->config);
  return run_daemon(*config, source, kVersion);
}

}  // namespace
}  // namespace fleet

int main(int argc, char** argv) {
  fleet::keep_memory_small();
  return fleet::run(std::vector<std::string>(argv + 1, argv + argc));
}
