// fleetd's configuration: fleet.conf and the environment (behaviour document 7).
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace fleet {

struct Config {
  int verbosity = 0;  // > 0: debug lines in the log
  std::vector<std::string> etcd_servers = {"http://127.0.0.1:2379", "http://127.0.0.1:4001"};
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
};

struct LoadedConfig {
  Config config;
  std::vector<std::string> warnings;  // one sentence each: unknown and retired keys
};

// Looks up a variable of the environment; nothing if it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// Reads the text of a fleet.conf (`file_name` is for messages; both empty: no file) and then the
// environment, FLEET_<KEY>, which wins. Fails: invalid, with file (or variable), line and key.
Result<LoadedConfig> load_config(const std::string& file_name, std::string_view text,
                                 const Environment& environment);

// "1h30m", "5s", "500ms" (Go's time.ParseDuration). Fails: invalid.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// "k=v,k2=v2" (behaviour document 7, `metadata`).
std::map<std::string, std::string> parse_metadata(std::string_view text);

}  // namespace fleet
