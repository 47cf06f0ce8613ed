#include "fleetctl/command.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace fleet::ctl {
namespace {

std::optional<bool> parse_bool(std::string_view text) {
  constexpr std::array kTrue{"1", "t", "T", "true", "TRUE", "True"};
  constexpr std::array kFalse{"0", "f", "F", "false", "FALSE", "False"};
  if (std::ranges::find(kTrue, text) != kTrue.end()) return true;
  if (std::ranges::find(kFalse, text) != kFalse.end()) return false;
  return std::nullopt;
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string wrong(FlagType type, const std::string& value) {
  switch (type) {
    case FlagType::boolean:
      return parse_bool(value) ? "" : "true or false";
    case FlagType::integer:
      return parse_number<long>(value) ? "" : "a whole number";
    case FlagType::number: {
      const auto number = parse_number<double>(value);
      return number && std::isfinite(*number) ? "" : "a number";
    }
    case FlagType::text:
      return "";
  }
  return "";
}

}  // namespace

Status Flags::set(const FlagSpec& spec, const std::string& value) {
  if (const std::string wanted = wrong(spec.type, value); !wanted.empty()) {
    return fail(ErrorCode::invalid, fmt::format("invalid argument \"{}\" for \"--{}\" flag: {} is "
                                                "wanted",
                                                value, spec.name, wanted));
  }
  values_[std::string(spec.name)] = {value, true};
  return {};
}

void Flags::set_default(const FlagSpec& spec) {
  values_.try_emplace(std::string(spec.name), Value{std::string(spec.default_value), false});
}

const Flags::Value& Flags::find(std::string_view name) const {
  static const Value kNone;
  const auto found = values_.find(name);
  return found == values_.end() ? kNone : found->second;
}

bool Flags::given(std::string_view name) const {
  return find(name).given;
}
bool Flags::flag(std::string_view name) const {
  return parse_bool(text(name)).value_or(false);
}
long Flags::integer(std::string_view name) const {
  return parse_number<long>(text(name)).value_or(0);
}
double Flags::number(std::string_view name) const {
  return parse_number<double>(text(name)).value_or(0);
}
const std::string& Flags::text(std::string_view name) const {
  return find(name).text;
}

std::string Context::machine(const std::string& id) {
  if (id.empty()) return {};
  if (!machine_names || !machine_names->knows(id)) {
    // Without the list the ID alone has to do.
    auto list = api.machines();
    if (list) machine_names = MachineNames(*list);
    if (!machine_names) machine_names = MachineNames();
  }
  return machine_names->text(id, false);
}

const Command* find_command(std::string_view name) {
  const auto all = commands();
  const auto found = std::ranges::find(all, name, &Command::name);
  return found == all.end() ? nullptr : &*found;
}

const FlagSpec* find_flag(std::span<const FlagSpec> flags, std::string_view name) {
  const auto found = std::ranges::find_if(flags, [&](const FlagSpec& flag) {
    return flag.name == name || (name.size() == 1 && flag.shorthand == name.front());
  });
  return found == flags.end() ? nullptr : &*found;
}

const FlagSpec* find_any_flag(std::string_view name) {
  if (const FlagSpec* flag = find_flag(global_flags(), name)) return flag;
  for (const Command& command : commands()) {
    if (const FlagSpec* flag = find_flag(command.flags, name)) return flag;
  }
  return nullptr;
}

}  // namespace fleet::ctl
