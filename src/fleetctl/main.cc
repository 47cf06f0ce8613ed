#include <cstdlib>
#include <iostream>
#include <thread>

#include <unistd.h>

#include "fleetctl/local_host.h"
#include "fleetctl/run.h"

namespace {

class SystemClock final : public fleet::ctl::Clock {
 public:
  fleet::Time now() const override {
    return fleet::Time(std::chrono::steady_clock::now().time_since_epoch());
  }
  void sleep(std::chrono::milliseconds duration) override { std::this_thread::sleep_for(duration); }
};

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  SystemClock clock;
  fleet::ctl::LocalHost host;
  const std::vector<std::string> args(argv + (argc > 0 ? 1 : 0), argv + argc);
  return fleet::ctl::run_fleetctl(args, {environment, clock, host, std::cout, std::cerr,
                                         isatty(STDOUT_FILENO) == 1, isatty(STDERR_FILENO) == 1});
}
