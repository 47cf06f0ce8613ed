// Units as the user names them: names, files, and what is to be put into the cluster for them
// (behaviour document 6.2).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fleetctl/command.h"
#include "unit/unit_file.h"

namespace fleet::ctl {

// A unit argument: `dir/x@1` is the file dir/x@1.service and the unit x@1.service.
struct UnitArgument {
  std::string path;
  std::string name;

  bool operator==(const UnitArgument&) const = default;
};
UnitArgument unit_argument(const std::string& argument);
std::vector<std::string> unit_names(const std::vector<std::string>& arguments);

// The content of a unit, and where it comes from.
struct UnitSource {
  UnitFile file;
  std::string path = {};  // empty: the registry
  std::string text = {};  // of the file at `path`
};

// Reads and parses a unit file; nothing if there is no file of that name.
// Fails: invalid, too_large, denied.
Result<std::optional<UnitSource>> read_unit_file(const std::string& path);

// A unit that a command is to bring to `state` (inactive for submit).
struct PlannedUnit {
  std::string name;
  bool global = false;
  bool create = false;   // it is not in the cluster yet
  bool replace = false;  // it is, with other content
  UnitFile file;         // if one of those
  std::string desired;   // before
};

// Finds out what is to be done for each argument, and checks all of it, before anything is changed:
// from the registry, the file, the template in the registry or the template file beside it.
// Prints warnings. Fails with 1.0's words for what stops the command.
Result<std::vector<PlannedUnit>> plan_units(Context& context, const std::string& state);

// Creates or replaces the units of a plan that need it and sets the state of those that have
// another one. Prints what 1.0 prints. Returns the units whose state was set.
// On failure the error is for `Error creating units: ` or, with `setting`, for the command's own.
struct ApplyFailure {
  Error error;
  bool setting = false;
};
std::expected<std::vector<PlannedUnit>, ApplyFailure> apply_plan(
    Context& context, const std::vector<PlannedUnit>& plan, const std::string& state);

// What a command that sets a state says about itself.
struct Verb {
  std::string_view state;   // that it sets
  std::string_view word;    // Triggered unit x <start>
  std::string_view gerund;  // Error <starting> units
  std::string_view past;    // Successfully <stopped> units
};

// The whole of load and start: plan, apply, and wait as the flags say. Returns the exit code.
int bring_units(Context& context, const Verb& verb);

// The whole of stop and unload.
int take_units(Context& context, const Verb& verb);

}  // namespace fleet::ctl
