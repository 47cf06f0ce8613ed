// fleetd's configuration: fleet.conf and the environment (behaviour document 7).
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace fleet {

struct Config {
  int verbosity = 0;                      // > 0: debug lines in the log
  std::vector<std::string> etcd_servers;  // none: the registry is embedded in fleetd
  std::string etcd_username;
  std::string etcd_password;
  std::string etcd_cafile;
  std::string etcd_certfile;
  std::string etcd_keyfile;
  std::string etcd_key_prefix = "/_coreos.com/fleet/";
  std::chrono::milliseconds etcd_request_timeout{1000};
  std::string public_ip;
  std::map<std::string, std::string> metadata;
  std::chrono::seconds agent_ttl{30};
  std::string units_directory = "/run/fleet/units/";
  bool systemd_user = false;
  unsigned token_limit = 100;
  bool disable_engine = false;
  // When more than this share of the machines is missing at once, nothing is moved; 100: never.
  int engine_mass_loss_percent = 50;

  bool operator==(const Config&) const = default;
};

struct LoadedConfig {
  Config config;
  std::vector<std::string> warnings;  // one sentence each
  // Where each key was set that was: "/etc/fleet/fleet.conf:3" or "environment variable FLEET_X".
  std::map<std::string, std::string> origins;
};

// All variables of the environment.
using Environment = std::map<std::string, std::string>;

// Reads the text of a fleet.conf (`file_name` is for messages; both empty: no file) and then the
// environment, FLEET_<KEY>, which wins. Unknown keys and those that have lost their meaning are
// warned about, each once. Fails: invalid, with file and line (or variable) and key.
Result<LoadedConfig> load_config(const std::string& file_name, std::string_view text,
                                 const Environment& environment);

// What differs between the settings that fleetd runs with and those that it has read anew.
struct ConfigChanges {
  std::vector<std::string> at_once;     // keys that can change while it runs
  std::vector<std::string> at_restart;  // keys that fleetd reads only when it starts
};
ConfigChanges changes_between(const Config& running, const Config& wanted);

// `running` with those values of `wanted` that can change while fleetd runs.
Config reconfigured(Config running, const Config& wanted);

}  // namespace fleet
