#include "fleetctl/local_host.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include <fmt/format.h>
#include <netdb.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fleetctl/child_process.h"

namespace fleet::ctl {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class Program final : public RunningProgram {
 public:
  Program(ChildProcess child, int stream) : stream_(stream), child_(std::move(child)) {}
  ~Program() override {
    if (stream_ >= 0) ::close(stream_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  int take_stream() override { return std::exchange(stream_, -1); }

  std::optional<int> wait(milliseconds patience) override {
    const BlockedSignals signals({SIGCHLD});
    return child_.ended_by(steady_clock::now() + patience, signals);
  }

 private:
  int stream_;
  ChildProcess child_;
};

std::string said(int exit_code) {
  if (exit_code > 128 && exit_code < 128 + NSIG) {
    return fmt::format("was ended by signal {} ({})", exit_code - 128,
                       ::strsignal(exit_code - 128));
  }
  return fmt::format("ended with exit status {}", exit_code);
}

}  // namespace

LocalHost::LocalHost(std::string machine_id_file) : machine_id_file_(std::move(machine_id_file)) {}

std::string LocalHost::machine_id() {
  std::ifstream file(machine_id_file_);
  std::string id;
  file >> id;
  return id;
}

std::string LocalHost::home(const std::string& user) {
  const char* named = std::getenv("HOME");
  if (user.empty() && named != nullptr && *named != '\0') return named;
  const passwd* entry = user.empty() ? ::getpwuid(::getuid()) : ::getpwnam(user.c_str());
  return entry == nullptr ? std::string() : entry->pw_dir;
}

bool LocalHost::on_terminal() {
  return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
}

Result<std::string> LocalHost::resolve(const std::string& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  int error = ::getaddrinfo(name.c_str(), nullptr, &hints, &found);
  std::array<char, NI_MAXHOST> address{};
  if (error == 0) {
    error = ::getnameinfo(found->ai_addr, found->ai_addrlen, address.data(), address.size(),
                          nullptr, 0, NI_NUMERICHOST);
    ::freeaddrinfo(found);
  }
  if (error != 0) {
    return fail(ErrorCode::unavailable,
                fmt::format("cannot resolve {}: {}", name, ::gai_strerror(error)));
  }
  return std::string(address.data());
}

Result<ProgramEnd> LocalHost::run(const Argv& argv) {
  const BlockedSignals signals({SIGCHLD, SIGUSR1, SIGINT, SIGQUIT, SIGTERM, SIGHUP});
  auto child = ChildProcess::start(argv, -1, signals);
  if (!child) return std::unexpected(child.error());
  ProgramEnd end;
  for (;;) {
    const auto signal = signals.wait();
    if (signal->si_signo == SIGCHLD) {
      const auto exit_code = child->ended();
      if (!exit_code) continue;
      end.exit_code = *exit_code;
      return end;
    }
    if (signal->si_signo == SIGUSR1) {
      end.logged_in = true;
    } else if (signal->si_code != SI_KERNEL) {
      // What the terminal sends, such as Ctrl-C, the program gets itself.
      child->signal(signal->si_signo);
    }
  }
}

Result<std::unique_ptr<RunningProgram>> LocalHost::start(const Argv& argv, milliseconds patience) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail(ErrorCode::failed,
                fmt::format("cannot run {}: {}", argv.front(), std::strerror(errno)));
  }
  // Not those that would end fleetctl: they are to end it now too, and the program with it.
  const BlockedSignals signals({SIGCHLD, SIGUSR1});
  auto child = ChildProcess::start(argv, ends[1], signals);
  ::close(ends[1]);
  if (!child) {
    ::close(ends[0]);
    return std::unexpected(child.error());
  }
  auto program = std::make_unique<Program>(std::move(*child), ends[0]);
  const auto deadline = steady_clock::now() + patience;
  for (;;) {
    const auto signal = signals.wait_until(deadline);
    if (!signal) {
      return fail(ErrorCode::unavailable, fmt::format("{} did not log in within {} s", argv.front(),
                                                      patience.count() / 1000));
    }
    if (signal->si_signo == SIGUSR1) return program;
    if (const auto exit_code = program->wait(milliseconds(0))) {
      return fail(ErrorCode::unavailable, fmt::format("{} {}", argv.front(), said(*exit_code)));
    }
  }
}

}  // namespace fleet::ctl
