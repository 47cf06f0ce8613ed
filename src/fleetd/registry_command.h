// fleetd registry move, fleetd registry import: filling etcd's registry from the embedded one, or
// from what fleet 1.0 left in etcd (docs/registry.md).
#pragma once

#include <string>

#include "fleetd/command_line.h"
#include "fleetd/config.h"

namespace fleet {

// Runs the command to its end and returns the exit status. Says what it does on standard output,
// and what went wrong on standard error. Nothing is changed by one that is refused, and one that
// was interrupted can be run again.
int run_registry_command(const RegistryArguments& arguments, const Config& config);

}  // namespace fleet
