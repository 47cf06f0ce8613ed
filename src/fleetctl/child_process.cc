#include "fleetctl/child_process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fleet::ctl {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

// How long a program has to end after SIGTERM before it is killed.
constexpr seconds kEndPatience{2};

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> child_environment() {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (text.starts_with("SHELL=") || text.starts_with("FLEETCTL_PID=")) continue;
    variables.emplace_back(text);
  }
  variables.emplace_back("SHELL=/bin/sh");
  variables.push_back(fmt::format("FLEETCTL_PID={}", ::getpid()));
  return variables;
}

// In the child: becomes the program, or tells `failure` the errno of why not.
[[noreturn]] void become(char* const* argv, char* const* environment, int stdio, pid_t parent,
                         const sigset_t& mask, int failure) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);  // which died before it could be watched
  bool ready = true;
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO}) {
    if (stdio < 0) break;
    // The flag too: should `stdio` be `fd`, dup2 leaves it as it is.
    ready = ready && ::dup2(stdio, fd) >= 0 && ::fcntl(fd, F_SETFD, 0) >= 0;
  }
  ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  if (ready) ::execvpe(argv[0], argv, environment);
  const int number = errno;
  if (::write(failure, &number, sizeof(number)) < 0) ::_exit(126);
  ::_exit(127);
}

// The errno that the child's pipe tells of; 0 once the program runs.
int read_failure(int pipe) {
  int number = 0;
  ssize_t size = 0;
  do {
    size = ::read(pipe, &number, sizeof(number));
  } while (size < 0 && errno == EINTR);
  return size == sizeof(number) ? number : 0;
}

std::unexpected<Error> cannot_run(const std::string& program, int number) {
  if (number == ENOENT) {
    return fail(ErrorCode::not_found,
                fmt::format("cannot run {0}: there is no such program in $PATH", program));
  }
  return fail(ErrorCode::failed, fmt::format("cannot run {}: {}", program, std::strerror(number)));
}

}  // namespace

BlockedSignals::BlockedSignals(std::initializer_list<int> signals) {
  ::sigemptyset(&set_);
  for (const int signal : signals) ::sigaddset(&set_, signal);
  ::pthread_sigmask(SIG_BLOCK, &set_, &before_);
}

BlockedSignals::~BlockedSignals() {
  // Its default action would end us, and it is of no use any more.
  if (::sigismember(&set_, SIGUSR1) == 1) {
    sigset_t login;
    ::sigemptyset(&login);
    ::sigaddset(&login, SIGUSR1);
    const timespec now{};
    while (::sigtimedwait(&login, nullptr, &now) > 0) {
    }
  }
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

std::optional<siginfo_t> BlockedSignals::wait() const {
  siginfo_t info{};
  while (::sigwaitinfo(&set_, &info) < 0) {  // interrupted by another signal
  }
  return info;
}

std::optional<siginfo_t> BlockedSignals::wait_until(Deadline deadline) const {
  for (;;) {
    const auto left = std::max(deadline - steady_clock::now(), steady_clock::duration::zero());
    const auto whole = std::chrono::floor<seconds>(left);
    timespec time{};
    time.tv_sec = whole.count();
    time.tv_nsec = std::chrono::nanoseconds(left - whole).count();
    siginfo_t info{};
    if (::sigtimedwait(&set_, &info, &time) > 0) return info;
    if (errno == EAGAIN) return std::nullopt;
  }
}

Result<ChildProcess> ChildProcess::start(const Argv& argv, int stdio,
                                         const BlockedSignals& signals) {
  // Ignored, as some shells and supervisors leave it, it would hide from us that a child has ended.
  ::signal(SIGCHLD, SIG_DFL);
  Argv words = argv;
  std::vector<std::string> variables = child_environment();
  const std::vector<char*> word_pointers = pointers_to(words);
  const std::vector<char*> variable_pointers = pointers_to(variables);
  std::array<int, 2> failure{};
  if (::pipe2(failure.data(), O_CLOEXEC) != 0) return cannot_run(argv.front(), errno);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    become(word_pointers.data(), variable_pointers.data(), stdio, parent, signals.before(),
           failure[1]);
  }
  int number = pid < 0 ? errno : 0;
  ::close(failure[1]);
  if (pid > 0) number = read_failure(failure[0]);
  ::close(failure[0]);
  if (pid < 0) return cannot_run(argv.front(), number);
  ChildProcess child(pid);
  if (number != 0) return cannot_run(argv.front(), number);
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)), exit_code_(other.exit_code_) {}

ChildProcess::~ChildProcess() {
  if (pid_ == 0 || ended()) return;
  const BlockedSignals signals({SIGCHLD});
  signal(SIGTERM);
  if (ended_by(steady_clock::now() + kEndPatience, signals)) return;
  signal(SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::optional<int> ChildProcess::ended() {
  if (exit_code_) return exit_code_;
  int status = 0;
  const pid_t got = ::waitpid(pid_, &status, WNOHANG);
  if (got == 0 || (got < 0 && errno == EINTR)) return std::nullopt;
  exit_code_ = 1;  // should somebody else have waited for it
  if (got == pid_) {
    exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
  return exit_code_;
}

std::optional<int> ChildProcess::ended_by(BlockedSignals::Deadline deadline,
                                          const BlockedSignals& signals) {
  while (!ended()) {
    if (!signals.wait_until(deadline)) return ended();
  }
  return exit_code_;
}

void ChildProcess::signal(int number) {
  if (!exit_code_) ::kill(pid_, number);
}

}  // namespace fleet::ctl
