#include "fleetctl/complete.h"

#include <algorithm>

#include <fmt/format.h>

#include "unit/printable.h"

namespace fleet::ctl {
namespace {

constexpr std::string_view kRetired = "DEPRECATED";
constexpr std::size_t kShortId = 8;

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

void add_commands(Completion& completion) {
  for (const Command& command : commands()) {
    if (command.summary.starts_with(kRetired)) continue;
    completion.candidates.push_back({std::string(command.name), std::string(command.summary)});
  }
}

void add_flags(Completion& completion, std::span<const FlagSpec> flags) {
  for (const FlagSpec& flag : flags) {
    if (flag.help.starts_with(kRetired)) continue;
    completion.candidates.push_back({fmt::format("--{}", flag.name), std::string(flag.help)});
  }
}

// `values` as Command::arguments.
void add_values(Completion& completion, std::string_view values) {
  for (std::string& value : split(values, '|')) {
    if (value == "@files") {
      completion.files = true;
    } else if (value == "@units") {
      completion.units = true;
    } else if (value == "@machines") {
      completion.machines = true;
    } else if (value == "@commands") {
      add_commands(completion);
    } else {
      completion.candidates.push_back({std::move(value), ""});
    }
  }
}

void add_flag_values(Completion& completion, const FlagSpec& flag) {
  if (flag.type == FlagType::boolean) return add_values(completion, "true|false");
  if (flag.values.find(',') == std::string_view::npos) return add_values(completion, flag.values);
  // A list: what comes after its last comma, and is not yet in it.
  const std::size_t last = completion.begun.rfind(',');
  const std::size_t kept = last == std::string::npos ? 0 : last + 1;
  const std::vector<std::string> given = split(completion.begun.substr(0, kept), ',');
  completion.before += completion.begun.substr(0, kept);
  completion.begun.erase(0, kept);
  for (std::string& value : split(flag.values, ',')) {
    if (std::ranges::find(given, value) == given.end()) {
      completion.candidates.push_back({std::move(value), ""});
    }
  }
}

std::string_view without_dashes(std::string_view flag) {
  return flag.substr(flag.starts_with("--") ? 2 : 1);
}

// The flag of this command line that `word`, which has its dashes, names.
const FlagSpec* flag_of(const CommandLine& line, std::string_view word) {
  const std::string_view name = without_dashes(word);
  const FlagSpec* flag = line.command == nullptr ? nullptr : find_flag(line.command->flags, name);
  return flag != nullptr ? flag : find_flag(global_flags(), name);
}

bool wants_value(const std::string& word) {
  if (word.size() < 2 || !word.starts_with('-') || word.find('=') != std::string::npos) {
    return false;
  }
  const FlagSpec* flag = find_any_flag(without_dashes(word));
  return flag != nullptr && flag->type != FlagType::boolean;
}

void add_arguments(Completion& completion) {
  const CommandLine& line = completion.line;
  if (line.command == nullptr) return add_commands(completion);
  const bool many = line.command->usage.find("...") != std::string_view::npos;
  // After `ssh --unit x` comes a command of that machine.
  const bool named = line.flags.given("machine") || line.flags.given("unit");
  if (named || (!many && !line.args.empty())) return;
  add_values(completion, line.command->arguments);
}

}  // namespace

Completion complete(const std::vector<std::string>& words, const Environment& environment) {
  Completion completion;
  if (words.empty()) return completion;
  completion.begun = words.back();
  std::vector<std::string> before(words.begin(), words.end() - 1);
  const bool only_words = std::ranges::find(before, "--") != before.end();
  std::string flag_word;  // whose value is being typed
  if (!only_words && !before.empty() && wants_value(before.back())) {
    flag_word = before.back();
    before.pop_back();
  }
  auto line = parse_command_line(before, environment);
  if (!line) return completion;
  completion.line = std::move(*line);
  if (flag_word.empty() && !only_words && completion.begun.starts_with("--")) {
    if (const std::size_t equals = completion.begun.find('='); equals != std::string::npos) {
      flag_word = completion.begun.substr(0, equals);
      completion.before = completion.begun.substr(0, equals + 1);
      completion.begun.erase(0, equals + 1);
    }
  }
  if (!flag_word.empty()) {
    const FlagSpec* flag = flag_of(completion.line, flag_word);
    if (flag != nullptr) add_flag_values(completion, *flag);
  } else if (!only_words && completion.begun.starts_with('-')) {
    if (completion.line.command != nullptr) add_flags(completion, completion.line.command->flags);
    add_flags(completion, global_flags());
  } else {
    add_arguments(completion);
  }
  return completion;
}

std::string completion_text(const Completion& completion) {
  std::string text;
  for (const Candidate& candidate : completion.candidates) {
    if (!candidate.word.starts_with(completion.begun)) continue;
    text += completion.before + candidate.word;
    if (!candidate.description.empty()) text += "\t" + candidate.description;
    text += '\n';
  }
  return completion.files ? text + ":files\n" : text;
}

std::vector<Candidate> unit_candidates(const StatusEntity& status,
                                       const std::vector<std::string>& given) {
  std::vector<Candidate> candidates;
  for (const UnitStatusEntity& unit : status.units) {
    if (unit.destroyed || std::ranges::find(given, unit.name) != given.end()) continue;
    candidates.push_back({unit.name, unit.desired_state});
  }
  return candidates;
}

std::vector<Candidate> machine_candidates(const std::vector<MachineEntity>& machines,
                                          const std::string& begun) {
  std::vector<Candidate> candidates;
  for (const MachineEntity& machine : machines) {
    std::string text = machine.primary_ip;
    if (!machine.metadata.empty()) text += " " + metadata_text(machine.metadata);
    candidates.push_back(
        {machine.id.substr(0, std::max(kShortId, begun.size())), on_one_line(std::move(text))});
  }
  return candidates;
}

}  // namespace fleet::ctl
