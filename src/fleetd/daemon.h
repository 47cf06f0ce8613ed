// fleetd: wires the adapters to a node and lives until it is told to end.
#pragma once

#include <string>

#include "fleetd/config.h"

namespace fleet {

// Runs until SIGTERM or SIGINT. If systemd stops fleet in order to restart it, the units are left
// as they are; if it stops it for good, they are handed over first. Returns the exit status.
int run_daemon(const LoadedConfig& loaded, const std::string& version);

}  // namespace fleet
