// What keeps units off machines, for judging what fleet decides and says. Found from the registry
// alone, record by record, and on purpose by none of the code that decides.
#pragma once

#include <string>
#include <vector>

#include "cluster/registry.h"

namespace fleet {

// All that is in the way of `unit` on `machine`, each as fleet says it or the beginning of that.
// With `stays` the unit is there already: what has been ordered away from there is not in its way.
// `unit` must be known.
std::vector<std::string> obstacles(const Registry& registry, const std::string& unit,
                                   const std::string& machine, bool stays);

// Whether a record keeps its unit's place on a machine: one that orders it off does not, and of one
// that cannot be read it is not known.
bool keeps_place(const Entry<ScheduleRecord>& record);

// Whether one of the globs matches.
bool any_matches(const std::vector<std::string>& globs, const std::string& name);

}  // namespace fleet
