// What a service says to and learns from the systemd that runs it: sd_notify(3), sd_listen_fds(3),
// and why it is being stopped.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/event_loop.h"

namespace fleet {

// The listening sockets that systemd handed over to this process, close-on-exec; empty if none.
// They are handed over once: the environment variables that tell of them are taken away, and mean
// nothing when LISTEN_PID is another process. Fails: failed.
Result<std::vector<int>> inherited_sockets();

// Tell systemd how this service is; does nothing when systemd did not start it. A status is one
// line.
void notify_ready(const std::string& status);
void notify_reloading();  // until the next notify_ready()
void notify_status(const std::string& status);
void notify_stopping(const std::string& status);
void notify_watchdog();
// Asks for `more` from now, also past TimeoutStartSec= or TimeoutStopSec=; to be repeated within it
// for as long as there is something to wait for.
void notify_extend_timeout(std::chrono::seconds more);

// How often systemd wants to hear notify_watchdog() at the latest; zero: not at all.
std::chrono::microseconds watchdog_interval();

// Whether this process's own unit is being stopped in order to be started again, to be asked when
// SIGTERM has come or ExecStop= runs. A job "restart" of the unit says so (`systemctl restart`,
// try-restart, reload-or-restart), and so does a queued "start" (`systemctl stop`, then `start`
// before the stop has ended). A plain stop, a conflicting unit and the machine's shutdown have a
// job "stop"; a signal sent by hand has none: both answer false. `user`: the unit is of the user's
// systemd.
//
// `done` runs once, on the loop, never within the call. Systemd being too busy to answer within
// `patience` is an error: it says nothing about the question.
// Fails: not_found (systemd does not run this process as a service), unavailable, failed.
void restart_pending(FdLoop& loop, bool user, Duration patience,
                     std::function<void(Result<bool>)> done);

}  // namespace fleet
