// What a systemd job's end means to the caller of UnitManager::start, stop and restart.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace fleet {

struct JobEnd {
  std::string verb;         // start, stop, restart
  std::string unit;         // apache.service
  std::string result;       // of the signal JobRemoved: done, failed, canceled ...
  std::string replaced_by;  // "canceled": our own later call that did it, empty if none
  std::string unit_state;   // what the unit is now, "failed (failed)", empty if not known
};

// Success for "done" and, of a start or restart, "skipped"; else ErrorCode::failed.
Status job_status(const JobEnd& end);

}  // namespace fleet
