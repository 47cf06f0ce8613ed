// What the fake does beyond the contract of its port: scripts, records, faults, reboots.
#include "systemd/fake_unit_manager.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/virtual_loop.h"

namespace fleet {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kText = "[Service]\nExecStart=/usr/bin/program\n";

class FakeUnitManagerTest : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text = kText) {
    manager_->write(name, text, false, [](const Status& written) { EXPECT_TRUE(written); });
    loop_.run_for({});
  }

  UnitManager::Done into(std::optional<Status>& outcome) {
    return [&outcome](Status status) { outcome = std::move(status); };
  }

  std::string states(const std::string& name) {
    const UnitStatus status = systemd_.status(name);
    return status.active_state + " " + status.sub_state;
  }

  VirtualLoop loop_;
  FakeSystemd systemd_{loop_};
  std::unique_ptr<FakeUnitManager> manager_ = std::make_unique<FakeUnitManager>(loop_, systemd_);
};

TEST_F(FakeUnitManagerTest, AStartTakesItsTime) {
  write("a.service");
  systemd_.set_script("a.service", {.start_takes = seconds(5), .stop_takes = seconds(3)});
  std::optional<Status> started, stopped;
  manager_->start("a.service", into(started));
  loop_.run_for(seconds(4));
  EXPECT_EQ(states("a.service"), "activating start");
  EXPECT_TRUE(systemd_.status("a.service").job_pending);
  EXPECT_FALSE(started);
  loop_.run_for(seconds(1));
  EXPECT_EQ(states("a.service"), "active running");
  EXPECT_TRUE(started && *started);
  manager_->stop("a.service", into(stopped));
  loop_.run_for(seconds(2));
  EXPECT_EQ(states("a.service"), "deactivating stop-sigterm");
  loop_.run_for(seconds(1));
  EXPECT_EQ(states("a.service"), "inactive dead");
  EXPECT_TRUE(stopped && *stopped);
}

TEST_F(FakeUnitManagerTest, AStartGoesOnAfterItsJobTimedOut) {
  write("a.service");
  systemd_.set_script("a.service", {.start_takes = seconds(5), .start_job_times_out = true});
  std::optional<Status> first, second;
  manager_->start("a.service", into(first));
  loop_.run_for(seconds(6));
  EXPECT_TRUE(first && !*first);
  EXPECT_EQ(states("a.service"), "activating start");
  manager_->start("a.service", into(second));
  loop_.run_for(seconds(3));
  EXPECT_FALSE(second);
  loop_.run_for(seconds(1));
  EXPECT_TRUE(second && *second);
  EXPECT_EQ(states("a.service"), "active running");
  EXPECT_EQ(systemd_.invocations("a.service"), 1U);
}

TEST_F(FakeUnitManagerTest, WhatWasSentIsDoneAlsoWhenTheClientIsGone) {
  write("a.service");
  std::optional<Status> started;
  manager_->start("a.service", into(started));
  manager_.reset();
  loop_.run_for(seconds(1));
  EXPECT_EQ(states("a.service"), "active running");
  EXPECT_FALSE(started);
}

TEST_F(FakeUnitManagerTest, TellsAWitnessOfEachStep) {
  std::vector<std::string> seen;
  systemd_.set_witness(
      {.on_call =
           [&](FakeCall::Verb verb, const std::string& name, const std::string& before) {
             seen.push_back((verb == FakeCall::Verb::stop ? "stop " : "start ") + name + " " +
                            before);
           },
       .on_job_end = [&](FakeCall::Verb, const std::string&,
                         const std::string& result) { seen.push_back(result); },
       .on_active_state = [&](const std::string&, const std::string& before,
                              const std::string& now) { seen.push_back(before + " " + now); },
       .on_reload = [&](std::size_t wanted) { seen.push_back(std::to_string(wanted)); }});
  write("a.service");
  std::optional<Status> done;
  manager_->start("a.service", into(done));
  loop_.run_ready();
  write("a.service", "[Service]\nExecStart=/bin/sleep 2000000\n");
  manager_->reload(into(done));
  loop_.run_ready();
  manager_->stop("a.service", into(done));
  loop_.run_ready();
  EXPECT_THAT(seen, ElementsAre("start a.service inactive", "inactive active", "done", "1",
                                "stop a.service active", "active inactive", "done"));
}

TEST_F(FakeUnitManagerTest, AStartDuringAStopComesAfterIt) {
  write("a.service");
  systemd_.set_script("a.service", {.stop_takes = seconds(3)});
  std::optional<Status> first, stopped, second;
  manager_->start("a.service", into(first));
  loop_.run_for(seconds(1));
  manager_->stop("a.service", into(stopped));
  loop_.run_for(seconds(1));
  manager_->start("a.service", into(second));
  loop_.run_for(seconds(1));
  ASSERT_TRUE(stopped && !*stopped);
  EXPECT_THAT(stopped->error().message, HasSubstr("fleet's own newer start"));
  EXPECT_EQ(states("a.service"), "deactivating stop-sigterm");
  EXPECT_FALSE(second);
  loop_.run_for(seconds(3));
  EXPECT_EQ(states("a.service"), "active running");
  EXPECT_TRUE(second && *second);
  EXPECT_EQ(systemd_.invocations("a.service"), 2U);
}

TEST_F(FakeUnitManagerTest, ScriptsFailHangAndEnd) {
  for (const std::string name :
       {"fails.service", "hangs.service", "ends.service", "dies.service"}) {
    write(name);
  }
  systemd_.set_script("fails.service", {.start_fails = true});
  systemd_.set_script("hangs.service", {.start_hangs = true});
  systemd_.set_script("ends.service", {.exits_after = seconds(2)});
  systemd_.set_script("dies.service", {.exits_after = seconds(2), .exit_fails = true});
  std::optional<Status> fails, hangs, ends, dies;
  manager_->start("fails.service", into(fails));
  manager_->start("hangs.service", into(hangs));
  manager_->start("ends.service", into(ends));
  manager_->start("dies.service", into(dies));
  loop_.run_for(seconds(1));
  EXPECT_TRUE(fails && !*fails);
  EXPECT_FALSE(hangs);
  EXPECT_TRUE(ends && *ends);
  EXPECT_TRUE(dies && *dies);
  EXPECT_THAT(systemd_.active_units(),
              ElementsAre("dies.service", "ends.service", "hangs.service"));
  loop_.run_for(seconds(1));
  EXPECT_EQ(states("fails.service"), "failed failed");
  EXPECT_EQ(states("hangs.service"), "activating start");
  EXPECT_EQ(states("ends.service"), "inactive dead");
  EXPECT_EQ(states("dies.service"), "failed failed");
}

TEST_F(FakeUnitManagerTest, ALostSignalLeavesTheCallOpen) {
  write("a.service");
  systemd_.set_script("a.service", {.loses_signals = true});
  int reports = 0;
  manager_->set_listener([&](const std::string&, const UnitStatus&) { ++reports; });
  manager_->observe("a.service");
  loop_.run_for(seconds(1));
  EXPECT_EQ(reports, 1);
  std::optional<Status> started;
  manager_->start("a.service", into(started));
  loop_.run_for(seconds(60));
  EXPECT_FALSE(started);
  EXPECT_EQ(reports, 1);
  std::optional<UnitStatus> status;
  manager_->query("a.service", [&](const Result<UnitStatus>& now) { status = *now; });
  loop_.run_for(seconds(1));
  EXPECT_EQ(status->active_state, "active");
}

TEST_F(FakeUnitManagerTest, CallsAreRecordedInOrder) {
  write("a.service");
  write("b.service");
  const auto ignore = [](const Status&) {};
  manager_->start("b.service", ignore);
  manager_->start("a.service", ignore);
  manager_->restart("b.service", ignore);
  manager_->stop("a.service", ignore);
  loop_.run_for(seconds(1));
  std::vector<std::string> seen;
  for (const FakeCall& call : systemd_.calls()) {
    const char* verbs[] = {"start", "stop", "restart"};
    seen.push_back(std::string(verbs[static_cast<int>(call.verb)]) + " " + call.name + " " +
                   std::to_string(call.invocations));
  }
  EXPECT_THAT(seen, ElementsAre("start b.service 1", "start a.service 1", "restart b.service 2",
                                "stop a.service 1"));
}

TEST_F(FakeUnitManagerTest, FaultsAreTheCallsOutcome) {
  write("a.service");
  systemd_.set_fault_hook([](std::string_view call, const std::string& name) {
    return call == "start" && name == "a.service"
               ? std::optional(Error{ErrorCode::denied, "not today"})
               : std::nullopt;
  });
  std::optional<Status> started, stopped;
  manager_->start("a.service", into(started));
  manager_->stop("a.service", into(stopped));
  loop_.run_for(seconds(1));
  EXPECT_EQ(started->error().code, ErrorCode::denied);
  EXPECT_TRUE(*stopped);
  EXPECT_EQ(systemd_.invocations("a.service"), 0U);
}

TEST_F(FakeUnitManagerTest, LatencyDelaysCallsAndSignals) {
  write("a.service");
  systemd_.set_latency(std::chrono::milliseconds(10));
  std::optional<Status> started;
  manager_->start("a.service", into(started));
  loop_.run_for(std::chrono::milliseconds(15));
  EXPECT_EQ(states("a.service"), "active running");
  EXPECT_FALSE(started);
  loop_.run_for(std::chrono::milliseconds(5));
  EXPECT_TRUE(started && *started);
}

TEST_F(FakeUnitManagerTest, UnitsOutliveTheProcessButNotTheBoot) {
  write("a.service");
  manager_->set_note("a.service", "launched", [](const Status&) {});
  manager_->start("a.service", [](const Status&) {});
  loop_.run_for(seconds(1));
  manager_.reset();
  manager_ = std::make_unique<FakeUnitManager>(loop_, systemd_);
  EXPECT_THAT(systemd_.active_units(), ElementsAre("a.service"));
  manager_.reset();
  systemd_.reboot();
  manager_ = std::make_unique<FakeUnitManager>(loop_, systemd_);
  EXPECT_TRUE(systemd_.active_units().empty());
  EXPECT_EQ(systemd_.invocations("a.service"), 0U);
  std::optional<std::vector<LocalUnit>> units;
  manager_->list([&](const Result<std::vector<LocalUnit>>& listed) { units = *listed; });
  loop_.run_for(seconds(1));
  EXPECT_TRUE(units && units->empty());
}

TEST_F(FakeUnitManagerTest, ARebootDuringAStartLeavesNoTimerBehind) {
  write("a.service");
  systemd_.set_script("a.service", {.start_takes = seconds(5)});
  std::optional<Status> started;
  manager_->start("a.service", into(started));
  loop_.run_for(seconds(1));
  systemd_.reboot();
  loop_.run_for(seconds(60));
  ASSERT_TRUE(started && !*started);
  EXPECT_EQ(started->error().code, ErrorCode::unavailable);
  EXPECT_EQ(systemd_.status("a.service").load_state, "not-found");
}

TEST_F(FakeUnitManagerTest, ACrashDuringTheStartFailsIt) {
  write("a.service");
  systemd_.set_script("a.service", {.start_takes = seconds(5)});
  std::optional<Status> started;
  manager_->start("a.service", into(started));
  loop_.run_for(seconds(1));
  systemd_.crash("a.service");
  systemd_.crash("none.service");
  loop_.run_for(seconds(60));
  EXPECT_TRUE(started && !*started);
  EXPECT_EQ(states("a.service"), "failed failed");
}

TEST(FakeScriptTest, FollowsTheFewOptionsThatItKnows) {
  EXPECT_TRUE(script_of("a.service", "[Service]\nType=simple\n").bad_setting);
  EXPECT_FALSE(script_of("a.timer", "[Timer]\nOnActiveSec=1\n").bad_setting);
  const FakeScript oneshot = script_of(
      "a.service", "[Service]\n Type = oneshot \nRemainAfterExit=yes\nExecStart=/bin/sleep 3\n");
  EXPECT_TRUE(oneshot.oneshot);
  EXPECT_TRUE(oneshot.remain_after_exit);
  EXPECT_EQ(oneshot.start_takes, seconds(3));
  EXPECT_EQ(script_of("a.service", "ExecStart=-/usr/bin/sleep 7").exits_after, seconds(7));
  EXPECT_EQ(script_of("a.service", "ExecStart=/bin/sleep infinity").exits_after, std::nullopt);
  EXPECT_TRUE(script_of("a.service", "ExecStart=/bin/false").exit_fails);
  EXPECT_TRUE(script_of("a.service", "Type=notify\r\nExecStart=/bin/x").start_hangs);
}

}  // namespace
}  // namespace fleet
