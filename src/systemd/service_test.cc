#include "systemd/service.h"

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/contract/poll_loop.h"

namespace fleet {
namespace {

// The socket on which systemd would hear sd_notify().
class NotifySocket {
 public:
  NotifySocket() : fd_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = "fleet-service-test-" + std::to_string(getpid());
    name.copy(address.sun_path + 1, name.size());  // abstract: leaves no file
    const std::size_t size = offsetof(sockaddr_un, sun_path) + 1 + name.size();
    bind(fd_, reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(size));
    setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
  }
  ~NotifySocket() {
    close(fd_);
    unsetenv("NOTIFY_SOCKET");
  }
  std::string heard() const {
    char text[4096];
    const ssize_t size = recv(fd_, text, sizeof text, 0);
    return size < 0 ? "" : std::string(text, static_cast<std::size_t>(size));
  }

 private:
  int fd_;
};

TEST(Service, TellsSystemdHowItIs) {
  const NotifySocket socket;
  notify_ready("up, 3 machines");
  EXPECT_EQ(socket.heard(), "READY=1\nSTATUS=up, 3 machines");
  notify_reloading();
  EXPECT_TRUE(socket.heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
  notify_status("a line\nREADY=0");
  EXPECT_EQ(socket.heard(), "STATUS=a line READY=0");
  notify_stopping("");
  EXPECT_EQ(socket.heard(), "STOPPING=1\nSTATUS=");
  notify_watchdog();
  EXPECT_EQ(socket.heard(), "WATCHDOG=1");
  notify_extend_timeout(std::chrono::seconds(30));
  EXPECT_EQ(socket.heard(), "EXTEND_TIMEOUT_USEC=30000000");
}

TEST(Service, TellsNobodyWithoutSystemd) {
  unsetenv("NOTIFY_SOCKET");
  notify_ready("x");
  notify_watchdog();
}

TEST(Service, KnowsTheWatchdogsInterval) {
  setenv("WATCHDOG_USEC", "20000000", 1);
  setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
  EXPECT_EQ(watchdog_interval(), std::chrono::seconds(20));
  setenv("WATCHDOG_PID", "1", 1);  // meant for another process
  EXPECT_EQ(watchdog_interval(), std::chrono::seconds(0));
  unsetenv("WATCHDOG_USEC");
  unsetenv("WATCHDOG_PID");
  EXPECT_EQ(watchdog_interval(), std::chrono::seconds(0));
}

TEST(Service, SocketsForAnotherProcessAreNotTaken) {
  setenv("LISTEN_PID", "1", 1);
  setenv("LISTEN_FDS", "2", 1);
  const auto sockets = inherited_sockets();
  ASSERT_TRUE(sockets);
  EXPECT_TRUE(sockets->empty());
}

TEST(Service, NoSocketsAreNoError) {
  unsetenv("LISTEN_PID");
  unsetenv("LISTEN_FDS");
  const auto sockets = inherited_sockets();
  ASSERT_TRUE(sockets);
  EXPECT_TRUE(sockets->empty());
}

TEST(Service, RestartPendingIsAnsweredOnceAndLater) {
  PollLoop loop;
  int answers = 0;
  bool within = true;
  restart_pending(loop, false, std::chrono::milliseconds(300), [&](const Result<bool>& answer) {
    ++answers;
    EXPECT_FALSE(within);
    // Where tests run, systemd does not stop this process; mostly there is none.
    EXPECT_FALSE(answer.value_or(false));
  });
  within = false;
  EXPECT_TRUE(loop.run_until([&] { return answers > 0; }, std::chrono::seconds(10)));
  loop.run_for(std::chrono::milliseconds(400));
  EXPECT_EQ(answers, 1);
}

}  // namespace
}  // namespace fleet
