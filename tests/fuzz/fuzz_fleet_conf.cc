// fleet.conf, and after a NUL byte the environment, a variable on each line.

#include "fleetd/config.h"
#include "tests/fuzz/fuzz.h"

using namespace fleet;

namespace {

Environment environment_of(std::string_view text) {
  Environment environment;
  while (!text.empty()) {
    std::string_view line = fuzz::take_until(text, '\n');
    const std::string name(fuzz::take_until(line, '='));
    environment[name] = line;
  }
  return environment;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = fuzz::text_of(data, size);
  const std::string_view text = fuzz::take_until(rest, '\0');
  const Environment environment = environment_of(rest);
  const Result<LoadedConfig> loaded = load_config("/etc/fleet/fleet.conf", text, environment);
  if (!loaded) {
    fuzz::check_error(loaded);
    // It names where the mistake stands.
    const std::string& message = loaded.error().message;
    HOLDS(message.find("/etc/fleet/fleet.conf") != std::string::npos ||
          message.find("FLEET_") != std::string::npos);
    return 0;
  }
  const Config& config = loaded->config;
  // None means an embedded registry: only where nobody has said anything.
  HOLDS(config.etcd_servers.empty() == !loaded->origins.contains("etcd_servers"));
  HOLDS(config.agent_ttl.count() > 0);
  HOLDS(config.etcd_request_timeout.count() >= 0);
  HOLDS(config.token_limit > 0);
  HOLDS(config.engine_mass_loss_percent >= 0 && config.engine_mass_loss_percent <= 100);
  for (const std::string& warning : loaded->warnings) HOLDS(!warning.empty());
  for (const auto& [key, origin] : loaded->origins) HOLDS(!key.empty() && !origin.empty());

  // Loading is a function of its arguments; and a reload leads to what is wanted, but for what only
  // a restart can change.
  HOLDS(load_config("/etc/fleet/fleet.conf", text, environment)->config == config);
  HOLDS(changes_between(config, config).at_once.empty());
  HOLDS(changes_between(config, config).at_restart.empty());
  const Config reloaded = reconfigured(Config(), config);
  HOLDS(changes_between(reloaded, config).at_once.empty());
  HOLDS(changes_between(reloaded, config).at_restart ==
        changes_between(Config(), config).at_restart);
  return 0;
}
