// Taking a command line apart (behaviour document 6.1).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "fleetctl/command.h"

namespace fleet::ctl {

struct CommandLine {
  const Command* command = nullptr;  // null: none was named
  Flags flags;                       // the command's and the global ones, with their defaults
  std::vector<std::string> args;     // of the command
};

// Looks up an environment variable.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// `args` without the program's name. The error is the whole text for stderr, in 1.0's words.
Result<CommandLine> parse_command_line(const std::vector<std::string>& args,
                                       const Environment& environment);

}  // namespace fleet::ctl
