// The help texts. Pure.
#pragma once

#include <string>

#include "fleetctl/command.h"

namespace fleet::ctl {

std::string root_usage(std::string_view version);
std::string command_usage(const Command& command);

}  // namespace fleet::ctl
