#include "fleetctl/usage.h"

#include <algorithm>

#include <fmt/format.h>

namespace fleet::ctl {
namespace {

std::string_view type_word(FlagType type) {
  switch (type) {
    case FlagType::integer:
      return " int";
    case FlagType::number:
      return " float";
    case FlagType::text:
      return " string";
    default:
      return "";
  }
}

std::string left_side(const FlagSpec& flag) {
  const std::string shorthand = flag.shorthand == 0 ? "    " : fmt::format("-{}, ", flag.shorthand);
  return fmt::format("{}--{}{}", shorthand, flag.name, type_word(flag.type));
}

std::string right_side(const FlagSpec& flag) {
  if (flag.default_value.empty() || flag.default_value == "0") return std::string(flag.help);
  const char* quote = flag.type == FlagType::text ? "\"" : "";
  return fmt::format("{} (default {}{}{})", flag.help, quote, flag.default_value, quote);
}

std::string flag_list(std::span<const FlagSpec> flags) {
  std::size_t width = 0;
  for (const FlagSpec& flag : flags) width = std::max(width, left_side(flag).size());
  std::string text;
  for (const FlagSpec& flag : flags) {
    text += fmt::format("  {:<{}}   {}\n", left_side(flag), width, right_side(flag));
  }
  return text;
}

std::string indented(std::string_view text) {
  std::string out = "\t";
  for (const char c : text) {
    out += c;
    if (c == '\n') out += '\t';
  }
  return out + "\n";
}

}  // namespace

std::string root_usage(std::string_view version) {
  std::string text =
      "NAME:\n\tfleetctl - fleetctl is a command-line interface to fleet, the cluster-wide init "
      "system.\n\nUSAGE:\n\tfleetctl [flags] COMMAND [flags] [args]\n\n";
  text += fmt::format("VERSION:\n\t{}\n\nCOMMANDS:\n", version);
  std::vector<Row> rows;
  for (const Command& command : commands()) {
    rows.push_back({std::string(command.name), std::string(command.summary)});
  }
  std::string lines = indented(table(rows));
  lines.resize(lines.size() - 2);  // the indentation of the line that does not follow
  text += lines + "\nGLOBAL OPTIONS:\n" + flag_list(global_flags());
  text +=
      "\nGlobal options can also be given in the environment, as FLEETCTL_ENDPOINT for "
      "--endpoint.\nRun \"fleetctl help COMMAND\" for more about a command.\n";
  return text;
}

std::string command_usage(const Command& command) {
  std::string text = fmt::format("NAME:\n\t{} - {}\n\n", command.name, command.summary);
  text += fmt::format("USAGE:\n\tfleetctl {}{}{}\n\n", command.name,
                      command.usage.empty() ? "" : " ", command.usage);
  text += "DESCRIPTION:\n" + indented(command.description) + "\n";
  if (!command.flags.empty()) text += "OPTIONS:\n" + flag_list(command.flags) + "\n";
  return text + "GLOBAL OPTIONS:\n" + flag_list(global_flags());
}

}  // namespace fleet::ctl
