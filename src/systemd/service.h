// What a service says to and learns from the systemd that runs it: sd_notify(3), sd_listen_fds(3).
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"

namespace fleet {

// The listening sockets that systemd handed over to this process, close-on-exec; empty if none.
// Fails: failed.
Result<std::vector<int>> inherited_sockets();

// Tell systemd how this service is; does nothing when systemd did not start it.
void notify_ready(const std::string& status);
void notify_status(const std::string& status);
void notify_stopping(const std::string& status);
void notify_watchdog();

// How often systemd wants to hear notify_watchdog() at the latest; zero: not at all.
std::chrono::microseconds watchdog_interval();

// Whether this process's own unit is being stopped in order to be started again (a job "restart"
// or "try-restart" of it is under way; org.freedesktop.systemd1(5)). Blocks for at most a second.
// Fails: failed, not_found (systemd does not run this process as a service).
Result<bool> restart_is_under_way();

}  // namespace fleet
