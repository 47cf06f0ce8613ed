// Time as fleetctl sees it.
#pragma once

#include <chrono>

#include "base/time.h"

namespace fleet::ctl {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() const = 0;
  virtual void sleep(std::chrono::milliseconds duration) = 0;
};

}  // namespace fleet::ctl
