// The UnitManager contract: hearing of changes, and a connection that breaks.
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "unit_manager_contract.h"

namespace fleet {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kSleeper = "[Service]\nExecStart=/bin/sleep 1001\n";
const std::string kSlow = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 1\n";
const std::string kHanging = "[Service]\nType=notify\nExecStart=/bin/sleep 1004\n";

TEST_P(UnitManagerContract, AnObservedUnitIsReportedAtOnce) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  record_reports();
  manager().observe("fleetct-a.service");
  manager().observe("fleetct-none.service");
  EXPECT_TRUE(reports_.empty());
  EXPECT_TRUE(reported("fleetct-a.service", "loaded inactive dead"));
  EXPECT_TRUE(reported("fleetct-none.service", "not-found inactive dead"));
}

TEST_P(UnitManagerContract, StartStopAndCrashAreReported) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  record_reports();
  manager().observe("fleetct-a.service");
  EXPECT_TRUE(reported("fleetct-a.service", "loaded inactive dead"));
  ASSERT_TRUE(start("fleetct-a.service"));
  EXPECT_TRUE(reported("fleetct-a.service", "loaded active running"));
  ASSERT_TRUE(stop("fleetct-a.service"));
  EXPECT_TRUE(reported("fleetct-a.service", "loaded inactive dead"));
  ASSERT_TRUE(restart("fleetct-a.service"));
  EXPECT_TRUE(reported("fleetct-a.service", "loaded active running"));
  world_->crash("fleetct-a.service");
  EXPECT_TRUE(reported("fleetct-a.service", "loaded failed failed"));
  ASSERT_TRUE(remove("fleetct-a.service"));
  EXPECT_TRUE(reported("fleetct-a.service", "not-found inactive dead"));
}

TEST_P(UnitManagerContract, WhatIsDoneByHandIsReported) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  record_reports();
  manager().observe("fleetct-a.service");
  world_->start_by_hand("fleetct-a.service");
  EXPECT_TRUE(reported("fleetct-a.service", "loaded active running"));
  world_->stop_by_hand("fleetct-a.service");
  EXPECT_TRUE(reported("fleetct-a.service", "loaded inactive dead"));
}

TEST_P(UnitManagerContract, AUnitObservedBeforeItsFileCameIsReported) {
  record_reports();
  manager().observe("fleetct-a.service");
  EXPECT_TRUE(reported("fleetct-a.service", "not-found inactive dead"));
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(start("fleetct-a.service"));
  EXPECT_TRUE(reported("fleetct-a.service", "loaded active running"));
}

TEST_P(UnitManagerContract, AHangingStartIsReportedAsSuch) {
  ASSERT_TRUE(write("fleetct-hang.service", kHanging));
  record_reports();
  manager().observe("fleetct-hang.service");
  Pending hanging;
  manager().start("fleetct-hang.service", into(hanging));
  const auto& seen = reports_["fleetct-hang.service"];
  EXPECT_TRUE(world_->run_until([&] {
    return !seen.empty() && seen.back().active_state == "activating" && seen.back().job_pending;
  }));
  EXPECT_TRUE(stop("fleetct-hang.service"));
  ASSERT_TRUE(world_->run_until([&] { return hanging.outcome.has_value(); }));
}

TEST_P(UnitManagerContract, NeedingAReloadAndHavingHadItAreReported) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(start("fleetct-a.service"));
  record_reports();
  manager().observe("fleetct-a.service");
  EXPECT_TRUE(reported("fleetct-a.service", "loaded active running"));
  ASSERT_TRUE(write("fleetct-a.service", "[Service]\nExecStart=/bin/sleep 1002\n"));
  const auto& seen = reports_["fleetct-a.service"];
  EXPECT_TRUE(world_->run_until([&] { return seen.back().needs_reload; }));
  ASSERT_TRUE(reload());
  EXPECT_TRUE(world_->run_until([&] { return !seen.back().needs_reload; }));
}

TEST_P(UnitManagerContract, OnlyObservedUnitsAreReported) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(write("fleetct-b.service", kSleeper));
  record_reports();
  manager().observe("fleetct-a.service");
  ASSERT_TRUE(start("fleetct-a.service"));
  ASSERT_TRUE(start("fleetct-b.service"));
  EXPECT_TRUE(reported("fleetct-a.service", "loaded active running"));
  manager().ignore("fleetct-a.service");
  manager().ignore("fleetct-never-observed.service");
  reports_.clear();
  ASSERT_TRUE(stop("fleetct-a.service"));
  ASSERT_TRUE(stop("fleetct-b.service"));
  world_->settle();
  EXPECT_THAT(reports_, IsEmpty());
}

TEST_P(UnitManagerContract, ObservingAnIdleUnitComesToRest) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  record_reports();
  manager().observe("fleetct-a.service");
  manager().observe("fleetct-a.service");
  manager().observe("fleetct-none.service");
  EXPECT_TRUE(reported("fleetct-a.service", "loaded inactive dead"));
  EXPECT_TRUE(reported("fleetct-none.service", "not-found inactive dead"));
  world_->settle();
  reports_.clear();
  world_->settle();
  EXPECT_THAT(reports_, IsEmpty());
}

TEST_P(UnitManagerContract, AUnitWithABadSettingIsReported) {
  ASSERT_TRUE(write("fleetct-bad.service", "[Service]\nType=simple\n"));
  record_reports();
  manager().observe("fleetct-bad.service");
  EXPECT_TRUE(reported("fleetct-bad.service", "bad-setting inactive dead"));
  EXPECT_THAT(reports_["fleetct-bad.service"].back().load_error, HasSubstr("bad unit file"));
}

TEST_P(UnitManagerContract, TheListenerMayCallAndEndTheManager) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  bool ended = false;
  manager().set_listener([&](const std::string& name, const UnitStatus&) {
    manager().ignore(name);
    manager().query(name, [](const Result<UnitStatus>&) {});
    world_->end_manager();
    ended = true;
  });
  manager().observe("fleetct-a.service");
  EXPECT_TRUE(world_->run_until([&] { return ended; }));
  world_->settle();
}

TEST_P(UnitManagerContract, ABrokenConnectionEndsWhatIsInFlightAndComesBack) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(write("fleetct-hang.service", kHanging));
  ASSERT_TRUE(start("fleetct-a.service"));
  record_reports();
  manager().observe("fleetct-a.service");
  manager().observe("fleetct-none.service");
  EXPECT_TRUE(reported("fleetct-a.service", "loaded active running"));
  EXPECT_TRUE(reported("fleetct-none.service", "not-found inactive dead"));
  Pending hanging;
  manager().start("fleetct-hang.service", into(hanging));
  ASSERT_TRUE(world_->run_until([&] { return query("fleetct-hang.service")->job_pending; }));
  const std::string process = world_->process_of("fleetct-a.service");

  reports_.clear();
  world_->cut_connection();
  ASSERT_TRUE(world_->run_until([&] { return hanging.outcome.has_value(); }));
  ASSERT_FALSE(*hanging.outcome);
  EXPECT_EQ(hanging.outcome->error().code, ErrorCode::unavailable);
  EXPECT_EQ(hanging.calls, 1);

  // Every observed unit is reported again, changed or not.
  EXPECT_TRUE(reported("fleetct-a.service", "loaded active running"));
  EXPECT_TRUE(reported("fleetct-none.service", "not-found inactive dead"));
  // Nothing happened to the units, and all works as before.
  EXPECT_EQ(world_->process_of("fleetct-a.service"), process);
  EXPECT_EQ(query("fleetct-hang.service")->active_state, "activating");
  EXPECT_TRUE(stop("fleetct-hang.service"));
  world_->crash("fleetct-a.service");
  EXPECT_TRUE(reported("fleetct-a.service", "loaded failed failed"));
  EXPECT_TRUE(start("fleetct-a.service"));
}

TEST_P(UnitManagerContract, CallsThatMeetABrokenConnectionEnd) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  world_->cut_connection();
  std::vector<Pending> calls(4);
  manager().start("fleetct-a.service", into(calls[0]));
  manager().stop("fleetct-none.service", into(calls[1]));
  manager().reload(into(calls[2]));
  manager().query("fleetct-a.service", [&](const Result<UnitStatus>& status) {
    into(calls[3])(status ? Status() : std::unexpected(status.error()));
  });
  for (Pending& call : calls) {
    ASSERT_TRUE(world_->run_until([&] { return call.outcome.has_value(); }));
    if (!*call.outcome) {
      EXPECT_EQ(call.outcome->error().code, ErrorCode::unavailable);
    }
  }
  EXPECT_TRUE(list());
  EXPECT_TRUE(world_->run_until([&] { return start("fleetct-a.service").has_value(); }));
  for (const Pending& call : calls) EXPECT_EQ(call.calls, 1);
}

// Who takes reports and answers as they come ends with what is so.
TEST_P(UnitManagerContract, AnAnswerIsNoOlderThanAReportBeforeIt) {
  const std::string name = "fleetct-a.service";
  ASSERT_TRUE(write(name, "[Service]\nExecStart=/bin/false\n"));
  UnitStatus last;
  manager().set_listener([&](const std::string&, const UnitStatus& status) { last = status; });
  manager().observe(name);
  for (int round = 0; round < 60; ++round) {
    bool answered = false;
    // The unit fails while it is being asked about.
    manager().start(name, [&](const Status&) {
      manager().query(name, [&](const Result<UnitStatus>& answer) {
        if (answer) last = *answer;
        answered = true;
      });
    });
    ASSERT_TRUE(world_->run_until([&] { return answered; }));
    std::optional<UnitStatus> now;
    const auto settled = [&] { return now == last; };
    for (int again = 0; again < 3 && !settled(); ++again) {
      const auto asked = query(name);
      ASSERT_TRUE(asked) << asked.error().message;
      now = *asked;
      world_->run_until([&] { return settled() || last.active_state == "failed"; });
    }
    ASSERT_TRUE(settled()) << "round " << round << ": taken for " << words(last);
  }
}

// Whatever happened in whatever order: in the end what was reported last is so.
TEST_P(UnitManagerContract, TheLastReportIsTrue) {
  constexpr int kUnits = 12;
  constexpr int kSteps = 400;
  std::uint32_t random = 20260101;
  const auto pick = [&random](std::uint32_t below) {
    random = random * 1664525 + 1013904223;
    return (random >> 8) % below;
  };
  std::vector<std::string> names;
  for (int i = 0; i < kUnits; ++i) names.push_back("fleetct-" + std::to_string(i) + ".service");
  const std::string texts[] = {kSleeper, "[Service]\nExecStart=/bin/sleep 1002\n", kSlow,
                               "[Service]\nType=simple\n",
                               "[Service]\nType=oneshot\nExecStart=/bin/false\n"};
  record_reports();
  for (const std::string& name : names) manager().observe(name);

  int open = 0;
  const auto done = [&open](const Status&) { --open; };
  for (int step = 0; step < kSteps; ++step) {
    const std::string& name = names[pick(kUnits)];
    switch (pick(9)) {
      case 0:
      case 1:
        ++open, manager().start(name, done);
        break;
      case 2:
        ++open, manager().stop(name, done);
        break;
      case 3:
        ++open, manager().restart(name, done);
        break;
      case 4:
      case 5:
        ++open, manager().write(name, texts[pick(5)], false, done);
        break;
      case 6:
        ++open, manager().remove(name, done);
        break;
      case 7:
        manager().observe(name);
        break;
      case 8:
        if (pick(10) == 0) ++open, manager().reload(done);
        break;
    }
    const int allowed = static_cast<int>(pick(30));
    world_->run_until([&] { return open <= allowed || step % 3 == 0; });
  }
  for (const std::string& name : names) ++open, manager().stop(name, done);
  ASSERT_TRUE(world_->run_until([&] { return open == 0; })) << open;
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    const auto now = query(name);
    ASSERT_TRUE(now) << now.error().message;
    EXPECT_TRUE(world_->run_until([&] { return reports_[name].back() == *now; }))
        << "reported " << words(reports_[name].back()) << ", is " << words(*now);
  }
}

}  // namespace
}  // namespace fleet
