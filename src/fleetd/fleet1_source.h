// Reading what fleet 1.0 left in etcd, over the HTTP API of etcd's version 2.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "fleetd/config.h"
#include "fleetd/fleet1_registry.h"

namespace fleet {

// Asks the servers in turn until one answers, with the certificates and the user of `config`. Reads
// what import_fleet1() looks at, by quorum. Fails: unavailable, denied, not_found (there is no
// fleet 1.0), invalid, too_large.
Result<Fleet1Keys> read_fleet1(const std::vector<std::string>& servers, const std::string& prefix,
                               const Config& config);

}  // namespace fleet
