// decide(): what is to be written for one unit, and why. The heart of fleet, and a pure function:
// everything that it knows is in its arguments.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "engine/placement.h"

namespace fleet {

// Why the units of an absent machine are not moved (yet).
enum class Held {
  grace,  // too early to say: the engine has only begun to lead, or was out of contact itself
  brake,  // so many are missing at once that it looks like an outage, not like deaths
};

struct DecideContext {
  Revision term = 0;  // of the leader who decides
  // Absent machines that are taken for lost: their units move, and what they have been ordered to
  // let go of counts as let go of.
  std::set<std::string> dead;
  Held held = Held::grace;  // for the units of other absent machines
};

// One record to be written. With `forget_target` instead: the tombstone of a destroyed unit has
// done its work and goes.
struct Decision {
  std::string unit;
  std::string machine;
  ScheduleRecord record;
  bool forget_target = false;
};

// What went wrong with a unit's place.
enum class Trouble {
  none,
  machine_away,     // its machine was lost, and it moves
  machine_refuses,  // its machine may not run it any more
  no_machine,       // no machine may run it
  circle,           // it replaces what replaces it and has a place, or what it follows
};

struct Verdict {
  std::vector<Decision> decisions;  // to be committed together, if any
  std::string waiting;              // why the unit is not where it should be; empty if it is
  Trouble trouble = Trouble::none;

  bool operator==(const Verdict&) const = default;
};
inline bool operator==(const Decision& a, const Decision& b) {
  return a.unit == b.unit && a.machine == b.machine && a.record == b.record &&
         a.forget_target == b.forget_target;
}

// Decides about the unit called `name` from one revision of the registry and what `placement` adds
// to it. Rules (behaviour document 3.2 with the fixes of its section 8):
//  - What cannot be read, or has vanished without a tombstone, is left as it is.
//  - A unit stays where it is as long as it may run there.
//  - It is placed only when no machine that is there still has it: one machine at a time.
//  - A unit that a machine reports running without a record is adopted there if it may run there
//    and is assigned nowhere; else that machine is ordered to let go of it.
//  - Else the least loaded machine that may run it, then the lowest ID.
Verdict decide(const Registry& registry, const Placement& placement, const std::string& name,
               const DecideContext& context);

// The absent machines that matter, without those that are known to be `dead`.
struct MissingMachines {
  std::set<std::string> machines;  // non-global units are assigned to them
  std::set<std::string> emptied;   // others, that have not let go yet of all that was ordered away
  // Whether so many of `machines` missing at once make it an outage: at least two, and more than
  // `percent` of all machines that are there or missing. (100 or more: never.)
  bool outage = false;
  std::size_t present = 0;  // how many machines are there

  // Whether it could become one if of the machines that are there all but `well` vanish as well.
  bool could_become_outage(std::size_t well, int percent) const;
};
MissingMachines missing_machines(const Registry& registry, const std::set<std::string>& dead,
                                 int percent);

}  // namespace fleet
