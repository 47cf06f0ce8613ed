// Child processes of fleetctl. They die with it, whatever happens to it, and are always waited for.
#pragma once

#include <chrono>
#include <csignal>
#include <initializer_list>
#include <optional>

#include <sys/types.h>

#include "fleetctl/host.h"

namespace fleet::ctl {

// Blocks signals while it lives, so that they can be waited for. For single-threaded programs.
class BlockedSignals {
 public:
  explicit BlockedSignals(std::initializer_list<int> signals);
  ~BlockedSignals();
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

  using Deadline = std::chrono::steady_clock::time_point;

  // The next of the signals, pending or to come; nothing if the deadline passes first.
  std::optional<siginfo_t> wait() const;
  std::optional<siginfo_t> wait_until(Deadline deadline) const;

  const sigset_t& before() const { return before_; }

 private:
  sigset_t set_{};
  sigset_t before_{};
};

class ChildProcess {
 public:
  // Starts `argv` with the signal mask of before `signals`, which block SIGCHLD. Its stdin and
  // stdout are `stdio`, or fleetctl's if that is negative.
  // The program finds fleetctl's process ID in $FLEETCTL_PID, and /bin/sh in $SHELL, with which ssh
  // runs the commands that it is given for this side.
  // Fails: not_found (no such program), failed.
  static Result<ChildProcess> start(const Argv& argv, int stdio, const BlockedSignals& signals);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();  // ends it if it still runs

  // The exit code, 128+n after signal n, once it has ended.
  std::optional<int> ended();

  // The same if it ends before the deadline. `signals` block SIGCHLD.
  std::optional<int> ended_by(BlockedSignals::Deadline deadline, const BlockedSignals& signals);

  void signal(int number);

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}

  pid_t pid_;
  std::optional<int> exit_code_;
};

}  // namespace fleet::ctl
