#include "net/asio_loop.h"

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

namespace fleet {
namespace {

using std::chrono::milliseconds;

struct SocketPair {
  SocketPair() { EXPECT_EQ(0, ::socketpair(AF_UNIX, SOCK_STREAM, 0, fds.data())); }
  ~SocketPair() {
    for (const int fd : fds) {
      if (fd >= 0) ::close(fd);
    }
  }
  void close_far() {
    ::close(fds[1]);
    fds[1] = -1;
  }
  std::array<int, 2> fds{-1, -1};
};

TEST(AsioLoop, PostedCallbacksRunInOrderAfterTheCallerReturned) {
  AsioLoop loop;
  std::vector<int> order;
  loop.post([&] {
    loop.post([&] { order.push_back(3); });
    loop.post([&] {
      order.push_back(4);
      loop.stop();
    });
    order.push_back(1);
  });
  loop.post([&] { order.push_back(2); });
  loop.run();
  EXPECT_EQ(order, (std::vector{1, 2, 3, 4}));
}

TEST(AsioLoop, TimersRunByTimeThenByOrderOfTheCalls) {
  AsioLoop loop;
  std::vector<int> order;
  const Time start = loop.now();
  loop.call_at(start + milliseconds(4), [&] {
    order.push_back(4);
    loop.stop();
  });
  loop.call_at(start + milliseconds(2), [&] { order.push_back(2); });
  loop.call_at(start + milliseconds(2), [&] { order.push_back(3); });
  loop.call_at(start - milliseconds(5), [&] { order.push_back(1); });
  EXPECT_TRUE(order.empty());  // a time in the past means soon, not now
  loop.run();
  EXPECT_EQ(order, (std::vector{1, 2, 3, 4}));
  EXPECT_GE(loop.now() - start, milliseconds(4));
}

TEST(AsioLoop, CancelledTimersDoNotRun) {
  AsioLoop loop;
  bool ran = false;
  const auto first = loop.call_after(milliseconds(1), [&] { ran = true; });
  EventLoop::TimerId second = 0;
  loop.call_after(milliseconds(1), [&] { loop.cancel(second); });  // due in the same turn
  second = loop.call_after(milliseconds(1), [&] { ran = true; });
  loop.cancel(first);
  loop.cancel(first);
  loop.cancel(0);
  loop.cancel(777);
  loop.call_after(milliseconds(3), [&] { loop.stop(); });
  loop.run();
  EXPECT_FALSE(ran);
}

TEST(AsioLoop, ATimerThatRearmsItselfInThePastLetsOthersRun) {
  AsioLoop loop;
  std::function<void()> again = [&] { loop.call_at(Time{}, again); };
  again();
  loop.post([&] { loop.post([&] { loop.stop(); }); });
  loop.run();  // would not return if the timer starved the loop
}

TEST(AsioLoop, PostFromOtherThreadsWakesTheLoop) {
  AsioLoop loop;
  int count = 0;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) loop.post([&] { ++count; });
    loop.post([&] { loop.stop(); });
  });
  loop.run();
  other.join();
  EXPECT_EQ(count, 1000);
}

TEST(AsioLoop, WatchIsLevelTriggered) {
  AsioLoop loop;
  SocketPair pair;
  ASSERT_EQ(4, ::write(pair.fds[1], "abcd", 4));
  std::string read;
  const auto id = loop.watch_fd(pair.fds[0], POLLIN, [&](short events) {
    EXPECT_EQ(events, POLLIN);
    char c = 0;
    ASSERT_EQ(1, ::read(pair.fds[0], &c, 1));  // one byte a call: the rest must be told again
    read.push_back(c);
    if (read.size() == 4) loop.stop();
  });
  EXPECT_NE(id, 0U);
  loop.run();
  EXPECT_EQ(read, "abcd");
}

TEST(AsioLoop, WatchTellsWritableAndHangUp) {
  AsioLoop loop;
  SocketPair pair;
  std::vector<short> seen;
  FdLoop::FdWatchId id = 0;
  id = loop.watch_fd(pair.fds[0], POLLOUT, [&](short events) {
    seen.push_back(events);
    if (seen.size() == 1) {
      loop.change_fd_events(id, POLLIN);
      pair.close_far();
    } else {
      loop.unwatch_fd(id);
      loop.stop();
    }
  });
  loop.run();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0], POLLOUT);
  EXPECT_TRUE((seen[1] & POLLHUP) != 0);
}

TEST(AsioLoop, WatchWithoutEventsIsSilent) {
  AsioLoop loop;
  SocketPair pair;
  ASSERT_EQ(1, ::write(pair.fds[1], "x", 1));
  int calls = 0;
  const auto id = loop.watch_fd(pair.fds[0], 0, [&](short) {
    ++calls;
    loop.stop();
  });
  loop.call_after(milliseconds(1), [&] {
    EXPECT_EQ(calls, 0);
    loop.change_fd_events(id, POLLIN);
  });
  loop.run();
  EXPECT_EQ(calls, 1);
}

TEST(AsioLoop, UnwatchLeavesTheDescriptorOpenAndFreesTheCallback) {
  AsioLoop loop;
  SocketPair pair;
  auto held = std::make_shared<int>(1);
  const auto id = loop.watch_fd(pair.fds[0], POLLIN, [held](short) { FAIL(); });
  ASSERT_EQ(1, ::write(pair.fds[1], "x", 1));
  loop.unwatch_fd(id);
  loop.unwatch_fd(id);
  EXPECT_EQ(held.use_count(), 1);
  loop.post([&] { loop.post([&] { loop.stop(); }); });
  loop.run();
  EXPECT_NE(-1, ::fcntl(pair.fds[0], F_GETFD));
  // It can be watched again.
  EXPECT_NE(loop.watch_fd(pair.fds[0], POLLIN, [&](short) { loop.stop(); }), 0U);
  loop.run();
}

TEST(AsioLoop, WhatCannotBeWatchedGivesZero) {
  AsioLoop loop;
  EXPECT_EQ(loop.watch_fd(-1, POLLIN, [](short) {}), 0U);
}

TEST(AsioLoop, DestructionClosesNothingAndFreesEverything) {
  SocketPair pair;
  auto held = std::make_shared<int>(1);
  {
    AsioLoop loop;
    loop.watch_fd(pair.fds[0], POLLIN, [held](short) {});
    loop.call_after(std::chrono::hours(1), [held] {});
    loop.post([held] {});
  }
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_NE(-1, ::fcntl(pair.fds[0], F_GETFD));
}

TEST(AsioLoop, CapturesMayCallTheLoopWhileItIsDestroyed) {
  struct Canceller {
    ~Canceller() {
      loop->cancel(1);
      loop->cancel(2);
      loop->unwatch_fd(1);
    }
    AsioLoop* loop;
  };
  AsioLoop loop;
  loop.call_after(std::chrono::hours(1), [c = std::make_shared<Canceller>(&loop)] {});
  loop.call_after(std::chrono::hours(1), [] {});
  loop.cancel(1);
  loop.post([c = std::make_shared<Canceller>(&loop)] {});
  loop.call_after(std::chrono::hours(1), [c = std::make_shared<Canceller>(&loop)] {});
}

TEST(AsioLoop, SignalsAreDelivered) {
  AsioLoop loop;
  int count = 0;
  loop.watch_signal(SIGUSR2, [&] {
    if (++count == 2) {
      loop.stop();
    } else {
      ::kill(::getpid(), SIGUSR2);
    }
  });
  ::kill(::getpid(), SIGUSR2);
  loop.run();
  EXPECT_EQ(count, 2);
}

TEST(AsioLoop, StopBeforeRunAndRunAgain) {
  AsioLoop loop;
  loop.stop();
  loop.run();  // returns at once
  bool ran = false;
  loop.post([&] {
    ran = true;
    loop.stop();
  });
  loop.run();
  EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace fleet
