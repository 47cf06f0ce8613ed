// The one unit that includes CLI11, which is heavy.
#include "fleetctl/command_line.h"

#include <algorithm>
#include <cctype>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace fleet::ctl {
namespace {

// The index of the command's name among `args`, args.size() if there is none.
std::size_t find_command_word(const std::vector<std::string>& args) {
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "--") return std::min(i + 1, args.size());
    if (arg.size() < 2 || !arg.starts_with('-')) return i;
    if (arg.find('=') != std::string::npos) continue;
    const FlagSpec* flag = find_any_flag(arg.substr(arg.starts_with("--") ? 2 : 1));
    if (flag != nullptr && flag->type != FlagType::boolean) ++i;
  }
  return args.size();
}

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({change, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row[b.size()];
}

// A slip of the fingers. In a short word any letter would be one.
bool is_alike(std::string_view typed, std::string_view meant) {
  return typed.size() > 2 && distance(typed, meant) <= 2;
}

std::string did_you_mean(const std::vector<std::string>& words) {
  if (words.empty()) return "";
  return fmt::format("\nDid you mean this?\n\t{}\n\n", fmt::join(words, "\n\t"));
}

std::unexpected<Error> unknown_command(const std::string& word,
                                       const std::vector<std::string>& similar) {
  const std::string reason = fmt::format("unknown command \"{}\" for \"fleetctl\"", word);
  std::string text = "Error: " + reason + "\n" + did_you_mean(similar);
  text += "Run 'fleetctl --help' for usage.\n";
  return fail(ErrorCode::invalid, text + "cannot execute cmdFleet: " + reason + "\n");
}

// `hint` is a paragraph of its own, or nothing.
std::unexpected<Error> bad_flag(const std::string& reason, const std::string& hint = "") {
  return fail(ErrorCode::invalid, fmt::format("Error: {0}\n{1}cannot execute cmdFleet: {0}\n",
                                              reason, hint.empty() ? "\n" : hint));
}

// An exact name, or the beginning of exactly one.
Result<const Command*> resolve_command(const std::string& word) {
  if (const Command* command = find_command(word)) return command;
  std::vector<const Command*> begins;
  std::vector<std::string> similar;
  for (const Command& command : commands()) {
    if (command.name.starts_with(word)) begins.push_back(&command);
    if (command.name.starts_with(word) || is_alike(word, command.name)) {
      similar.emplace_back(command.name);
    }
  }
  if (begins.size() == 1) return begins.front();
  return unknown_command(word, similar);
}

// 1.0's words for what CLI11 leaves over, and what may have been meant.
std::unexpected<Error> unknown_flag(const std::string& arg, const Command* command) {
  if (!arg.starts_with("--")) {
    return bad_flag(fmt::format("unknown shorthand flag: '{}' in {}", arg.substr(1, 1), arg));
  }
  const std::string flag = arg.substr(0, arg.find('='));
  std::vector<std::string> similar;
  const auto look = [&](std::span<const FlagSpec> flags) {
    for (const FlagSpec& known : flags) {
      if (is_alike(flag.substr(2), known.name)) similar.push_back(fmt::format("--{}", known.name));
    }
  };
  if (command != nullptr) look(command->flags);
  look(global_flags());
  return bad_flag("unknown flag: " + flag, did_you_mean(similar));
}

class FlagParser {
 public:
  explicit FlagParser(CommandLine& line) : line_(line) {
    app_.set_help_flag();
    app_.allow_extras();
    app_.add_option("args", line.args);
    for (const FlagSpec& flag : global_flags()) add(flag);
    if (line.command != nullptr) {
      for (const FlagSpec& flag : line.command->flags) add(flag);
    }
  }

  Status parse(std::vector<std::string> args) {
    // What follows "--" are no flags, whatever it looks like.
    const auto end = std::ranges::find(args, "--");
    const std::vector<std::string> words(end == args.end() ? end : end + 1, args.end());
    args.erase(end, args.end());
    split_empty_values(args);
    for (std::string& word : args) {
      if (word.starts_with('[')) word.insert(0, 1, kWordMark);
    }
    std::ranges::reverse(args);  // as CLI11 wants them
    try {
      app_.parse(args);
    } catch (const CLI::ParseError& error) {
      const std::string text = error.what();
      const std::string flag = text.substr(0, text.find(':'));
      if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
        return bad_flag("flag needs an argument: " + flag);
      }
      return bad_flag(text);
    }
    if (app_.remaining_size() > 0) {
      return unknown_flag(app_.remaining().front(), line_.command);
    }
    for (const auto& [flag, option] : options_) {
      if (option->count() == 0) continue;
      if (Status set = line_.flags.set(*flag, unmarked(option->results().back())); !set) {
        return bad_flag(set.error().message);
      }
    }
    for (std::string& word : line_.args) word = unmarked(std::move(word));
    line_.args.insert(line_.args.end(), words.begin(), words.end());
    return {};
  }

 private:
  // CLI11 takes a word "[a,b]" apart. One that does not begin with the bracket it leaves alone, and
  // none from outside begins with this.
  static constexpr char kWordMark = '\0';

  static std::string unmarked(std::string word) {
    if (word.starts_with(kWordMark)) word.erase(0, 1);
    return word;
  }

  void add(const FlagSpec& flag) {
    std::string names = fmt::format("--{}", flag.name);
    // 1.0 knows --l only, its documentation -l. And -v by itself only: after a command it would be
    // lost without a word, as that of `fleetctl ssh M grep -v x`.
    const bool is_lost = flag.name == "version" && line_.command != nullptr;
    if (flag.shorthand != 0 && !is_lost) names += fmt::format(",-{0},--{0}", flag.shorthand);
    CLI::Option* option =
        flag.type == FlagType::boolean ? app_.add_flag(names) : app_.add_option(names);
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    options_.emplace_back(&flag, option);
  }

  // "--fields=" has an empty value; CLI11 would take the next argument for it.
  static void split_empty_values(std::vector<std::string>& args) {
    for (std::size_t i = 0; i < args.size(); ++i) {
      if (!args[i].starts_with("--") || args[i].find('=') + 1 != args[i].size()) continue;
      const FlagSpec* flag = find_any_flag(args[i].substr(2, args[i].size() - 3));
      if (flag == nullptr || flag->type == FlagType::boolean) continue;
      args[i].pop_back();
      args.insert(args.begin() + static_cast<std::ptrdiff_t>(i) + 1, "");
    }
  }

  CommandLine& line_;
  CLI::App app_;
  std::vector<std::pair<const FlagSpec*, CLI::Option*>> options_;
};

// FLEETCTL_REQUEST_TIMEOUT for --request-timeout. What is empty or makes no sense is ignored.
void take_environment(Flags& flags, const Environment& environment) {
  for (const FlagSpec& flag : global_flags()) {
    if (flags.given(flag.name) || flag.name == "help" || flag.name == "version") continue;
    std::string name = "FLEETCTL_";
    for (const char c : flag.name) {
      name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    const std::optional<std::string> value = environment(name);
    if (value && !value->empty()) (void)flags.set(flag, *value);
  }
}

}  // namespace

Result<CommandLine> parse_command_line(const std::vector<std::string>& args,
                                       const Environment& environment) {
  CommandLine line;
  std::vector<std::string> rest = args;
  if (const std::size_t word = find_command_word(args); word < args.size()) {
    const auto command = resolve_command(args[word]);
    if (!command) return std::unexpected(command.error());
    line.command = *command;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(word));
  }
  if (Status parsed = FlagParser(line).parse(std::move(rest)); !parsed) {
    return std::unexpected(parsed.error());
  }
  take_environment(line.flags, environment);
  for (const FlagSpec& flag : global_flags()) line.flags.set_default(flag);
  if (line.command != nullptr) {
    for (const FlagSpec& flag : line.command->flags) line.flags.set_default(flag);
  }
  return line;
}

}  // namespace fleet::ctl
