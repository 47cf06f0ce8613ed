// The simulation's random numbers. The same seed gives the same numbers with every standard
// library: mt19937_64 is defined to the bit, the distributions of <random> are not.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "base/time.h"

namespace fleet {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  // 0 ... below - 1, each equally likely as far as it matters here. `below` > 0.
  std::uint64_t pick(std::uint64_t below) { return engine_() % below; }
  // lowest ... highest
  std::int64_t between(std::int64_t lowest, std::int64_t highest) {
    return lowest +
           static_cast<std::int64_t>(pick(static_cast<std::uint64_t>(highest - lowest) + 1));
  }
  bool chance(unsigned percent) { return pick(100) < percent; }
  template <class T>
  const T& one_of(const std::vector<T>& all) {
    return all[pick(all.size())];
  }
  // Short times are as likely as long ones: each power of two between the two alike.
  std::int64_t log_between(std::int64_t lowest, std::int64_t highest) {
    int doublings = 0;
    while (lowest << (doublings + 1) <= highest) ++doublings;
    const std::int64_t low = lowest << pick(static_cast<std::uint64_t>(doublings) + 1);
    return between(low, std::min(highest, 2 * low));
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace fleet
