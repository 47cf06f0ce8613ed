#include "tests/sim/shorten.h"

#include <algorithm>

#include "tests/sim/life.h"

namespace fleet {

Plan shorten(Plan plan, Promise promise, int most_runs) {
  int runs = 0;
  const auto still_breaks = [&](const Plan& shorter) {
    ++runs;
    const Result<Outcome> outcome = live(shorter);
    return outcome && outcome->has_broken(promise);
  };
  bool found = true;
  for (std::size_t piece = plan.actions.size() / 2; piece > 0;) {
    found = false;
    // From the end, where what comes after the failure is.
    for (std::size_t end = plan.actions.size(); end > 0 && runs < most_runs;) {
      const std::size_t begin = end > piece ? end - piece : 0;
      Plan shorter = plan;
      shorter.actions.erase(shorter.actions.begin() + static_cast<std::ptrdiff_t>(begin),
                            shorter.actions.begin() + static_cast<std::ptrdiff_t>(end));
      if (still_breaks(shorter)) {
        plan = std::move(shorter);
        found = true;
      }
      end = begin;
    }
    if (runs >= most_runs) break;
    piece = piece > 1 ? piece / 2 : (found ? 1 : 0);
  }
  return plan;
}

}  // namespace fleet
