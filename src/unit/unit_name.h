// Unit names (behaviour document 1.1; systemd.unit(5)).
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace fleet {

// The parts of a unit name. Made from any text: parts that are not there are empty.
struct UnitName {
  std::string full;      // apache@1.service
  std::string name;      // apache@1   (before the last dot)
  std::string prefix;    // apache     (up to the first '@', or all of `name`)
  std::string instance;  // 1          (after the first '@')
  std::string suffix;    // .service   (the last dot and what follows)

  bool has_at = false;

  // A template: has '@' and no instance. An instance: has both.
  bool is_template() const { return has_at && instance.empty(); }
  bool is_instance() const { return has_at && !instance.empty(); }
  // The template's name of an instance: apache@.service
  std::string template_name() const { return prefix + "@" + suffix; }
};

UnitName split_unit_name(std::string_view full);

// Checks `name` by all rules of behaviour document 1.1, in its order. The error says which rule is
// broken and how a right name looks. Fails: invalid.
Status check_unit_name(std::string_view name);

// Whether `name` ends in a dot and one of the unit types that systemd knows (service, socket ...).
bool has_unit_type(std::string_view name);

// Whether systemd could have a unit of this name in memory. check_unit_name() takes more, as 1.0
// did: templates, types that systemd has given up (busname, snapshot), nothing before the dot, and
// as many bytes as a file name cannot have (systemd.unit(5)).
bool systemd_can_have(std::string_view name);

// Replaces the specifiers %n %N %p %i by parts of `name` (behaviour document 2); others stay.
std::string expand_specifiers(std::string_view text, const UnitName& name);

}  // namespace fleet
