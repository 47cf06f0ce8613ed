#include "unit/unit_name.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include <fmt/format.h>

#include "base/limits.h"
#include "unit/printable.h"

namespace fleet {
namespace {

struct UnitType {
  std::string_view name;
  bool takes_instances;
};

constexpr std::array<UnitType, 13> kUnitTypes{{
    {"automount", false},
    {"busname", false},
    {"device", false},
    {"mount", false},
    {"path", true},
    {"scope", false},
    {"service", true},
    {"slice", false},
    {"snapshot", false},
    {"socket", true},
    {"swap", false},
    {"target", true},
    {"timer", true},
}};

const UnitType* find_unit_type(std::string_view name) {
  const auto* found = std::ranges::find(kUnitTypes, name, &UnitType::name);
  return found == kUnitTypes.end() ? nullptr : found;
}

bool is_name_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view(":-_.\\@").contains(c);
}

std::string type_list(bool only_with_instances) {
  std::string list;
  for (const UnitType& type : kUnitTypes) {
    if (only_with_instances && !type.takes_instances) continue;
    if (!list.empty()) list += ", ";
    list += type.name;
  }
  return list;
}

std::unexpected<Error> bad_name(std::string_view name, const std::string& what) {
  return fail(ErrorCode::invalid, fmt::format("invalid unit name {}: {}", printable(name), what));
}

void replace_all(std::string& text, std::string_view specifier, std::string_view part) {
  std::size_t at = text.find(specifier);
  if (at == std::string::npos) return;
  std::string out;
  std::size_t copied = 0;
  for (; at != std::string::npos; at = text.find(specifier, copied)) {
    out.append(text, copied, at - copied).append(part);
    copied = at + specifier.size();
  }
  out.append(text, copied);
  text = std::move(out);
}

}  // namespace

UnitName split_unit_name(std::string_view full) {
  const std::size_t dot = full.rfind('.');
  const std::string_view name = full.substr(0, dot);
  const std::size_t at = name.find('@');

  UnitName parts;
  parts.full = full;
  parts.name = name;
  parts.prefix = name.substr(0, at);
  parts.has_at = at != std::string_view::npos;
  if (parts.has_at) parts.instance = name.substr(at + 1);
  if (dot != std::string_view::npos) parts.suffix = full.substr(dot);
  return parts;
}

Status check_unit_name(std::string_view name) {
  if (name.empty()) {
    return fail(ErrorCode::invalid, "unit name cannot be empty; one looks like web.service");
  }
  if (name.size() > limits::kUnitNameBytes) {
    return bad_name(
        name, fmt::format("it has {} bytes, {} is the most", name.size(), limits::kUnitNameBytes));
  }
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) {
    return bad_name(name, "it must contain \".\" and a type, as in web.service");
  }
  if (dot == name.size() - 1) {
    return bad_name(name, "it cannot end in \".\"; a type must follow, as in web.service");
  }
  const UnitType* type = find_unit_type(name.substr(dot + 1));
  if (type == nullptr) {
    return bad_name(name, fmt::format("{} is not a unit type; the types are {}",
                                      printable(name.substr(dot + 1)), type_list(false)));
  }
  const std::string_view stem = name.substr(0, dot);
  if (stem.contains('@') && !type->takes_instances) {
    return bad_name(name, fmt::format("a {} has no templates or instances, so that \"@\" cannot "
                                      "occur; {} have",
                                      type->name, type_list(true)));
  }
  const auto* bad = std::ranges::find_if_not(stem, is_name_character);
  if (bad != stem.end()) {
    return bad_name(name, fmt::format("it cannot contain {}; letters, digits and : - _ . \\ @ are "
                                      "allowed",
                                      printable(std::string_view(bad, 1))));
  }
  if (stem.starts_with('@')) {
    return bad_name(name, "it cannot start with \"@\"; a template looks like web@.service");
  }
  return {};
}

bool has_unit_type(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot != std::string_view::npos && find_unit_type(name.substr(dot + 1)) != nullptr;
}

bool systemd_can_have(std::string_view name) {
  const UnitName parts = split_unit_name(name);
  return !parts.is_template() && !parts.name.empty() && parts.suffix != ".busname" &&
         parts.suffix != ".snapshot" && name.size() <= limits::kFileNameBytes;
}

std::string expand_specifiers(std::string_view text, const UnitName& name) {
  std::string out(text);
  if (!text.contains('%')) return out;
  // One after the other, as 1.0 does: what an earlier one put in is seen by the later ones.
  replace_all(out, "%n", name.full);
  replace_all(out, "%N", name.name);
  replace_all(out, "%p", name.prefix);
  replace_all(out, "%i", name.instance);
  return out;
}

}  // namespace fleet
