// Finds a shorter plan that still breaks the same promise.
#pragma once

#include "tests/sim/plan.h"
#include "tests/sim/promise.h"

namespace fleet {

// Leaves actions out of `plan`, which breaks `promise`: by halves first, one by one at last, for as
// long as it goes on breaking it. Runs at most `most_runs` lives.
Plan shorten(Plan plan, Promise promise, int most_runs);

}  // namespace fleet
