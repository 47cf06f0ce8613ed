// Waiting, on a virtual clock and a fake API that is a script of what it says when.
#include "fleetctl/wait.h"

#include <algorithm>
#include <sstream>

#include <gtest/gtest.h>

#include "fleetctl/fake_host.h"

namespace fleet::ctl {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class FakeClock final : public Clock {
 public:
  Time now() const override { return now_; }
  void sleep(milliseconds duration) override { now_ += duration; }

 private:
  Time now_{std::chrono::hours(1)};
};

class FakeApi final : public ApiClient {
 public:
  explicit FakeApi(FakeClock& clock) : clock_(clock), start_(clock.now()) {}

  // From `at` on the answer is `status`.
  void says(milliseconds at, Result<StatusEntity> status) { script_.emplace_back(at, status); }

  Result<std::vector<MachineEntity>> machines() override {
    return std::vector<MachineEntity>{
        {.id = "aaaaaaaaaa", .primary_ip = "10.0.0.1", .metadata = {}},
        {.id = "bbbbbbbbbb", .primary_ip = "10.0.0.2", .metadata = {}}};
  }
  Result<std::vector<UnitEntity>> units() override { return {}; }
  Result<std::vector<UnitStateEntity>> states() override { return {}; }
  Result<InfoEntity> info() override { return {}; }
  Result<std::optional<UnitEntity>> unit(const std::string&) override { return std::nullopt; }
  Status put_unit(const UnitEntity&) override { return {}; }
  Status put_units(const std::vector<UnitEntity>&,
                   const std::function<void(std::size_t)>&) override {
    return {};
  }
  Result<bool> destroy_unit(const std::string&) override { return true; }
  Result<std::optional<std::int64_t>> restart_unit(const std::string&) override { return 1; }

  Result<StatusEntity> status(const std::vector<std::string>&) override {
    ++requests;
    return current().second;
  }
  Result<std::optional<StatusEntity>> wait_for_change(const std::vector<std::string>&,
                                                      std::int64_t after,
                                                      milliseconds timeout) override {
    ++requests;
    const Time end = clock_.now() + std::min<Duration>(timeout, seconds(30));
    for (const auto& [at, status] : script_) {
      if (!status || status->revision <= after) {
        if (!status && start_ + at <= clock_.now() && &status == &current().second) {
          return std::unexpected(status.error());
        }
        continue;
      }
      if (start_ + at > end) break;
      if (start_ + at > clock_.now()) {
        clock_.sleep(std::chrono::ceil<milliseconds>(start_ + at - clock_.now()));
      }
      return std::optional(*status);
    }
    clock_.sleep(std::chrono::ceil<milliseconds>(end - clock_.now()));
    if (timeout > seconds(30)) return std::optional(*current().second);
    return std::nullopt;
  }

  int requests = 0;

 private:
  const std::pair<milliseconds, Result<StatusEntity>>& current() const {
    const auto* last = &script_.front();
    for (const auto& entry : script_) {
      if (start_ + entry.first <= clock_.now()) last = &entry;
    }
    return *last;
  }

  FakeClock& clock_;
  const Time start_;
  std::vector<std::pair<milliseconds, Result<StatusEntity>>> script_;
};

UnitOnMachineEntity on(const std::string& id, const std::string& state, const std::string& current,
                       const std::string& active) {
  UnitOnMachineEntity machine;
  machine.machine_id = id;
  machine.state = state;
  machine.current_state = current;
  machine.systemd_load_state = "loaded";
  machine.systemd_active_state = active;
  machine.systemd_sub_state = active == "active" ? "running" : "";
  machine.hash = "h";
  return machine;
}

UnitStatusEntity unit(const std::string& desired, const std::string& current,
                      std::vector<UnitOnMachineEntity> machines = {}) {
  UnitStatusEntity entity;
  entity.name = "a.service";
  entity.desired_state = desired;
  entity.current_state = current;
  entity.hash = "h";
  if (!machines.empty()) entity.machine_id = machines.front().machine_id;
  entity.machines = std::move(machines);
  return entity;
}

StatusEntity at(std::int64_t revision, std::vector<UnitStatusEntity> units) {
  return {revision, std::move(units), {}};
}

class WaitTest : public ::testing::Test {
 protected:
  Status wait(Goal goal, long attempts = 0) {
    static constexpr FlagSpec kAttempts{"block-attempts", 0, FlagType::integer, "0", ""};
    (void)flags_.set(kAttempts, std::to_string(attempts));
    const Time start = clock_.now();
    Status status = wait_for(context_, {"a.service"}, goal);
    took = std::chrono::duration_cast<milliseconds>(clock_.now() - start);
    return status;
  }

  FakeClock clock_;
  FakeApi api_{clock_};
  std::ostringstream out_;
  std::ostringstream err_;
  Flags flags_;
  std::vector<std::string> args_;
  FakeHost host_;
  SshSettings ssh_;
  Context context_{api_, clock_, host_, ssh_, out_, err_, flags_, args_};
  milliseconds took{};
};

const std::string kA = "aaaaaaaaaa";
const std::string kB = "bbbbbbbbbb";

TEST_F(WaitTest, OneRequestForWhatIsThere) {
  api_.says({}, at(1, {unit("launched", "launched", {on(kA, "launched", "launched", "active")})}));
  EXPECT_TRUE(wait(Goal::launched));
  EXPECT_EQ(out_.str(), "Unit a.service launched on aaaaaaaa.../10.0.0.1\n");
  EXPECT_EQ(err_.str(), "");
  EXPECT_EQ(api_.requests, 2);  // the second one to see that it lasts
  EXPECT_EQ(took, milliseconds(250));
}

TEST_F(WaitTest, AServiceThatFailsAtOnceIsNotTakenForOneThatRuns) {
  api_.says({}, at(1, {unit("launched", "launched", {on(kA, "launched", "launched", "active")})}));
  api_.says(milliseconds(20),
            at(2, {unit("launched", "launched", {on(kA, "launched", "launched", "failed")})}));
  EXPECT_FALSE(wait(Goal::launched));
  EXPECT_EQ(took, milliseconds(20));
}

// A unit that is started just after one of its name was destroyed: systemd had looked when no file
// was there.
TEST_F(WaitTest, AUnitThatSystemdHasNotFoundYetIsWaitedFor) {
  UnitStatusEntity written =
      unit("launched", "inactive", {on(kA, "launched", "loaded", "inactive")});
  written.machines[0].systemd_load_state = "not-found";
  written.machines[0].problem = "Unit a.service not found";
  api_.says({}, at(1, {written}));
  api_.says(milliseconds(20),
            at(2, {unit("launched", "launched", {on(kA, "launched", "launched", "active")})}));
  EXPECT_TRUE(wait(Goal::launched));
  // What is really not there, the start says.
  written.machines[0].problem = "start failed: Unit a.service not found";
  api_.says(seconds(1), at(3, {written}));
  clock_.sleep(seconds(2));
  EXPECT_FALSE(wait(Goal::launched));
}

TEST_F(WaitTest, ALaunchedUnitThatIsInactiveHasRunToItsEndAsAOneshotDoes) {
  api_.says({},
            at(1, {unit("launched", "launched", {on(kA, "launched", "launched", "inactive")})}));
  EXPECT_TRUE(wait(Goal::launched));
  EXPECT_EQ(took, milliseconds(250));
  EXPECT_EQ(err_.str(), "");
}

TEST_F(WaitTest, WhatIsThereAtTheDeadlineIsNotLate) {
  api_.says({}, at(1, {unit("launched", "inactive")}));
  api_.says(milliseconds(1'900),
            at(2, {unit("launched", "launched", {on(kA, "launched", "launched", "active")})}));
  EXPECT_TRUE(wait(Goal::launched, 1));
  EXPECT_EQ(took, seconds(2));
}

TEST_F(WaitTest, IsSilentForASecondAndThenSaysEachThingOnce) {
  UnitStatusEntity nowhere = unit("launched", "inactive");
  nowhere.reason = "no machine can take it";
  nowhere.unplaceable = {{kA, "conflicts with b.service"}, {kB, "lacks disk=ssd"}};
  api_.says({}, at(1, {nowhere}));
  api_.says(seconds(40), at(2, {nowhere}));
  api_.says(seconds(100),
            at(3, {unit("launched", "inactive", {on(kB, "launched", "loaded", "activating")})}));
  api_.says(seconds(101),
            at(4, {unit("launched", "launched", {on(kB, "launched", "launched", "active")})}));
  EXPECT_TRUE(wait(Goal::launched));
  EXPECT_EQ(err_.str(),
            "Waiting for unit a.service: no machine can take it\n"
            "  aaaaaaaa.../10.0.0.1: conflicts with b.service\n"
            "  bbbbbbbb.../10.0.0.2: lacks disk=ssd\n"
            "Waiting for unit a.service on bbbbbbbb.../10.0.0.2: systemd says activating\n");
  EXPECT_EQ(out_.str(), "Unit a.service launched on bbbbbbbb.../10.0.0.2\n");
  EXPECT_EQ(took, milliseconds(101'250));
  EXPECT_LE(api_.requests, 10);  // no polling: long polls that end by themselves, and changes
}

TEST_F(WaitTest, OfManyUnitsAFewAreToldNowAndThen) {
  std::vector<std::string> names;
  StatusEntity nowhere = at(1, {});
  for (int i = 100; i < 120; ++i) {
    names.push_back("u" + std::to_string(i) + ".service");
    nowhere.units.push_back(unit("launched", "inactive"));
    nowhere.units.back().name = names.back();
    nowhere.units.back().reason = "no machine can take it";
  }
  api_.says({}, nowhere);
  for (int i = 1; i < 20; ++i) {
    nowhere.revision = i + 1;
    api_.says(milliseconds(1'500 + 100 * i), nowhere);
  }
  static constexpr FlagSpec kAttempts{"block-attempts", 0, FlagType::integer, "0", ""};
  (void)flags_.set(kAttempts, "2");
  EXPECT_FALSE(wait_for(context_, names, Goal::launched));
  EXPECT_EQ(err_.str(),
            "Waiting for 20 units, these and others:\n"
            "Waiting for unit u100.service: no machine can take it\n"
            "Waiting for unit u101.service: no machine can take it\n"
            "Waiting for unit u102.service: no machine can take it\n");
}

TEST_F(WaitTest, OfManyUnitsATerminalShowsHowManyAreThere) {
  std::vector<std::string> names;
  StatusEntity status = at(1, {});
  for (int i = 100; i < 112; ++i) {
    names.push_back("u" + std::to_string(i) + ".service");
    status.units.push_back(unit("launched", "inactive"));
    status.units.back().name = names.back();
    status.units.back().reason =
        "it is to be placed after a unit that has yet to leave its machine";
  }
  api_.says({}, status);
  status.units[0].reason = "";
  status.units[0].machine_id = kA;
  status.units[0].machines = {on(kA, "launched", "launched", "active")};
  status.revision = 2;
  api_.says(milliseconds(2'500), status);
  static constexpr FlagSpec kAttempts{"block-attempts", 0, FlagType::integer, "0", ""};
  (void)flags_.set(kAttempts, "2");
  context_.shows_progress = true;
  EXPECT_FALSE(wait_for(context_, names, Goal::launched));
  // Each line is taken away before the next one, or anything else, is shown; none is wrapped.
  const std::string clear = "\r\x1b[K";
  const std::string none =
      "0 of 12 units are there; u100.service: it is to be placed after a unit that has";
  const std::string one =
      "1 of 12 units are there; u101.service: it is to be placed after a unit that has";
  ASSERT_EQ(none.size(), 79U);
  EXPECT_TRUE(err_.str().starts_with(none + clear)) << err_.str();
  EXPECT_NE(err_.str().find(clear + one + clear + "Waiting for 11 units, these and others:\n"),
            std::string::npos)
      << err_.str();
}

TEST_F(WaitTest, QuickWaitsSayNothing) {
  api_.says({}, at(1, {unit("launched", "inactive")}));
  api_.says(milliseconds(900),
            at(2, {unit("launched", "launched", {on(kA, "launched", "launched", "active")})}));
  EXPECT_TRUE(wait(Goal::launched));
  EXPECT_EQ(err_.str(), "");
  EXPECT_EQ(took, milliseconds(1'150));
}

TEST_F(WaitTest, AttemptsBoundIt) {
  UnitStatusEntity nowhere = unit("launched", "inactive");
  nowhere.reason = "no machine can take it";
  api_.says({}, at(1, {nowhere}));
  const Status done = wait(Goal::launched, 3);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "timed out waiting for unit a.service to report state launched");
  EXPECT_EQ(took, seconds(6));
  EXPECT_EQ(err_.str(), "Waiting for unit a.service: no machine can take it\n");
}

// Section 8, row 45.
TEST_F(WaitTest, ANegativeNumberOfAttemptsMeansForEver) {
  api_.says({}, at(1, {unit("launched", "inactive")}));
  api_.says(seconds(1'000),
            at(2, {unit("launched", "launched", {on(kA, "launched", "launched", "active")})}));
  EXPECT_TRUE(wait(Goal::launched, -1));
  EXPECT_EQ(took, milliseconds(1'000'250));
}

// Section 8, row 44: --block-attempts counts, also for systemd's part.
TEST_F(WaitTest, AttemptsBoundTheWaitForSystemdToo) {
  api_.says({},
            at(1, {unit("launched", "launched", {on(kA, "launched", "launched", "activating")})}));
  api_.says(seconds(9),
            at(2, {unit("launched", "launched", {on(kA, "launched", "launched", "active")})}));
  EXPECT_FALSE(wait(Goal::launched, 2));
  EXPECT_EQ(took, seconds(4));
  EXPECT_TRUE(wait(Goal::launched, 5));
}

TEST_F(WaitTest, TheLaunchedLineComesBeforeAFailure) {
  UnitOnMachineEntity failed = on(kA, "launched", "launched", "failed");
  failed.problem = "main process exited with status 1";
  api_.says({},
            at(1, {unit("launched", "launched", {on(kA, "launched", "launched", "activating")})}));
  api_.says(milliseconds(100), at(2, {unit("launched", "launched", {failed})}));
  const Status done = wait(Goal::launched);
  ASSERT_FALSE(done);
  EXPECT_EQ(out_.str(), "Unit a.service launched on aaaaaaaa.../10.0.0.1\n");
  EXPECT_EQ(done.error().message,
            "unit a.service failed on aaaaaaaa.../10.0.0.1: main process exited with status 1; "
            "\"fleetctl status a.service\" shows more");
}

TEST_F(WaitTest, AShortSilenceOfTheApiIsBorne) {
  api_.says({}, fail(ErrorCode::unavailable, "gone"));
  api_.says(seconds(15),
            at(2, {unit("launched", "launched", {on(kA, "launched", "launched", "active")})}));
  EXPECT_TRUE(wait(Goal::launched));
}

TEST_F(WaitTest, ALongOneIsNot) {
  api_.says({}, fail(ErrorCode::unavailable, "gone"));
  const Status done = wait(Goal::launched);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "gone");
  EXPECT_EQ(took, seconds(20));
}

TEST_F(WaitTest, OtherErrorsEndItAtOnce) {
  api_.says({}, fail(ErrorCode::failed, "broken"));
  EXPECT_EQ(wait(Goal::launched).error().message, "broken");
  EXPECT_EQ(took, milliseconds(0));
}

TEST_F(WaitTest, AGlobalUnitIsDoneWhenAllItsMachinesAre) {
  UnitStatusEntity global = unit("launched", "launched");
  global.global = true;
  global.machines = {on(kA, "launched", "launched", "active"), on(kB, "launched", "loaded", "")};
  api_.says({}, at(1, {global}));
  global.machines[1] = on(kB, "launched", "launched", "active");
  api_.says(milliseconds(500), at(2, {global}));
  EXPECT_TRUE(wait(Goal::launched));
  EXPECT_EQ(took, milliseconds(750));
  EXPECT_EQ(out_.str(), "");
}

// What it has of a unit it may keep for ever: it may never return.
TEST_F(WaitTest, NothingIsAwaitedOfAMachineThatIsNotThere) {
  UnitStatusEntity global = unit("launched", "launched");
  global.global = true;
  global.machines = {on(kA, "launched", "launched", "active"), on(kB, "launched", "", "")};
  global.machines[1].absent = true;
  EXPECT_EQ(judge(&global, Goal::launched).kind, Judgement::Kind::reached);
  global.machines[1].absent = false;
  EXPECT_EQ(judge(&global, Goal::launched).kind, Judgement::Kind::waiting);

  UnitStatusEntity destroyed = unit("inactive", "inactive", {on(kA, "inactive", "", "")});
  destroyed.destroyed = true;
  EXPECT_EQ(judge(&destroyed, Goal::gone).kind, Judgement::Kind::waiting);
  destroyed.machines[0].absent = true;
  EXPECT_EQ(judge(&destroyed, Goal::gone).kind, Judgement::Kind::reached);
}

TEST_F(WaitTest, AGlobalUnitThatNoMachineTakesIsWaitedForOnlyAMoment) {
  UnitStatusEntity global = unit("launched", "inactive");
  global.global = true;
  api_.says({}, at(1, {global}));
  EXPECT_TRUE(wait(Goal::launched));
  EXPECT_EQ(took, seconds(2));
  EXPECT_EQ(err_.str(), "Waiting for unit a.service: no machine has been chosen yet\n");
}

// As in 1.0, which does not wait for it at all, it keeps no script waiting.
TEST_F(WaitTest, AGlobalUnitThatOneMachineHasTroubleWithIsLeftToItselfInTheEnd) {
  UnitStatusEntity global = unit("launched", "launched");
  global.global = true;
  global.machines = {on(kA, "launched", "launched", "active"),
                     on(kB, "launched", "launched", "activating")};
  api_.says({}, at(1, {global}));
  EXPECT_TRUE(wait(Goal::launched));
  EXPECT_EQ(took, seconds(10));
  EXPECT_EQ(err_.str(),
            "Waiting for unit a.service on bbbbbbbb.../10.0.0.2: systemd says activating\n");
}

TEST_F(WaitTest, AGlobalUnitIsNotLateAtTheDeadline) {
  UnitStatusEntity global = unit("launched", "launched");
  global.global = true;
  global.machines = {on(kA, "launched", "launched", "activating")};
  api_.says({}, at(1, {global}));
  EXPECT_TRUE(wait(Goal::launched, 2));
  EXPECT_EQ(took, seconds(4));
}

UnitStatusEntity retried() {
  UnitStatusEntity entity =
      unit("launched", "launched", {on(kA, "launched", "launched", "activating")});
  entity.machines[0].systemd_sub_state = "auto-restart";
  return entity;
}

TEST_F(WaitTest, WhatSystemdStartsAgainAndAgainHasFailed) {
  const auto said = [](const std::string& active) {
    return unit("launched", "launched", {on(kA, "launched", "launched", active)});
  };
  for (int round = 0; round < 30; ++round) {
    api_.says(milliseconds(200 * round), at(3 * round + 1, {said("active")}));
    api_.says(milliseconds(200 * round + 100), at(3 * round + 2, {retried()}));
    api_.says(milliseconds(200 * round + 190), at(3 * round + 3, {said("inactive")}));
  }
  const Status done = wait(Goal::launched);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message,
            "unit a.service failed on aaaaaaaa.../10.0.0.1: it has ended, and systemd is to start "
            "it again: systemd says activating (auto-restart); \"fleetctl status a.service\" shows "
            "more");
  EXPECT_EQ(took, milliseconds(2'100));
}

TEST_F(WaitTest, AServiceThatRunsAtSystemdsNextTryHasStarted) {
  api_.says({}, at(1, {retried()}));
  api_.says(milliseconds(1'500),
            at(2, {unit("launched", "launched", {on(kA, "launched", "launched", "active")})}));
  EXPECT_TRUE(wait(Goal::launched));
  EXPECT_EQ(took, milliseconds(1'750));
}

TEST_F(WaitTest, AStopFailsWhereTheMachineDoesNotComeBack) {
  UnitStatusEntity entity = unit("loaded", "inactive", {on(kA, "loaded", "", "")});
  entity.machines[0].absent = true;
  entity.reason = "its machine aaaaaaaaaa is away and no other may run it";
  api_.says({}, at(1, {entity}));
  const Status done = wait(Goal::stopped);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message,
            "unit a.service: its machine aaaaaaaaaa is away and no other may run it; it is "
            "stopped when that machine is back, and till then nobody can say whether it runs");
  EXPECT_EQ(took, seconds(10));
}

TEST(Judge, Launched) {
  using enum Judgement::Kind;
  const auto kind = [](const UnitStatusEntity& entity) {
    return judge(&entity, Goal::launched).kind;
  };
  EXPECT_EQ(kind(unit("launched", "inactive")), waiting);
  EXPECT_EQ(kind(unit("launched", "launched", {on(kA, "launched", "launched", "inactive")})),
            reached);  // a oneshot
  EXPECT_EQ(kind(unit("launched", "loaded", {on(kA, "launched", "loaded", "failed")})),
            waiting);  // failed before it was asked to start
  EXPECT_EQ(kind(unit("loaded", "loaded", {on(kA, "loaded", "loaded", "inactive")})), failed);
  UnitStatusEntity old = unit("launched", "inactive", {on(kA, "launched", "launched", "failed")});
  old.machines[0].hash = "former";
  EXPECT_EQ(kind(old), waiting);
  UnitStatusEntity refused = unit("launched", "loaded", {on(kA, "launched", "loaded", "inactive")});
  refused.machines[0].problem = "start failed: no such file";
  EXPECT_EQ(kind(refused), failed);
  refused.machines[0].problem = "reload failed: the bus is gone";  // tried again
  EXPECT_EQ(kind(refused), waiting);
  EXPECT_EQ(judge(nullptr, Goal::launched).kind, failed);
}

TEST(Judge, ARestartIsDoneWhenTheMachineSaysSoAndItRuns) {
  using enum Judgement::Kind;
  UnitStatusEntity entity =
      unit("launched", "launched", {on(kA, "launched", "launched", "active")});
  EXPECT_EQ(judge(&entity, Goal::launched, 1).kind, waiting);
  EXPECT_EQ(judge(&entity, Goal::launched, 1).text,
            "it has yet to be restarted; systemd says active (running)");
  entity.machines[0].restarts = 1;
  EXPECT_EQ(judge(&entity, Goal::launched, 1).kind, reached);
  EXPECT_EQ(judge(&entity, Goal::launched, 2).kind, waiting);
  entity.machines[0].systemd_active_state = "failed";
  EXPECT_EQ(judge(&entity, Goal::launched, 1).kind, failed);
  EXPECT_EQ(judge(&entity, Goal::launched, 2).kind, waiting);  // failed before that
  entity.global = true;
  entity.machines = {on(kA, "launched", "launched", "active"),
                     on(kB, "launched", "launched", "active")};
  entity.machines[0].restarts = 2;
  EXPECT_EQ(judge(&entity, Goal::launched, 2).kind, waiting);
  EXPECT_EQ(judge(&entity, Goal::launched, 2).machine, kB);
  entity.machines[1].restarts = 2;
  EXPECT_EQ(judge(&entity, Goal::launched, 2).kind, reached);
}

TEST(Judge, StoppedInactiveAndGone) {
  using enum Judgement::Kind;
  UnitStatusEntity entity = unit("loaded", "inactive");
  EXPECT_EQ(judge(&entity, Goal::stopped).kind, reached);
  entity = unit("loaded", "launched", {on(kA, "launched", "launched", "active")});
  EXPECT_EQ(judge(&entity, Goal::stopped).kind, waiting);
  entity = unit("loaded", "loaded", {on(kA, "loaded", "loaded", "inactive")});
  EXPECT_EQ(judge(&entity, Goal::stopped).kind, reached);
  entity = unit("inactive", "inactive", {on(kA, "inactive", "launched", "deactivating")});
  entity.machine_id.clear();
  EXPECT_EQ(judge(&entity, Goal::inactive).kind, waiting);
  entity.machines[0] = on(kA, "inactive", "", "");
  EXPECT_EQ(judge(&entity, Goal::inactive).kind, reached);
  entity.destroyed = true;
  EXPECT_EQ(judge(&entity, Goal::gone).kind, waiting);
  EXPECT_EQ(judge(nullptr, Goal::gone).kind, reached);
  EXPECT_EQ(judge(nullptr, Goal::stopped).kind, reached);
}

}  // namespace
}  // namespace fleet::ctl
