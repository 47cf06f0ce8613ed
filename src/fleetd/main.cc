// fleetd [-config FILE] [-version] [-h]: one dash or two.

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/limits.h"
#include "fleetd/config.h"
#include "fleetd/daemon.h"

namespace fleet {
namespace {

constexpr const char* kVersion = FLEET_VERSION;
constexpr const char* kDefaultConfig = "/etc/fleet/fleet.conf";
constexpr const char* kUsage =
    "Usage: fleetd [-config FILE] [-version] [-h]\n"
    "\n"
    "  -config FILE   read the configuration from FILE (default: /etc/fleet/fleet.conf, if there)\n"
    "  -version       print the version and end\n"
    "  -h             print this and end\n"
    "\n"
    "Every key of fleet.conf can be set in the environment as FLEET_<KEY>, which wins.\n";

// What the command line asks for; `exit_status` is set when there is nothing to run.
struct CommandLine {
  std::optional<std::string> config_file;
  std::optional<int> exit_status;
};

CommandLine parse_command_line(const std::vector<std::string>& arguments) {
  CommandLine parsed;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string_view word = arguments[i];
    if (word == "version") {
      fmt::print("fleetd version {}\n", kVersion);
      parsed.exit_status = 0;
      return parsed;
    }
    if (!word.starts_with('-')) {
      fmt::print(stderr, "fleetd: unexpected argument \"{}\"\n{}", word, kUsage);
      parsed.exit_status = 1;
      return parsed;
    }
    word.remove_prefix(word.starts_with("--") ? 2 : 1);
    if (word == "version" || word == "h" || word == "help") {
      if (word == "version") {
        fmt::print("fleetd version {}\n", kVersion);
      } else {
        fmt::print("{}", kUsage);
      }
      parsed.exit_status = 0;
      return parsed;
    }
    if (word == "config" && i + 1 < arguments.size()) {
      parsed.config_file = arguments[++i];
    } else if (word.starts_with("config=")) {
      parsed.config_file = std::string(word.substr(7));
    } else {
      fmt::print(stderr, "fleetd: {} \"{}\"\n{}",
                 word == "config" ? "a file name must follow" : "unknown flag", arguments[i],
                 kUsage);
      parsed.exit_status = 2;
      return parsed;
    }
  }
  return parsed;
}

// The text of the configuration file; nothing if there is none and none was asked for.
Result<std::string> read_config_file(const std::string& path, bool required) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    if (!required) return std::string();
    return fail(ErrorCode::not_found, fmt::format("cannot read the configuration file {}: {}", path,
                                                  std::strerror(errno)));
  }
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (file.bad()) {
    return fail(ErrorCode::failed, fmt::format("{} is not a file that can be read", path));
  }
  if (text.size() > limits::kConfigFileBytes) {
    return fail(ErrorCode::too_large,
                fmt::format("{} is larger than {} bytes", path, limits::kConfigFileBytes));
  }
  return text;
}

int run(const std::vector<std::string>& arguments) {
  const CommandLine command_line = parse_command_line(arguments);
  if (command_line.exit_status) return *command_line.exit_status;
  const std::string path = command_line.config_file.value_or(kDefaultConfig);
  const auto text = read_config_file(path, command_line.config_file.has_value());
  if (!text) {
    fmt::print(stderr, "fleetd: {}\n", text.error().message);
    return 1;
  }
  const auto config =
      load_config(path, *text, [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        if (value == nullptr) return std::nullopt;
        return value;
      });
  if (!config) {
    fmt::print(stderr, "fleetd: {}\n", config.error().message);
    return 1;
  }
  return run_daemon(*config, kVersion);
}

}  // namespace
}  // namespace fleet

int main(int argc, char** argv) {
  return fleet::run(std::vector<std::string>(argv + 1, argv + argc));
}
