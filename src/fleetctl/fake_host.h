// A Host for tests: it runs nothing, but expects the programs that it is told of.
#pragma once

#include <array>
#include <deque>
#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fleetctl/fd_forward.h"
#include "fleetctl/ssh_command.h"

namespace fleet::ctl {

class FakeHost final : public Host {
 public:
  struct Expected {
    std::string line;  // the program and its arguments, as for a shell
    ProgramEnd end{0, true};
    bool missing = false;     // there is no such program
    std::string stream = {};  // the unix socket that it leads to; none: it ends at once
  };

  std::string machine_id() override { return id; }
  std::string home(const std::string& user) override {
    return user.empty() ? own_home : own_home + "/../" + user;
  }
  bool on_terminal() override { return terminal; }

  Result<std::string> resolve(const std::string& name) override {
    if (name == "bastion") return "10.0.0.9";
    if (name == "nowhere") return fail(ErrorCode::unavailable, "cannot resolve nowhere: unknown");
    return name;
  }

  Result<ProgramEnd> run(const Argv& argv) override {
    const Expected next = take(argv);
    if (next.missing) return fail(ErrorCode::not_found, "cannot run " + argv.front());
    return next.end;
  }

  Result<std::unique_ptr<RunningProgram>> start(const Argv& argv,
                                                std::chrono::milliseconds /*patience*/) override {
    const Expected next = take(argv);
    if (next.missing) return fail(ErrorCode::not_found, "cannot run " + argv.front());
    if (!next.end.logged_in) {
      return fail(ErrorCode::unavailable,
                  argv.front() + " ended with exit status " + std::to_string(next.end.exit_code));
    }
    if (!next.stream.empty()) {
      return std::make_unique<Program>(*connect_unix_socket(next.stream), std::nullopt);
    }
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
    ::close(ends[1]);
    return std::make_unique<Program>(ends[0], next.end.exit_code);
  }

  // What was run and not expected, and the other way round.
  std::string complaints() {
    for (const Expected& left : expected) surprises_ += "not run: " + left.line + "\n";
    return std::exchange(surprises_, "");
  }

  std::string id = "fffffffffffffffffffffffffffffff0";
  std::string own_home = "/home/me";
  bool terminal = false;
  std::deque<Expected> expected;

 private:
  class Program final : public RunningProgram {
   public:
    Program(int stream, std::optional<int> exit_code) : stream_(stream), exit_code_(exit_code) {}
    int take_stream() override { return stream_; }
    std::optional<int> wait(std::chrono::milliseconds /*patience*/) override { return exit_code_; }

   private:
    const int stream_;
    const std::optional<int> exit_code_;
  };

  Expected take(const Argv& argv) {
    const std::string line = shell_line(argv);
    if (expected.empty() || expected.front().line != line) {
      surprises_ += "run: " + line + "\n";
      return {line, {99, false}};
    }
    Expected next = expected.front();
    expected.pop_front();
    return next;
  }

  std::string surprises_;
};

}  // namespace fleet::ctl
