// The UnitManager contract: unit files, notes, and what systemd has read of them.
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "unit_manager_contract.h"

namespace fleet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kSleeper = "[Unit]\nDescription=d\n\n[Service]\nExecStart=/bin/sleep 1001\n";
const std::string kOtherSleeper = "[Service]\nExecStart=/bin/sleep 1002\n";
const std::string kEnabled =
    "[Service]\nExecStart=/bin/sleep 1003\n[Install]\nWantedBy=fleetct.target\n";

std::vector<std::string> names_of(const Result<std::vector<LocalUnit>>& units) {
  std::vector<std::string> names;
  if (!units) return {units.error().message};
  for (const LocalUnit& unit : *units) names.push_back(unit.name);
  return names;
}

TEST_P(UnitManagerContract, NothingIsListedAtFirst) {
  const auto units = list();
  ASSERT_TRUE(units) << units.error().message;
  EXPECT_THAT(*units, IsEmpty());
}

TEST_P(UnitManagerContract, WrittenFilesAreListedByNameWithTheirText) {
  const std::string odd =
      "leading junk\n; comment\n[Service]\nExecStart=/bin/sleep 1 \\\n  2\n\n\n";
  ASSERT_TRUE(write("fleetct-b.service", odd));
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(write("fleetct-c.timer", ""));
  const auto units = list();
  ASSERT_THAT(names_of(units),
              ElementsAre("fleetct-a.service", "fleetct-b.service", "fleetct-c.timer"));
  EXPECT_EQ((*units)[0].text, kSleeper);
  EXPECT_EQ((*units)[1].text, odd);
  EXPECT_EQ((*units)[2].text, "");
  EXPECT_EQ((*units)[0].note, "");
}

TEST_P(UnitManagerContract, FilesThatAreNoUnitsAreNotListed) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  world_->put_file("README", "read me");
  world_->put_file("fleetct-a.service.bak", "old");
  world_->put_file("fleetct-x.txt", "text");
  world_->put_file("fleetct-by-hand.service", kOtherSleeper);
  EXPECT_THAT(names_of(list()), ElementsAre("fleetct-a.service", "fleetct-by-hand.service"));
}

TEST_P(UnitManagerContract, WritingAgainReplacesTheText) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(write("fleetct-a.service", kOtherSleeper));
  const auto units = list();
  ASSERT_THAT(names_of(units), ElementsAre("fleetct-a.service"));
  EXPECT_EQ((*units)[0].text, kOtherSleeper);
}

TEST_P(UnitManagerContract, WritingStartsNothingAndNeedsNoReload) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  const auto status = query("fleetct-a.service");
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(words(*status), "loaded inactive dead");
  EXPECT_FALSE(status->job_pending);
  EXPECT_FALSE(status->needs_reload);
  EXPECT_EQ(status->load_error, "");
}

TEST_P(UnitManagerContract, AUnitWithoutAFileIsNotFound) {
  const auto status = query("fleetct-none.service");
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(words(*status), "not-found inactive dead");
  EXPECT_FALSE(status->job_pending);
  EXPECT_THAT(status->load_error, HasSubstr("not found"));
}

TEST_P(UnitManagerContract, ANameThatIsNoUnitNameIsRefusedEverywhere) {
  for (const std::string name :
       {"", "../evil.service", "a b.service", "noservice", "a.", "x.txt"}) {
    SCOPED_TRACE(name);
    for (const Status& outcome : {write(name, kSleeper), remove(name), start(name), stop(name),
                                  restart(name), set_note(name, "n")}) {
      ASSERT_FALSE(outcome);
      EXPECT_EQ(outcome.error().code, ErrorCode::invalid) << outcome.error().message;
    }
    const auto status = query(name);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::invalid) << status.error().message;
  }
  EXPECT_THAT(names_of(list()), IsEmpty());
}

TEST_P(UnitManagerContract, AFileNewToSystemdNeedsNoReloadAlsoWhereAnotherUnitNamedIt) {
  ASSERT_TRUE(write("fleetct-first.service", "[Unit]\nWants=fleetct-second.service\n" + kSleeper));
  ASSERT_TRUE(start("fleetct-first.service"));
  EXPECT_EQ(states("fleetct-second.service"), "not-found inactive dead");
  ASSERT_TRUE(write("fleetct-second.service", kOtherSleeper));
  const Status started = start("fleetct-second.service");
  ASSERT_TRUE(started) << started.error().message;
  const auto status = query("fleetct-second.service");
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(words(*status), "loaded active running");
  EXPECT_FALSE(status->needs_reload);
}

TEST_P(UnitManagerContract, AFileChangedUnderALoadedUnitNeedsAReload) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(start("fleetct-a.service"));
  EXPECT_FALSE(query("fleetct-a.service")->needs_reload);

  ASSERT_TRUE(write("fleetct-a.service", kOtherSleeper));
  EXPECT_TRUE(query("fleetct-a.service")->needs_reload);
  EXPECT_EQ(world_->command_of("fleetct-a.service"), "/bin/sleep 1001");

  ASSERT_TRUE(reload());
  const auto status = query("fleetct-a.service");
  EXPECT_FALSE(status->needs_reload);
  EXPECT_EQ(words(*status), "loaded active running");
  EXPECT_EQ(world_->command_of("fleetct-a.service"), "/bin/sleep 1001");

  ASSERT_TRUE(restart("fleetct-a.service"));
  EXPECT_EQ(world_->command_of("fleetct-a.service"), "/bin/sleep 1002");
}

TEST_P(UnitManagerContract, AFileChangedRightAfterTheStartIsSeenToBeChanged) {
  for (int round = 0; round < 10; ++round) {
    const std::string name = "fleetct-quick" + std::to_string(round) + ".service";
    ASSERT_TRUE(write(name, kSleeper));
    Pending started, written;
    manager().start(name, into(started));
    ASSERT_TRUE(world_->run_until([&] { return started.outcome.has_value(); }));
    manager().write(name, kOtherSleeper, false, into(written));
    ASSERT_TRUE(world_->run_until([&] { return written.outcome.has_value(); }));
    EXPECT_TRUE(query(name)->needs_reload) << name;
  }
}

TEST_P(UnitManagerContract, WritingTheSameTextAgainNeedsNoReload) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(start("fleetct-a.service"));
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  EXPECT_FALSE(query("fleetct-a.service")->needs_reload);
}

TEST_P(UnitManagerContract, AFileChangedUnderAStoppedUnitIsReadAtItsNextStart) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(start("fleetct-a.service"));
  ASSERT_TRUE(stop("fleetct-a.service"));
  ASSERT_TRUE(write("fleetct-a.service", kOtherSleeper));
  EXPECT_FALSE(query("fleetct-a.service")->needs_reload);
  ASSERT_TRUE(start("fleetct-a.service"));
  EXPECT_EQ(world_->command_of("fleetct-a.service"), "/bin/sleep 1002");
}

TEST_P(UnitManagerContract, ManyReloadsAtOnceAllEnd) {
  std::vector<Pending> reloads(5);
  for (Pending& pending : reloads) manager().reload(into(pending));
  for (Pending& pending : reloads) {
    ASSERT_TRUE(world_->run_until([&] { return pending.outcome.has_value(); }));
    EXPECT_TRUE(*pending.outcome);
  }
}

TEST_P(UnitManagerContract, RemovingTakesTheFileAway) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(write("fleetct-b.service", kSleeper));
  ASSERT_TRUE(remove("fleetct-a.service"));
  EXPECT_THAT(names_of(list()), ElementsAre("fleetct-b.service"));
  EXPECT_EQ(states("fleetct-a.service"), "not-found inactive dead");
  EXPECT_FALSE(world_->has_file("fleetct-a.service"));
  const Status started = start("fleetct-a.service");
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::failed);
}

TEST_P(UnitManagerContract, RemovingWhatIsNotThereSucceeds) {
  EXPECT_TRUE(remove("fleetct-none.service"));
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  EXPECT_TRUE(remove("fleetct-a.service"));
  EXPECT_TRUE(remove("fleetct-a.service"));
}

TEST_P(UnitManagerContract, RemovingDoesNotStop) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(start("fleetct-a.service"));
  ASSERT_TRUE(remove("fleetct-a.service"));
  EXPECT_EQ(query("fleetct-a.service")->active_state, "active");
  ASSERT_TRUE(stop("fleetct-a.service"));
  EXPECT_EQ(states("fleetct-a.service"), "not-found inactive dead");
}

TEST_P(UnitManagerContract, RemovingMakesSystemdForgetAFailure) {
  ASSERT_TRUE(write("fleetct-a.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n"));
  ASSERT_FALSE(start("fleetct-a.service"));
  EXPECT_EQ(states("fleetct-a.service"), "loaded failed failed");
  ASSERT_TRUE(remove("fleetct-a.service"));
  EXPECT_EQ(states("fleetct-a.service"), "not-found inactive dead");
}

TEST_P(UnitManagerContract, AUnitThatSystemdCannotReadCanBeRemoved) {
  ASSERT_TRUE(write("fleetct-a.service", "[Service]\nType=simple\n"));
  ASSERT_FALSE(start("fleetct-a.service"));
  EXPECT_TRUE(stop("fleetct-a.service"));
  ASSERT_TRUE(remove("fleetct-a.service"));
  EXPECT_EQ(states("fleetct-a.service"), "not-found inactive dead");
}

TEST_P(UnitManagerContract, ARemovedUnitCanComeBackWithAnotherFile) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(start("fleetct-a.service"));
  ASSERT_TRUE(stop("fleetct-a.service"));
  ASSERT_TRUE(remove("fleetct-a.service"));
  ASSERT_TRUE(write("fleetct-a.service", kOtherSleeper));
  ASSERT_TRUE(start("fleetct-a.service"));
  EXPECT_EQ(world_->command_of("fleetct-a.service"), "/bin/sleep 1002");
}

TEST_P(UnitManagerContract, EnablingFollowsTheInstallSection) {
  ASSERT_TRUE(write("fleetct-a.service", kEnabled, /*enable=*/false));
  EXPECT_FALSE(world_->enabled("fleetct-a.service", "fleetct.target"));
  ASSERT_TRUE(write("fleetct-a.service", kEnabled, /*enable=*/true));
  EXPECT_TRUE(world_->enabled("fleetct-a.service", "fleetct.target"));
  ASSERT_TRUE(remove("fleetct-a.service"));
  EXPECT_FALSE(world_->enabled("fleetct-a.service", "fleetct.target"));
}

TEST_P(UnitManagerContract, AFileThatNoLongerAsksForItIsNoLongerEnabled) {
  ASSERT_TRUE(write("fleetct-a.service", kEnabled, /*enable=*/true));
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  EXPECT_FALSE(world_->enabled("fleetct-a.service", "fleetct.target"));
  EXPECT_EQ(states("fleetct-a.service"), "loaded inactive dead");
  ASSERT_TRUE(start("fleetct-a.service"));
}

// systemd takes the links of those away too.
TEST_P(UnitManagerContract, WhatAnotherUnitsInstallSectionNamesIsStillFoundOnceThatIsRemoved) {
  ASSERT_TRUE(write("fleetct-b.service", kSleeper));
  ASSERT_TRUE(write("fleetct-a.service", kEnabled + "Also=fleetct-b.service\n", /*enable=*/true));
  ASSERT_TRUE(remove("fleetct-a.service"));
  ASSERT_TRUE(reload());
  EXPECT_EQ(states("fleetct-b.service"), "loaded inactive dead");
  EXPECT_TRUE(start("fleetct-b.service"));
}

TEST_P(UnitManagerContract, WhatAnotherUnitsInstallSectionNamesStaysEnabled) {
  const std::string also = kEnabled + "Also=fleetct-b.service fleetct-none.service\n";
  ASSERT_TRUE(write("fleetct-b.service", kEnabled, /*enable=*/true));
  ASSERT_TRUE(write("fleetct-a.service", also, /*enable=*/true));
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  EXPECT_FALSE(world_->enabled("fleetct-a.service", "fleetct.target"));
  EXPECT_TRUE(world_->enabled("fleetct-b.service", "fleetct.target"));
  ASSERT_TRUE(write("fleetct-a.service", also, /*enable=*/true));
  ASSERT_TRUE(remove("fleetct-a.service"));
  EXPECT_TRUE(world_->enabled("fleetct-b.service", "fleetct.target"));
}

TEST_P(UnitManagerContract, AFileThatIsReadBeforeOursIsNamed) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  EXPECT_EQ(query("fleetct-a.service")->other_file, "");
  ASSERT_TRUE(start("fleetct-a.service"));
  EXPECT_EQ(query("fleetct-a.service")->other_file, "");
  ASSERT_TRUE(stop("fleetct-a.service"));
  const std::string other = world_->put_file_before("fleetct-a.service", kOtherSleeper);
  EXPECT_EQ(query("fleetct-a.service")->other_file, other);
  world_->start_by_hand("fleetct-a.service");
  EXPECT_EQ(query("fleetct-a.service")->other_file, other);
  EXPECT_EQ(world_->command_of("fleetct-a.service"), "/bin/sleep 1002");
  // With a mistake in it, it is no less the one that runs.
  world_->put_file_before("fleetct-a.service", "[Service]\nType=simple\n");
  ASSERT_TRUE(reload());
  EXPECT_EQ(states("fleetct-a.service"), "bad-setting active running");
  EXPECT_EQ(query("fleetct-a.service")->other_file, other);
}

TEST_P(UnitManagerContract, AFileThatIsReadBeforeOursIsNamedUntilItIsGone) {
  record_reports();
  const auto last = [this] {
    const auto& reports = reports_["fleetct-a.service"];
    return reports.empty() ? "none yet" : reports.back().other_file;
  };
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  const std::string other = world_->put_file_before("fleetct-a.service", kOtherSleeper);
  manager().observe("fleetct-a.service");
  EXPECT_TRUE(world_->run_until([&] { return last() == other; }));
  ASSERT_TRUE(start("fleetct-a.service"));
  ASSERT_TRUE(stop("fleetct-a.service"));
  world_->take_file_before("fleetct-a.service");
  EXPECT_TRUE(world_->run_until([&] { return last().empty(); })) << last();
}

TEST_P(UnitManagerContract, EnablingAFileWithoutInstallSectionSucceeds) {
  EXPECT_TRUE(write("fleetct-a.service", kSleeper, /*enable=*/true));
}

TEST_P(UnitManagerContract, AnEnabledUnitCanBeRemovedAfterAReload) {
  ASSERT_TRUE(write("fleetct.target", "[Unit]\nDescription=t\n"));
  ASSERT_TRUE(write("fleetct-a.service", kEnabled, /*enable=*/true));
  ASSERT_TRUE(start("fleetct.target"));
  ASSERT_TRUE(reload());
  ASSERT_TRUE(start("fleetct-a.service"));
  ASSERT_TRUE(stop("fleetct-a.service"));
  ASSERT_TRUE(remove("fleetct-a.service"));
  EXPECT_EQ(states("fleetct-a.service"), "not-found inactive dead");
  ASSERT_TRUE(stop("fleetct.target"));
}

TEST_P(UnitManagerContract, NotesAreListedWithTheirUnits) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(write("fleetct-b.service", kSleeper));
  ASSERT_TRUE(set_note("fleetct-a.service", "launched\nline two\n"));
  EXPECT_EQ(note_of("fleetct-a.service"), "launched\nline two\n");
  EXPECT_EQ(note_of("fleetct-b.service"), "");
  ASSERT_TRUE(set_note("fleetct-a.service", "other"));
  EXPECT_EQ(note_of("fleetct-a.service"), "other");
  ASSERT_TRUE(set_note("fleetct-a.service", ""));
  EXPECT_EQ(note_of("fleetct-a.service"), "");
}

TEST_P(UnitManagerContract, ANoteSurvivesAWriteAndANewProcess) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(set_note("fleetct-a.service", "launched"));
  ASSERT_TRUE(write("fleetct-a.service", kOtherSleeper));
  EXPECT_EQ(note_of("fleetct-a.service"), "launched");
  world_->restart_manager();
  EXPECT_EQ(note_of("fleetct-a.service"), "launched");
}

TEST_P(UnitManagerContract, ANoteGoesWithItsUnit) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(set_note("fleetct-a.service", "launched"));
  ASSERT_TRUE(remove("fleetct-a.service"));
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  EXPECT_EQ(note_of("fleetct-a.service"), "");
}

TEST_P(UnitManagerContract, ANoteNeedsAUnitFile) {
  const Status outcome = set_note("fleetct-none.service", "launched");
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::not_found);
  EXPECT_THAT(names_of(list()), IsEmpty());
}

TEST_P(UnitManagerContract, ANewProcessFindsTheUnitsAsTheyAre) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(write("fleetct-b.service", kSleeper));
  ASSERT_TRUE(start("fleetct-a.service"));
  const std::string process = world_->process_of("fleetct-a.service");
  world_->restart_manager();
  EXPECT_THAT(names_of(list()), ElementsAre("fleetct-a.service", "fleetct-b.service"));
  EXPECT_EQ(states("fleetct-a.service"), "loaded active running");
  EXPECT_EQ(states("fleetct-b.service"), "loaded inactive dead");
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(start("fleetct-a.service"));
  EXPECT_EQ(world_->process_of("fleetct-a.service"), process);
}

}  // namespace
}  // namespace fleet
