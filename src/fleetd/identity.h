// Who this machine is: its IDs and its address (behaviour document 4.1).
#pragma once

#include <istream>
#include <string>

#include "base/error.h"

namespace fleet {

// The contents of /etc/machine-id. Fails: not_found, invalid, saying how to make one.
Result<std::string> read_machine_id(const std::string& path = "/etc/machine-id");

// The kernel's ID of this boot. Fails: not_found.
Result<std::string> read_boot_id();

// The interface that the first default route leaves by, of IPv4 if there is one, from the texts of
// /proc/net/route and /proc/net/ipv6_route; empty if there is none.
std::string default_interface(std::istream& routes4, std::istream& routes6);

// The first global IPv4 address of that interface; empty if there is no such route or address.
std::string detect_public_ip();

}  // namespace fleet
