#include "unit/requirements.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <map>
#include <ranges>
#include <set>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include "base/glob.h"
#include "base/limits.h"
#include "unit/printable.h"
#include "unit/unit_file_lexer.h"
#include "unit/white_space.h"

namespace fleet {
namespace {

constexpr std::string_view kFleetSection = "X-Fleet";

// The first characters of a machine ID that stand for all of it.
constexpr std::size_t kShortMachineIdBytes = 8;

// The options' names, deprecated ones included, in the order in which those of one kind are read.
enum Name : std::size_t {
  kMachineId,
  kConditionMachineId,
  kConditionMachineBootId,
  kConditionMachineOf,
  kMachineOf,
  kConditionMachineMetadata,
  kMachineMetadata,
  kXConflicts,
  kConflicts,
  kReplaces,
  kGlobal,
  kNameCount,
};
constexpr std::array<std::string_view, kNameCount> kNames = {
    "MachineID",
    "X-ConditionMachineID",
    "X-ConditionMachineBootID",
    "X-ConditionMachineOf",
    "MachineOf",
    "X-ConditionMachineMetadata",
    "MachineMetadata",
    "X-Conflicts",
    "Conflicts",
    "Replaces",
    "Global",
};

// A line that begins and ends with a quote holds several values: each quote begins or ends a quoted
// part and is dropped, a blank outside of quotes ends a value. Any other line is one value.
std::vector<std::string> split_values(std::string_view line) {
  if (!line.starts_with('"') || !line.ends_with('"')) return {std::string(line)};
  std::vector<std::string> values(1);
  bool in_quotes = false;
  for (const char c : line) {
    if (c == '"') {
      in_quotes = !in_quotes;
    } else if (c == ' ' && !in_quotes) {
      values.emplace_back();
    } else {
      values.back() += c;
    }
  }
  return values;
}

std::vector<std::string> split_at_space(std::string_view text) {
  std::vector<std::string> words;
  text = trimmed(text);
  while (!text.empty()) {
    std::size_t end = 0;
    while (end < text.size() && space_at_front(text.substr(end)) == 0) ++end;
    words.emplace_back(text.substr(0, end));
    text = trimmed(text.substr(end));
  }
  return words;
}

bool is_true(std::string_view value) {
  std::string lower(value);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower == "true" || lower == "yes" || lower == "1" || lower == "on" || lower == "t";
}

// The two sides of a key=value pair; nothing if there is not exactly one '=' or a side is empty.
std::optional<std::pair<std::string_view, std::string_view>> split_pair(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == 0 || equals == std::string_view::npos || equals + 1 == text.size()) return {};
  if (text.substr(equals + 1).contains('=')) return {};
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

// Keys, and the values of each, in order of first appearance. Maps find them again, for the sake of
// files with very many.
void group_metadata(std::span<const std::string> pairs, Requirements& wanted) {
  std::map<std::string_view, std::size_t> index_by_key;
  std::set<std::string_view> seen;
  for (const std::string& pair : pairs) {
    const auto sides = split_pair(pair);
    if (!sides || !seen.insert(pair).second) continue;
    const auto [it, is_new] = index_by_key.try_emplace(sides->first, wanted.metadata.size());
    if (is_new) wanted.metadata.emplace_back(sides->first, std::vector<std::string>());
    wanted.metadata[it->second].second.emplace_back(sides->second);
  }
}

using ValuesByName = std::array<std::vector<std::string>, kNameCount>;

// Without `name` the specifiers stay as they are.
ValuesByName values_by_name(const std::vector<UnitOption>& options, const UnitName* name) {
  ValuesByName values;
  for (const UnitOption& option : options) {
    if (option.section != kFleetSection) continue;
    const auto* known = std::ranges::find(kNames, option.name);
    if (known == kNames.end()) continue;
    auto& found = values[static_cast<std::size_t>(known - kNames.begin())];
    for (std::string& value : split_values(option.value)) {
      found.push_back(name == nullptr ? std::move(value) : expand_specifiers(value, *name));
    }
  }
  return values;
}

void append(std::vector<std::string>& to, std::vector<std::string>& from) {
  std::ranges::move(from, std::back_inserter(to));
}

Requirements requirements_from(ValuesByName values) {
  Requirements wanted;
  for (const Name name : {kMachineId, kConditionMachineId, kConditionMachineBootId}) {
    if (!wanted.machine_id && !values[name].empty()) wanted.machine_id = values[name].front();
  }
  for (const Name name : {kConditionMachineOf, kMachineOf}) {
    append(wanted.machine_of, values[name]);
  }
  std::vector<std::string> pairs = std::move(values[kConditionMachineMetadata]);
  append(pairs, values[kMachineMetadata]);
  group_metadata(pairs, wanted);
  for (const Name name : {kXConflicts, kConflicts}) {
    for (const std::string& value : values[name]) {
      auto globs = split_at_space(value);
      append(wanted.conflicts, globs);
    }
  }
  wanted.replaces = std::move(values[kReplaces]);
  wanted.global = !values[kGlobal].empty() && is_true(values[kGlobal].back());
  return wanted;
}

std::size_t total_bytes(const std::vector<std::string>& texts) {
  std::size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size() + 1;
  return bytes;
}

Status check_peers(const std::vector<std::string>& peers, const std::vector<std::string>& globs,
                   std::string_view option) {
  if (total_bytes(peers) * total_bytes(globs) > limits::kPeerMatchWork) {
    return fail(ErrorCode::too_large,
                fmt::format("too many or too long values of MachineOf and {}", option));
  }
  for (const std::string& peer : peers) {
    for (const std::string& glob : globs) {
      if (!glob_match(glob, peer)) continue;
      return fail(ErrorCode::invalid,
                  fmt::format("unresolvable requirements: MachineOf={} matches {}={}",
                              printable(peer), option, printable(glob)));
    }
  }
  return {};
}

// Which options go together. The values are seen as they are written, specifiers included, because
// a template is checked as such.
Status check_combination(const Requirements& wanted) {
  if (auto status = check_peers(wanted.machine_of, wanted.conflicts, "Conflicts"); !status) {
    return status;
  }
  if (auto status = check_peers(wanted.machine_of, wanted.replaces, "Replaces"); !status) {
    return status;
  }
  const bool machine_id = wanted.machine_id.has_value();
  const bool machine_of = !wanted.machine_of.empty();
  const bool conflicts = !wanted.conflicts.empty();
  const bool replaces = !wanted.replaces.empty();
  std::string_view first;
  std::string_view second;
  const auto exclude = [&](bool both, std::string_view one, std::string_view other) {
    if (!both || !first.empty()) return;
    first = one;
    second = other;
  };
  exclude(machine_id && machine_of, "MachineID", "MachineOf");
  exclude(machine_id && conflicts, "MachineID", "Conflicts");
  exclude(machine_id && wanted.global, "MachineID", "Global");
  exclude(machine_id && replaces, "MachineID", "Replaces");
  exclude(wanted.global && machine_of, "Global", "MachineOf");
  exclude(wanted.global && replaces, "Global", "Replaces");
  exclude(conflicts && replaces, "Conflicts", "Replaces");
  if (first.empty()) return {};
  return fail(ErrorCode::invalid,
              fmt::format("{} cannot be used with {} in [X-Fleet]", first, second));
}

// The options of [X-Fleet] in the text of a unit file.
Result<std::vector<UnitOption>> read_fleet_options(std::string_view text) {
  UnitFileLexer lexer(text);
  OptionView option;
  std::vector<UnitOption> found;
  while (true) {
    const auto more = lexer.next(option);
    if (!more) return std::unexpected(more.error());
    if (!*more) return found;
    if (option.section != kFleetSection) continue;
    found.emplace_back(std::string(option.section), std::string(option.name),
                       std::string(option.value));
  }
}

}  // namespace

Requirements requirements_of(const UnitFile& file, const UnitName& name) {
  return requirements_from(values_by_name(file.options, &name));
}

Result<Requirements> requirements_of(std::string_view text, const UnitName& name) {
  const auto options = read_fleet_options(text);
  if (!options) return std::unexpected(options.error());
  return requirements_from(values_by_name(*options, &name));
}

Status check_unit_file(const UnitFile& file) {
  if (file.options.size() > limits::kUnitFileOptions) {
    return fail(ErrorCode::too_large, fmt::format("too many options in a unit file: {} (max {})",
                                                  file.options.size(), limits::kUnitFileOptions));
  }
  // As whoever reads the unit from the registry will find it.
  const auto stored = read_fleet_options(serialize(file));
  if (!stored) return std::unexpected(with_context(stored.error(), "unusable unit options"));
  // What was sent is checked, as 1.0 does, and also what it becomes where the two differ: a newline
  // in a value must not bring in options that are not checked.
  const auto sent = requirements_from(values_by_name(file.options, nullptr));
  if (auto status = check_combination(sent); !status) return status;
  auto sent_options = std::views::filter(
      file.options, [](const UnitOption& option) { return option.section == kFleetSection; });
  if (std::ranges::equal(sent_options, *stored)) return {};
  return check_combination(requirements_from(values_by_name(*stored, nullptr)));
}

std::vector<OptionWarning> option_warnings(const UnitFile& file) {
  std::vector<OptionWarning> warnings;
  for (std::size_t i = 0; i < file.options.size(); ++i) {
    const UnitOption& option = file.options[i];
    if (option.section != kFleetSection) continue;
    if (std::ranges::find(kNames, option.name) == kNames.end()) {
      warnings.push_back({i, "unrecognized requirement in [X-Fleet] section: " +
                                 printable(option.name) + " has no effect"});
      continue;
    }
    if (option.name != kNames[kMachineMetadata] &&
        option.name != kNames[kConditionMachineMetadata]) {
      continue;
    }
    for (const std::string& value : split_values(option.value)) {
      if (split_pair(value)) continue;
      const bool several = split_at_space(value).size() > 1;
      warnings.push_back(
          {i, fmt::format(
                  "{} value {} in [X-Fleet] section is not one key=value pair and has no effect{}",
                  option.name, printable(value),
                  several ? "; put each of several pairs in double quotes or on a line of its own"
                          : "")});
    }
  }
  return warnings;
}

bool machine_id_matches(const std::string& wanted, const std::string& id) {
  if (wanted.empty()) return false;
  return wanted == id || (wanted.size() == kShortMachineIdBytes && id.starts_with(wanted));
}

}  // namespace fleet
