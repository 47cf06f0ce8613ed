// What a simulated life consists of: its cluster, its units and everything that happens to them, as
// text that can be read, shortened, kept and run again. A plan holds nothing random any more.
//
//   seed 7                          where it comes from; says nothing to the run
//   ttl 30                          agent_ttl in seconds
//   loss 50                         engine_mass_loss_percent
//   line delay=7 jitter=3           what a healthy connection to the store is like, in ms
//   machine m1 odd=yes              a machine and its configured metadata
//   later m2                        its fleetd is of a later version (see spy_store.h)
//   unit u1.service 0 run=sleep conflicts=u2*
//                                   a unit's content 0; a unit may have several
//   @12.345 put m1 u1.service launched 0
//                                   at 12.345 s: an action; see deeds.cc for all of them
//   @300 rest 1800                  all heals, the cluster comes to rest, and nothing may move for
//                                   half an hour; the times that follow count from its end
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/time.h"

namespace fleet {

using Words = std::vector<std::string>;

struct Action {
  Duration at{};
  Words words;

  bool operator==(const Action&) const = default;
};

struct Plan {
  std::vector<Words> setup;
  std::vector<Action> actions;  // in order of their times, from one rest to the next

  bool operator==(const Plan&) const = default;
};

std::string to_text(const Action& action);
std::string to_text(const Plan& plan);
// Fails: invalid, with the line.
Result<Plan> parse_plan(std::string_view text);

// The plan that a seed stands for.
Plan make_plan(std::uint64_t seed);

}  // namespace fleet
