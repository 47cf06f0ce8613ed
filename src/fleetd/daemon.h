// fleetd: wires the adapters to a node and lives until it is told to end.
#pragma once

#include <string>

#include "fleetd/config_file.h"

namespace fleet {

// Runs until SIGTERM or SIGINT. SIGHUP reads `source`, which `loaded` came from, again. If systemd
// stops fleet in order to restart it, the units are left as they are; if it stops it for good, they
// are handed over first. Returns the exit status.
int run_daemon(const LoadedConfig& loaded, const ConfigSource& source, const std::string& version);

}  // namespace fleet
