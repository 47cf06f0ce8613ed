#include "fleetd/command_line.h"

#include <cstddef>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "fleetd/config_values.h"

namespace fleet {

namespace {

constexpr const char* kUsage =
    "Usage: fleetd [-config FILE] [-version] [-h]\n"
    "       fleetd [-config FILE] registry move [-lost MACHINE]...\n"
    "       fleetd [-config FILE] registry import [-from URL[,URL...]] [-from-prefix PREFIX]\n"
    "                                             [-skip-unreadable] [-lost MACHINE]...\n"
    "\n"
    "  -config FILE   read the configuration from FILE (default: /etc/fleet/fleet.conf, if there)\n"
    "  -version       print the version and end\n"
    "  -h             print this and end\n"
    "\n"
    "registry move fills the empty registry in etcd from the one that is embedded in this\n"
    "machine's fleetd; registry import fills it from what fleet 1.0 left in etcd's version 2.\n"
    "No unit is restarted. What was interrupted is run again.\n"
    "\n"
    "  -lost MACHINE     do not wait for this machine: its units are started elsewhere\n"
    "  -from URL         etcd as fleet 1.0 used it (default: etcd_servers)\n"
    "  -from-prefix P    its key prefix there (default: etcd_key_prefix)\n"
    "  -skip-unreadable  leave out what cannot be read\n"
    "\n"
    "Every key of fleet.conf can be set in the environment as FLEET_<KEY>, which wins.\n"
    "SIGHUP (systemctl reload fleet) reads the configuration again.\n";

CommandLine refuse(int status, const std::string& what) {
  CommandLine refused;
  refused.exit_status = status;
  refused.error = fmt::format("fleetd: {}\n{}", what, kUsage);
  return refused;
}

CommandLine print(std::string text) {
  CommandLine printed;
  printed.exit_status = 0;
  printed.out = std::move(text);
  return printed;
}

// The arguments after "registry".
CommandLine parse_registry(const std::vector<std::string>& arguments, CommandLine parsed) {
  RegistryArguments registry;
  const std::string verb = arguments.empty() ? "" : arguments.front();
  const bool import = verb == "import";
  if (!import && verb != "move") {
    return refuse(2, fmt::format("after registry comes move or import, not \"{}\"", verb));
  }
  if (import) registry.verb = RegistryArguments::Verb::import;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    std::string_view word = arguments[i];
    if (!word.starts_with('-')) {
      return refuse(2, fmt::format("unexpected argument \"{}\"", word));
    }
    word.remove_prefix(word.starts_with("--") ? 2 : 1);
    const std::size_t equals = word.find('=');
    const std::string_view flag = word.substr(0, equals);
    if (flag == "h" || flag == "help") return print(kUsage);
    if (import && word == "skip-unreadable") {
      registry.skip_unreadable = true;
      continue;
    }
    if (flag != "lost" && !(import && (flag == "from" || flag == "from-prefix"))) {
      return refuse(2, fmt::format("unknown flag \"{}\" of registry {}", arguments[i], verb));
    }
    std::string value;
    if (equals != std::string_view::npos) {
      value = word.substr(equals + 1);
    } else if (++i < arguments.size()) {
      value = arguments[i];
    }
    if (value.empty()) return refuse(2, fmt::format("a value must follow -{}", flag));
    if (flag == "lost") registry.lost.insert(value);
    if (flag == "from") registry.from = parse_list(value);
    if (flag == "from-prefix") registry.from_prefix = value;
  }
  parsed.registry = std::move(registry);
  return parsed;
}

}  // namespace

CommandLine parse_command_line(const std::vector<std::string>& arguments,
                               const std::string& version) {
  CommandLine parsed;
  bool show_version = false;
  std::size_t i = 0;
  // Flags end at the first word that is none, or after "--".
  for (; i < arguments.size(); ++i) {
    std::string_view word = arguments[i];
    if (!word.starts_with('-') || word == "-") break;
    word.remove_prefix(word.starts_with("--") ? 2 : 1);
    if (word.empty()) {
      ++i;
      break;
    }
    if (word == "h" || word == "help") return print(kUsage);
    if (word == "version") {
      show_version = true;
    } else if (word == "config") {
      if (++i == arguments.size()) return refuse(2, "a file name must follow -config");
      parsed.config_file = arguments[i];
    } else if (word.starts_with("config=")) {
      parsed.config_file = word.substr(std::string_view("config=").size());
    } else {
      return refuse(2, fmt::format("unknown flag \"{}\"", arguments[i]));
    }
  }
  if (show_version || (i + 1 == arguments.size() && arguments[i] == "version")) {
    return print(fmt::format("fleetd version {}\n", version));
  }
  if (i < arguments.size() && arguments[i] == "registry") {
    const auto rest = arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    return parse_registry({rest, arguments.end()}, std::move(parsed));
  }
  if (i < arguments.size())
    return refuse(1, fmt::format("unexpected argument \"{}\"", arguments[i]));
  return parsed;
}

}  // namespace fleet
