// Time as the core sees it: a number that only moves forward, handed in by whoever drives it.
#pragma once

#include <chrono>

namespace fleet {

using Duration = std::chrono::nanoseconds;

// The process's monotonic timeline; in a simulation the virtual clock. Not wall-clock time, and
// not comparable between machines.
struct Timeline {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Timeline, duration>;
  static constexpr bool is_steady = true;
};
using Time = Timeline::time_point;

}  // namespace fleet
