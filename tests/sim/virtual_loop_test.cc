#include "tests/support/virtual_loop.h"

#include <string>

#include <gtest/gtest.h>

namespace fleet {
namespace {

using namespace std::chrono_literals;

class VirtualLoopTest : public testing::Test {
 protected:
  EventLoop::Callback say(char what) {
    return [this, what] { said_ += what; };
  }

  VirtualLoop world_;
  LocalLoop local_{world_};
  std::string said_;
};

TEST_F(VirtualLoopTest, RunsTimersByTimeAndThenInTheOrderInWhichTheyWereSet) {
  world_.call_at(Time(2s), say('c'));
  local_.call_at(Time(1s), say('a'));
  world_.call_at(Time(1s), say('b'));
  const auto cancelled = world_.call_at(Time(1s), say('x'));
  world_.cancel(cancelled);
  world_.cancel(cancelled);
  world_.run_for(1s);
  EXPECT_EQ(said_, "ab");
  world_.run_for(1s);
  EXPECT_EQ(said_, "abc");
  EXPECT_TRUE(world_.idle());
}

TEST_F(VirtualLoopTest, ATimersPlaceIsGivenToAnotherWithoutConfusion) {
  const auto first = world_.call_at(Time(5s), say('x'));
  world_.cancel(first);
  const auto second = world_.call_at(Time(1s), say('a'));
  EXPECT_NE(first, second);
  world_.cancel(first);
  world_.run_for(10s);
  EXPECT_EQ(said_, "a");
}

TEST_F(VirtualLoopTest, WhatIsHeldRunsLateAndInOrder) {
  local_.call_after(1s, say('b'));
  local_.call_after(5s, say('d'));
  const auto cancelled = local_.call_after(2s, say('x'));
  local_.hold(/*clock_stops=*/false);
  local_.post(say('a'));
  world_.run_for(3s);
  EXPECT_EQ(said_, "");
  EXPECT_EQ(local_.now(), Time(3s));
  local_.cancel(cancelled);
  local_.go_on();
  world_.run_ready();
  EXPECT_EQ(said_, "ab");
  local_.call_after(1s, say('c'));
  world_.run_for(2s);
  EXPECT_EQ(said_, "abcd");
}

TEST_F(VirtualLoopTest, AClockThatStoppedIsBehindFromThenOn) {
  local_.call_after(2s, say('a'));
  world_.run_for(1s);
  local_.hold(/*clock_stops=*/true);
  world_.run_for(10s);
  EXPECT_EQ(local_.now(), Time(1s));
  local_.go_on();
  world_.run_ready();
  EXPECT_EQ(said_, "");
  world_.run_for(1s);
  EXPECT_EQ(said_, "a");
  EXPECT_EQ(local_.now(), Time(2s));
}

// As when the line of a suspended machine changes.
TEST_F(VirtualLoopTest, WhatIsSetWhileTheClockStandsIsDueAsLongAfterItGoesOn) {
  local_.hold(/*clock_stops=*/true);
  world_.run_for(10s);
  local_.call_after(1s, say('b'));
  local_.call_after(0s, say('a'));
  world_.run_for(10s);
  local_.go_on();
  world_.run_ready();
  EXPECT_EQ(said_, "a");
  world_.run_for(1s);
  EXPECT_EQ(said_, "ab");
}

TEST_F(VirtualLoopTest, AClockThatJumpsMakesItsTimersDue) {
  local_.call_after(10s, say('b'));
  local_.call_after(4s, say('a'));
  world_.call_after(5s, say('w'));
  local_.jump(8s);
  EXPECT_EQ(local_.now(), Time(8s));
  world_.run_for(2s);
  EXPECT_EQ(said_, "ab");
  EXPECT_EQ(local_.now(), Time(10s));
  world_.run_for(3s);
  EXPECT_EQ(said_, "abw");
}

}  // namespace
}  // namespace fleet
