// Waiting for units to get where they were told to go (behaviour document 6.3), by long polls.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fleetctl/command.h"

namespace fleet::ctl {

enum class Goal {
  launched,  // systemd has started it (again), or it has already finished well
  loaded,    // on a machine, not started
  stopped,   // not running anywhere
  inactive,  // on no machine
  gone,      // destroyed, and on no machine
};

// How far a unit is from a goal.
struct Judgement {
  enum class Kind { waiting, reached, failed } kind = Kind::waiting;
  // The state is there that 1.0 reports, though systemd may still be at work.
  bool in_state = false;
  std::string machine;  // where, if on one
  std::string state;    // what to report: launched, loaded, inactive
  std::string text;     // waiting: for what; failed: why
  // Reached, but to be believed only when it has stayed as `evidence` says for this long.
  Duration hold{};
  std::string evidence;
  // Waiting: what is still, or again, so after this long has failed. Zero: it may last.
  Duration patience{};
};

// Pure. `unit` is null if the cluster does not know it. Launched is only what has carried out
// `restarts` of the restarts that were asked for.
Judgement judge(const UnitStatusEntity* unit, Goal goal, std::int64_t restarts = 0);

// Waits until all of `names` reach `goal`, as the flag --block-attempts limits it. Prints 1.0's
// line on stdout for each unit that does, if it is not global; on stderr, when it takes longer than
// a second, what it waits for; on a terminal, of many units, how many are there. The first failure
// ends it. Returns whether all did; if not, the error is what 1.0 says after `Error waiting for
// units: `.
Status wait_for(Context& context, const std::vector<std::string>& names, Goal goal,
                std::int64_t restarts = 0);

}  // namespace fleet::ctl
