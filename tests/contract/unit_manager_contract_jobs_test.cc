// The UnitManager contract: starting, stopping and restarting.
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "unit_manager_contract.h"

namespace fleet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kSleeper = "[Service]\nExecStart=/bin/sleep 1001\n";
const std::string kHanging = "[Service]\nType=notify\nExecStart=/bin/sleep 1004\n";
const std::string kFailing = "[Service]\nType=oneshot\nExecStart=/bin/false\n";

TEST_P(UnitManagerContract, AStartedUnitIsActive) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(start("fleetct-a.service"));
  const auto status = query("fleetct-a.service");
  ASSERT_TRUE(status);
  EXPECT_EQ(words(*status), "loaded active running");
  EXPECT_FALSE(status->job_pending);
  EXPECT_EQ(world_->command_of("fleetct-a.service"), "/bin/sleep 1001");
}

TEST_P(UnitManagerContract, StartingAnActiveUnitChangesNothing) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(start("fleetct-a.service"));
  const std::string process = world_->process_of("fleetct-a.service");
  ASSERT_TRUE(start("fleetct-a.service"));
  EXPECT_EQ(world_->process_of("fleetct-a.service"), process);
}

TEST_P(UnitManagerContract, AStoppedUnitIsInactive) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(start("fleetct-a.service"));
  ASSERT_TRUE(stop("fleetct-a.service"));
  EXPECT_EQ(states("fleetct-a.service"), "loaded inactive dead");
  EXPECT_TRUE(stop("fleetct-a.service"));
}

TEST_P(UnitManagerContract, StoppingWhatSystemdDoesNotKnowSucceeds) {
  EXPECT_TRUE(stop("fleetct-none.service"));
  EXPECT_TRUE(stop("fleetct-none.timer"));
}

TEST_P(UnitManagerContract, ARestartedUnitRunsAnew) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(restart("fleetct-a.service"));  // of an inactive unit: a start
  EXPECT_EQ(states("fleetct-a.service"), "loaded active running");
  const std::string process = world_->process_of("fleetct-a.service");
  ASSERT_TRUE(restart("fleetct-a.service"));
  EXPECT_EQ(states("fleetct-a.service"), "loaded active running");
  EXPECT_NE(world_->process_of("fleetct-a.service"), process);
}

TEST_P(UnitManagerContract, StartingAUnitWithoutAFileFails) {
  for (const Status& outcome : {start("fleetct-none.service"), restart("fleetct-none.service")}) {
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::failed);
    EXPECT_THAT(outcome.error().message, HasSubstr("fleetct-none.service not found"));
  }
}

TEST_P(UnitManagerContract, AUnitWithABadSettingSaysWhyAndTheOthersGoOn) {
  ASSERT_TRUE(write("fleetct-bad.service", "[Service]\nType=simple\n"));  // nothing to run
  ASSERT_TRUE(write("fleetct-good.service", kSleeper));
  Pending bad, good;
  manager().start("fleetct-bad.service", into(bad));
  manager().start("fleetct-good.service", into(good));
  ASSERT_TRUE(world_->run_until([&] { return bad.outcome && good.outcome; }));
  EXPECT_TRUE(*good.outcome);
  ASSERT_FALSE(*bad.outcome);
  EXPECT_EQ(bad.outcome->error().code, ErrorCode::failed);
  EXPECT_THAT(bad.outcome->error().message,
              HasSubstr("Unit fleetct-bad.service has a bad unit file setting."));
  const auto status = query("fleetct-bad.service");
  ASSERT_TRUE(status);
  EXPECT_EQ(words(*status), "bad-setting inactive dead");
  EXPECT_THAT(status->load_error, HasSubstr("bad unit file setting"));
}

TEST_P(UnitManagerContract, AFailingStartFailsWithTheJobsResult) {
  ASSERT_TRUE(write("fleetct-a.service", kFailing));
  for (int round = 0; round < 2; ++round) {
    const Status outcome = start("fleetct-a.service");
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::failed);
    EXPECT_THAT(outcome.error().message, HasSubstr("result failed"));
    EXPECT_THAT(outcome.error().message, HasSubstr("fleetct-a.service"));
    EXPECT_EQ(states("fleetct-a.service"), "loaded failed failed");
  }
  const Status again = restart("fleetct-a.service");
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("result failed"));
  EXPECT_TRUE(stop("fleetct-a.service"));
}

TEST_P(UnitManagerContract, AnEndedOneshotHasStarted) {
  const std::string text = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
  ASSERT_TRUE(write("fleetct-a.service", text));
  EXPECT_TRUE(start("fleetct-a.service"));
  EXPECT_EQ(states("fleetct-a.service"), "loaded inactive dead");
  ASSERT_TRUE(write("fleetct-b.service", text + "RemainAfterExit=yes\n"));
  EXPECT_TRUE(start("fleetct-b.service"));
  EXPECT_EQ(states("fleetct-b.service"), "loaded active exited");
}

TEST_P(UnitManagerContract, AStartThatAConditionForbidsSucceeds) {
  ASSERT_TRUE(write("fleetct-a.service", "[Unit]\nConditionPathExists=/nonexistent\n" + kSleeper));
  const Status outcome = start("fleetct-a.service");
  EXPECT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(states("fleetct-a.service"), "loaded inactive dead");
}

TEST_P(UnitManagerContract, AProcessThatEndsLaterDoesNotFailTheStart) {
  ASSERT_TRUE(write("fleetct-a.service", "[Service]\nExecStart=/bin/false\n"));
  EXPECT_TRUE(start("fleetct-a.service"));
  EXPECT_TRUE(
      world_->run_until([&] { return states("fleetct-a.service") == "loaded failed failed"; }));
}

TEST_P(UnitManagerContract, AUnitThatHangsStartingHoldsUpNothing) {
  ASSERT_TRUE(write("fleetct-hang.service", kHanging));
  ASSERT_TRUE(write("fleetct-good.service", kSleeper));
  Pending hanging;
  manager().start("fleetct-hang.service", into(hanging));
  EXPECT_TRUE(start("fleetct-good.service"));
  EXPECT_TRUE(write("fleetct-more.service", kSleeper));
  EXPECT_TRUE(start("fleetct-more.service"));
  EXPECT_TRUE(reload());
  EXPECT_FALSE(hanging.outcome);
  const auto status = query("fleetct-hang.service");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->active_state, "activating");
  EXPECT_TRUE(status->job_pending);

  // A stop replaces the start, which says so.
  EXPECT_TRUE(stop("fleetct-hang.service"));
  ASSERT_TRUE(world_->run_until([&] { return hanging.outcome.has_value(); }));
  ASSERT_FALSE(*hanging.outcome);
  EXPECT_EQ(hanging.outcome->error().code, ErrorCode::failed);
  EXPECT_THAT(hanging.outcome->error().message, HasSubstr("fleet's own newer stop"));
  EXPECT_THAT(hanging.outcome->error().message, HasSubstr("canceled"));
  EXPECT_EQ(hanging.calls, 1);
}

TEST_P(UnitManagerContract, AStartCanceledByHandDoesNotBlameFleet) {
  ASSERT_TRUE(write("fleetct-hang.service", kHanging));
  Pending hanging;
  manager().start("fleetct-hang.service", into(hanging));
  ASSERT_TRUE(world_->run_until([&] { return query("fleetct-hang.service")->job_pending; }));
  world_->stop_by_hand("fleetct-hang.service");
  ASSERT_TRUE(world_->run_until([&] { return hanging.outcome.has_value(); }));
  ASSERT_FALSE(*hanging.outcome);
  EXPECT_THAT(hanging.outcome->error().message, HasSubstr("canceled"));
  EXPECT_THAT(hanging.outcome->error().message, Not(HasSubstr("newer")));
}

TEST_P(UnitManagerContract, TheSameStartTwiceEndsTwice) {
  ASSERT_TRUE(write("fleetct-hang.service", kHanging));
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  Pending first, second, third, fourth;
  manager().start("fleetct-hang.service", into(first));
  manager().start("fleetct-hang.service", into(second));
  manager().start("fleetct-a.service", into(third));
  manager().start("fleetct-a.service", into(fourth));
  ASSERT_TRUE(world_->run_until([&] { return third.outcome && fourth.outcome; }));
  EXPECT_TRUE(*third.outcome);
  EXPECT_TRUE(*fourth.outcome);
  EXPECT_TRUE(stop("fleetct-hang.service"));
  ASSERT_TRUE(world_->run_until([&] { return first.outcome && second.outcome; }));
  EXPECT_FALSE(*first.outcome);
  EXPECT_FALSE(*second.outcome);
  EXPECT_EQ(first.calls + second.calls + third.calls + fourth.calls, 4);
}

TEST_P(UnitManagerContract, TwoHundredUnitsInFlightAtOnce) {
  constexpr int kUnits = 200;
  std::vector<std::string> names;
  for (int i = 0; i < kUnits; ++i) {
    names.push_back("fleetct-many" + std::to_string(i) + ".service");
  }
  int good = 0;
  int ended = 0;
  const auto count = [&](const Status& outcome) {
    ++ended;
    if (outcome) ++good;
    EXPECT_TRUE(outcome) << outcome.error().message;
  };
  const auto all = [&](auto call) {
    good = ended = 0;
    for (const std::string& name : names) call(name);
    EXPECT_TRUE(world_->run_until([&] { return ended == kUnits; })) << ended;
    EXPECT_EQ(good, kUnits);
  };
  // Each is started as soon as it is written: while systemd loads one, others appear.
  all([&](const std::string& name) {
    manager().write(name, kSleeper, false, [&, name](const Status& written) {
      EXPECT_TRUE(written);
      manager().start(name, count);
    });
  });
  int active = 0;
  all([&](const std::string& name) {
    manager().query(name, [&](const Result<UnitStatus>& status) {
      ++ended;
      good += status ? 1 : 0;
      active += status && status->active_state == "active" && !status->needs_reload ? 1 : 0;
    });
  });
  EXPECT_EQ(active, kUnits);
  all([&](const std::string& name) { manager().stop(name, count); });
  all([&](const std::string& name) { manager().remove(name, count); });
  EXPECT_TRUE(list()->empty());
}

// Whoever asks meanwhile must not take it for a unit that has run already, or never will.
TEST_P(UnitManagerContract, AStartThatWaitsForOthersIsPending) {
  std::vector<Pending> starts(100);
  const auto name = [](std::size_t i) { return "fleetct-w" + std::to_string(i) + ".service"; };
  for (std::size_t i = 0; i < starts.size(); ++i) ASSERT_TRUE(write(name(i), kSleeper));
  for (std::size_t i = 0; i < starts.size(); ++i) manager().start(name(i), into(starts[i]));
  const auto status = query(name(starts.size() - 1));
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->job_pending || status->active_state == "active") << words(*status);
  for (const Pending& start : starts) {
    ASSERT_TRUE(world_->run_until([&] { return start.outcome.has_value(); }));
    EXPECT_TRUE(*start.outcome);
  }
}

TEST_P(UnitManagerContract, UnusualNamesAreNamesLikeOthers) {
  const std::string longest = "fleetct-" + std::string(200, 'x') + ".service";
  for (const std::string name :
       {"fleetct-a\\x2db.service", "fleetct-a\\b\\\\c.service", "fleetct_a__b.service",
        "fleetct-a.b:c-d_e.service", "fleetct-t@1.service", "fleetct-t@a@b\\x20c.service",
        "fleetct..service", "_5ffleetct.service", "0fleetct.service", longest.c_str()}) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(write(name, kSleeper));
    const Status started = start(name);
    ASSERT_TRUE(started) << started.error().message;
    EXPECT_EQ(states(name), "loaded active running");
    ASSERT_TRUE(set_note(name, "n"));
    EXPECT_EQ(note_of(name), "n");
    ASSERT_TRUE(stop(name));
    ASSERT_TRUE(remove(name));
    EXPECT_EQ(states(name), "not-found inactive dead");
    EXPECT_FALSE(world_->has_file(name));
  }
}

TEST_P(UnitManagerContract, UnitsOfAllTypesCanRun) {
  struct Case {
    const char* name;
    const char* text;
    const char* states;
  };
  ASSERT_TRUE(write("fleetct-type.service", kSleeper));
  for (const Case& unit : {
           Case{"fleetct-type.target", "[Unit]\nDescription=t\n", "loaded active active"},
           Case{"fleetct-type.slice", "[Unit]\nDescription=s\n", "loaded active active"},
           Case{"fleetct-type.timer", "[Timer]\nOnActiveSec=1d\n", "loaded active waiting"},
           Case{"fleetct-type.socket",
                "[Socket]\nListenStream=/run/fleetct-type.sock\n"
                "RemoveOnStop=yes\n",
                "loaded active listening"},
           Case{"fleetct-type.path", "[Path]\nPathExists=/nonexistent\n", "loaded active waiting"},
           Case{"run-fleetct\\x2dtype.mount",
                "[Mount]\nWhat=tmpfs\nWhere=/run/fleetct-type\nType=tmpfs\n",
                "loaded active mounted"},
       }) {
    SCOPED_TRACE(unit.name);
    ASSERT_TRUE(write(unit.name, unit.text));
    const Status started = start(unit.name);
    ASSERT_TRUE(started) << started.error().message;
    EXPECT_EQ(states(unit.name), unit.states);
    ASSERT_TRUE(stop(unit.name));
    EXPECT_EQ(query(unit.name)->active_state, "inactive");
    ASSERT_TRUE(remove(unit.name));
  }
}

TEST_P(UnitManagerContract, WhatSystemdCouldNotHaveCanBeKeptButNotStarted) {
  record_reports();
  for (const std::string name :
       {"fleetct-t@.service", "fleetct.busname", "fleetct.snapshot", ".service"}) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(write(name, kSleeper));
    for (const Status& outcome : {start(name), restart(name)}) {
      ASSERT_FALSE(outcome);
      EXPECT_EQ(outcome.error().code, ErrorCode::failed);
    }
    EXPECT_EQ(states(name), "error inactive dead");
    EXPECT_EQ(query(name)->load_error, "systemd can have no unit of this name");
    manager().observe(name);
    EXPECT_TRUE(reported(name, "error inactive dead"));
    EXPECT_TRUE(stop(name));
    EXPECT_TRUE(remove(name));
    EXPECT_FALSE(world_->has_file(name));
  }
}

// systemd.unit(5): 255 bytes at most; a file cannot have a longer name either.
TEST_P(UnitManagerContract, ANameThatIsTooLongForAFileIsRefusedAndHoldsUpNothing) {
  const std::string name = "fleetct-" + std::string(240, 'x') + ".service";
  ASSERT_EQ(name.size(), 256u);
  EXPECT_FALSE(write(name, kSleeper));
  EXPECT_FALSE(start(name));
  EXPECT_EQ(states(name), "error inactive dead");
  EXPECT_TRUE(stop(name));
  EXPECT_TRUE(remove(name));
}

TEST_P(UnitManagerContract, EveryCallbackRunsOnceAndNeverWithinTheCall) {
  int calls = 0;
  bool within = false;
  const auto done = [&](const Status&) {
    ++calls;
    EXPECT_FALSE(within);
  };
  within = true;
  for (const std::string name : {"fleetct-a.service", "fleetct-none.service", "no name"}) {
    manager().write(name == "fleetct-none.service" ? "also no name" : name, kSleeper, false, done);
    manager().set_note(name, "n", done);
    manager().start(name, done);
    manager().restart(name, done);
    manager().stop(name, done);
    manager().query(name, [&](const Result<UnitStatus>&) { done({}); });
    manager().remove(name, done);
  }
  manager().list([&](const Result<std::vector<LocalUnit>>&) { done({}); });
  manager().reload(done);
  within = false;
  EXPECT_TRUE(world_->run_until([&] { return calls >= 23; })) << calls;
  world_->settle();
  EXPECT_EQ(calls, 23);
}

TEST_P(UnitManagerContract, NoCallbackRunsAfterTheEnd) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(write("fleetct-hang.service", kHanging));
  int calls = 0;
  const auto done = [&](const Status&) { ++calls; };
  manager().set_listener([&](const std::string&, const UnitStatus&) { ++calls; });
  manager().observe("fleetct-a.service");
  manager().start("fleetct-a.service", done);
  manager().start("fleetct-hang.service", done);
  manager().query("fleetct-a.service", [&](const Result<UnitStatus>&) { ++calls; });
  manager().list([&](const Result<std::vector<LocalUnit>>&) { ++calls; });
  manager().set_note("fleetct-a.service", "n", done);
  manager().reload(done);
  world_->end_manager();
  world_->settle();
  EXPECT_EQ(calls, 0);
  world_->restart_manager();
  EXPECT_TRUE(stop("fleetct-hang.service"));
}

TEST_P(UnitManagerContract, ACallbackMayEndTheManager) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  bool called = false;
  manager().start("fleetct-a.service", [&](const Status&) {
    called = true;
    world_->end_manager();
  });
  manager().query("fleetct-a.service", [&](const Result<UnitStatus>&) {});
  EXPECT_TRUE(world_->run_until([&] { return called; }));
  world_->settle();
  world_->restart_manager();
  EXPECT_EQ(states("fleetct-a.service"), "loaded active running");
}

TEST_P(UnitManagerContract, ACallbackMayCall) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  Pending stopped;
  manager().start("fleetct-a.service", [&](const Status& outcome) {
    EXPECT_TRUE(outcome);
    manager().stop("fleetct-a.service", into(stopped));
  });
  ASSERT_TRUE(world_->run_until([&] { return stopped.outcome.has_value(); }));
  EXPECT_TRUE(*stopped.outcome);
}

}  // namespace
}  // namespace fleet
