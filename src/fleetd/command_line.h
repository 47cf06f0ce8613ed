// fleetd's command line: fleetd [-config FILE] [-version] [-h], with one dash or two (behaviour
// document 7), and what 1.0 did not have: fleetd registry move, fleetd registry import.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace fleet {

// fleetd registry ...: see registry_command.h.
struct RegistryArguments {
  enum class Verb { move, import };
  Verb verb = Verb::move;
  std::set<std::string> lost;     // machines that are not waited for
  std::vector<std::string> from;  // import: etcd's servers; none: those of fleet.conf
  std::string from_prefix;        // import: empty: that of fleet.conf
  bool skip_unreadable = false;   // import

  bool operator==(const RegistryArguments&) const = default;
};

// What the command line asks for. With an `exit_status` there is nothing to run: `out` goes to
// standard output, `error` to standard error, and that was all.
struct CommandLine {
  std::optional<std::string> config_file;
  std::optional<RegistryArguments> registry;  // run this instead of the daemon
  std::optional<int> exit_status;
  std::string out;
  std::string error;
};

// `arguments` are those after the program's name.
CommandLine parse_command_line(const std::vector<std::string>& arguments,
                               const std::string& version);

}  // namespace fleet
