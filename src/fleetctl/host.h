// The machine that fleetctl runs on, as far as commands need it beside the API. LocalHost is the
// real one (local_host.h).
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace fleet::ctl {

// A program, found in $PATH, and its arguments.
using Argv = std::vector<std::string>;

// How a program ended.
struct ProgramEnd {
  int exit_code = 0;       // 128+n if signal n killed it
  bool logged_in = false;  // it did what kTellLogin says; only ssh does

  bool operator==(const ProgramEnd&) const = default;
};

// What a program runs, in sh, to tell the fleetctl that started it that it has logged in.
inline constexpr const char* kTellLogin = "kill -USR1 $FLEETCTL_PID";

// A program that runs beside fleetctl. It does not outlive this object, nor fleetctl.
class RunningProgram {
 public:
  virtual ~RunningProgram() = default;

  // The stream socket to the program's stdin and from its stdout. The caller's to close, which
  // most programs take for the order to end. Called once.
  virtual int take_stream() = 0;

  // The exit code if the program ends by itself within `patience`.
  virtual std::optional<int> wait(std::chrono::milliseconds patience) = 0;
};

class Host {
 public:
  virtual ~Host() = default;

  // Of /etc/machine-id; empty if there is none.
  virtual std::string machine_id() = 0;

  // The home directory of a user, or of the one that runs fleetctl for an empty name; empty if
  // there is none.
  virtual std::string home(const std::string& user) = 0;

  // Whether a person sits at stdin and stdout.
  virtual bool on_terminal() = 0;

  // The first IP address of a host name; addresses are their own.
  // Fails: unavailable, with the resolver's reason.
  virtual Result<std::string> resolve(const std::string& name) = 0;

  // Runs a program to its end on fleetctl's own stdin, stdout and stderr. Signals that only
  // fleetctl gets are passed on to it. Fails: not_found (no such program), failed (cannot be run).
  virtual Result<ProgramEnd> run(const Argv& argv) = 0;

  // Starts a program on fleetctl's stderr and returns it once it has logged in. There is no limit
  // but `patience`: a person may be answering its questions.
  // Fails: not_found, failed (as run); unavailable (it ended, or did not log in in time).
  virtual Result<std::unique_ptr<RunningProgram>> start(const Argv& argv,
                                                        std::chrono::milliseconds patience) = 0;
};

}  // namespace fleet::ctl
