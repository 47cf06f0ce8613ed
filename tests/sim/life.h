// One simulated life of a cluster, by a plan.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/plan.h"
#include "tests/sim/promise.h"

namespace fleet {

struct Outcome {
  std::vector<Broken> broken;                      // in the order in which it happened
  std::uint64_t trace_hash = 0xcbf29ce484222325U;  // of everything that was seen to happen
  Duration lived{};                                // virtual time
  Duration slowest_rest{};                         // the longest time from heal to rest
  std::vector<std::string> trace;

  bool has_broken(Promise promise) const;
};

enum class Trace { hash_only, keep };

// Runs the whole plan. Fails: invalid, if it is not one.
Result<Outcome> live(const Plan& plan, Trace trace = Trace::hash_only);

}  // namespace fleet
