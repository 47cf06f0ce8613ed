// Reading the configuration from where it is kept, at the start and again at SIGHUP.
#pragma once

#include <string>

#include "base/error.h"
#include "fleetd/config.h"

namespace fleet {

struct ConfigSource {
  std::string path;
  bool required = false;  // else a file that is not there is one that sets nothing
  Environment environment;
};

// Reads all of it, and sees to it that the files that it names for TLS can be read. Fails:
// not_found, failed, too_large, invalid; the message names the file, and line and key where it is
// about one.
Result<LoadedConfig> read_config(const ConfigSource& source);

// The environment of this process.
Environment own_environment();

}  // namespace fleet
