// What a unit asks of the cluster: its [X-Fleet] section (behaviour document 2).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "unit/unit_file.h"
#include "unit/unit_name.h"

namespace fleet {

struct Requirements {
  // The machine that the unit is bound to: a whole machine ID or its first 8 characters. Set and
  // empty means: no machine at all.
  std::optional<std::string> machine_id;
  std::vector<std::string> machine_of;  // exact unit names, all must hold
  // By key: any of the values. Keys and values in order of appearance, none twice.
  std::vector<std::pair<std::string, std::vector<std::string>>> metadata;
  std::vector<std::string> conflicts;  // globs on unit names
  std::vector<std::string> replaces;   // globs on unit names
  bool global = false;

  bool operator==(const Requirements&) const = default;
};

// Reads the requirements of the unit called `name`: aliases, several values on one line,
// specifiers. Never fails: values that mean nothing are left out, as 1.0 does (see
// option_warnings).
Requirements requirements_of(const UnitFile& file, const UnitName& name);

// The same from the text of a unit file, without taking all of it apart. Fails as parse_unit_file.
Result<Requirements> requirements_of(std::string_view text, const UnitName& name);

// Checks a unit file as the API and fleetctl do before they create a unit: that its text can be
// read back, that the combination of [X-Fleet] options is allowed (behaviour document 2, "Option
// checks"). Read back, options may differ from `file` (behaviour document 1.3), as in 1.0: both are
// checked. Fails: invalid, too_large, with a message that names the options.
Status check_unit_file(const UnitFile& file);

struct OptionWarning {
  std::size_t option;  // its index in the file's options
  std::string text;

  bool operator==(const OptionWarning&) const = default;
};

// One sentence for every [X-Fleet] option that will have no effect: unknown names, malformed
// MachineMetadata pairs. In the order of the options. For fleetctl to show.
std::vector<OptionWarning> option_warnings(const UnitFile& file);

// Whether a machine called `id` satisfies `wanted` (Requirements::machine_id).
bool machine_id_matches(const std::string& wanted, const std::string& id);

}  // namespace fleet
