// Who this machine is: its IDs and its address (behaviour document 4.1).
#pragma once

#include <string>

#include "base/error.h"

namespace fleet {

// The contents of /etc/machine-id. Fails: not_found, invalid, saying how to make one.
Result<std::string> read_machine_id(const std::string& path = "/etc/machine-id");

// The kernel's ID of this boot. Fails: not_found.
Result<std::string> read_boot_id();

// The first global IPv4 address of the interface that the default route leaves by; empty if there
// is no default route or no such address.
std::string detect_public_ip();

}  // namespace fleet
