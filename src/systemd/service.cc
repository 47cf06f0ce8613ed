#include "systemd/service.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>

#include <systemd/sd-daemon.h>

namespace fleet {

namespace {

// The status is the last field: a line end in it would begin another.
void notify(std::string state, const std::string& status) {
  state += "STATUS=" + status;
  std::replace(state.end() - static_cast<std::ptrdiff_t>(status.size()), state.end(), '\n', ' ');
  sd_notify(0, state.c_str());
}

std::string reason(int negative_errno) {
  return std::strerror(-negative_errno);
}

}  // namespace

Result<std::vector<int>> inherited_sockets() {
  const int count = sd_listen_fds(1);
  if (count < 0) {
    return fail(ErrorCode::failed, "the sockets that systemd hands over: " + reason(count));
  }
  std::vector<int> sockets;
  sockets.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) sockets.push_back(SD_LISTEN_FDS_START + i);
  return sockets;
}

void notify_ready(const std::string& status) {
  notify("READY=1\n", status);
}

void notify_reloading() {
  // The time is what Type=notify-reload of systemd 253 and later asks for; older ones ignore it.
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const std::int64_t usec = std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
  sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", static_cast<long long>(usec));
}

void notify_status(const std::string& status) {
  notify("", status);
}

void notify_stopping(const std::string& status) {
  notify("STOPPING=1\n", status);
}

void notify_watchdog() {
  sd_notify(0, "WATCHDOG=1");
}

void notify_extend_timeout(std::chrono::seconds more) {
  const std::chrono::microseconds usec = more;
  sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%lld", static_cast<long long>(usec.count()));
}

std::chrono::microseconds watchdog_interval() {
  std::uint64_t microseconds = 0;
  if (sd_watchdog_enabled(0, &microseconds) <= 0) return {};
  return std::chrono::microseconds(microseconds);
}

}  // namespace fleet
