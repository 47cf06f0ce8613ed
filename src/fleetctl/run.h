// fleetctl as a function.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "fleetctl/command_line.h"

namespace fleet::ctl {

// Runs `fleetctl ARGS...`; returns the exit code.
int run_fleetctl(const std::vector<std::string>& args, const Environment& environment, Clock& clock,
                 std::ostream& out, std::ostream& err);

}  // namespace fleet::ctl
