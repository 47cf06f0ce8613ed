#include "agent/local_unit.h"

#include <gtest/gtest.h>

namespace fleet {
namespace {

constexpr MachineSituation kHere{.registered = true, .leaving = false};
constexpr MachineSituation kUnregistered{.registered = false, .leaving = false};
constexpr MachineSituation kLeaving{.registered = true, .leaving = true};

Entry<ScheduleRecord> decision(UnitState state, const std::string& hash = "h1",
                               std::uint64_t restarts = 0) {
  ScheduleRecord record;
  record.state = state;
  record.restarts = restarts;
  record.reason = "because";
  if (state != UnitState::inactive) {
    record.hash = hash;
    record.text = "text of " + hash;
  }
  Entry<ScheduleRecord> entry;
  entry.value = std::move(record);
  entry.create_revision = 5;
  entry.mod_revision = 5;
  return entry;
}

UnitStatus status(const std::string& active, const std::string& sub = "") {
  UnitStatus seen;
  seen.load_state = "loaded";
  seen.active_state = active;
  seen.sub_state = sub;
  return seen;
}

LocalUnitState absent(UnitState wanted) {
  LocalUnitState unit;
  unit.decision = decision(wanted);
  return unit;
}

// A unit whose file is on the disk as h1 and of which systemd says `active`.
LocalUnitState present(UnitState wanted, const std::string& active,
                       std::optional<LaunchNote> note = {}) {
  LocalUnitState unit = absent(wanted);
  unit.on_disk = true;
  unit.disk_hash = "h1";
  unit.status = status(active);
  unit.note = std::move(note);
  return unit;
}

const LaunchNote kLaunched{"h1", 0};

TaskKind task(const LocalUnitState& unit, const MachineSituation& situation = kHere) {
  return next_task(unit, situation).kind;
}

TEST(LaunchNote, ReadsBackWhatItWrote) {
  const LaunchNote note{"0123456789abcdef", 7};
  EXPECT_EQ(decode_note(encode(note)), note);
}

TEST(LaunchNote, CountsAnythingElseAsNeverLaunched) {
  for (const char* text :
       {"", "launched", "launched h1", "launched h1 x", "launched h1 1x", "launched h1 -1",
        "launched h1 99999999999999999999999", "stopping", "replaced"}) {
    EXPECT_FALSE(decode_note(text)) << text;
  }
}

TEST(NextTask, LeavesAUnitWithoutDecisionAlone) {
  LocalUnitState unit = present(UnitState::launched, "active", kLaunched);
  unit.decision = {};
  EXPECT_EQ(task(unit), TaskKind::none);
  EXPECT_EQ(task(unit, kLeaving), TaskKind::none);
  unit.status.reset();
  EXPECT_EQ(task(unit), TaskKind::query) << "the cluster is told about it all the same";
}

TEST(NextTask, LeavesAUnitWithAnUnreadableDecisionAlone) {
  LocalUnitState unit = present(UnitState::launched, "active", kLaunched);
  unit.decision.value.reset();
  unit.decision.error = "unknown version";
  EXPECT_EQ(task(unit), TaskKind::none);
  EXPECT_EQ(task(unit, kLeaving), TaskKind::none);
}

TEST(NextTask, LoadsThenAsksThenStarts) {
  LocalUnitState unit = absent(UnitState::launched);
  EXPECT_EQ(task(unit), TaskKind::write);
  unit.on_disk = true;
  unit.disk_hash = "h1";
  EXPECT_EQ(task(unit), TaskKind::query);
  unit.status = status("inactive");
  EXPECT_EQ(next_task(unit, kHere), (Task{TaskKind::start, "because", {}}));
  unit.note = kLaunched;
  EXPECT_EQ(task(unit), TaskKind::none);
}

TEST(NextTask, LoadsButDoesNotStartAUnitThatIsToBeLoaded) {
  EXPECT_EQ(task(absent(UnitState::loaded)), TaskKind::write);
  EXPECT_EQ(task(present(UnitState::loaded, "inactive")), TaskKind::none);
}

TEST(NextTask, ReloadsOnlyWhatSystemdWantsReloadedAndOnlyOnce) {
  LocalUnitState unit = present(UnitState::launched, "inactive");
  unit.status->needs_reload = true;
  EXPECT_EQ(task(unit), TaskKind::reload);
  unit.reloaded = true;
  EXPECT_EQ(task(unit), TaskKind::start);
}

TEST(NextTask, DoesNotStartTwiceWhatFinishedOrFailedOrWasStoppedByHand) {
  for (const char* active : {"inactive", "failed"}) {
    EXPECT_EQ(task(present(UnitState::launched, active, kLaunched)), TaskKind::none) << active;
  }
}

TEST(NextTask, WritesDownALaunchThatCouldNotBeWrittenDown) {
  LocalUnitState unit = present(UnitState::launched, "active", kLaunched);
  unit.note_unsaved = true;
  EXPECT_EQ(next_task(unit, kHere), (Task{TaskKind::note, "it was launched", kLaunched}));
}

TEST(NextTask, AdoptsWhatRunsAlready) {
  EXPECT_EQ(next_task(present(UnitState::launched, "active"), kHere),
            (Task{TaskKind::note, "it runs already", kLaunched}));
}

TEST(NextTask, StartsWhatIsOnlyOnItsWay) {
  // Its start may be the one of an earlier fleetd: systemd takes the two for one.
  EXPECT_EQ(task(present(UnitState::launched, "activating")), TaskKind::start);
}

TEST(NextTask, RestartsWhenTheCountHasGrown) {
  LocalUnitState unit = present(UnitState::launched, "active", kLaunched);
  unit.decision = decision(UnitState::launched, "h1", 2);
  EXPECT_EQ(task(unit), TaskKind::restart);
  unit.note = LaunchNote{"h1", 2};
  EXPECT_EQ(task(unit), TaskKind::none);
  unit.note = LaunchNote{"h1", 3};
  EXPECT_EQ(task(unit), TaskKind::note) << "a count that went back is no restart";
}

TEST(NextTask, ReplacesContentByStopThenWrite) {
  LocalUnitState unit = present(UnitState::launched, "active", kLaunched);
  unit.decision = decision(UnitState::launched, "h2");
  EXPECT_EQ(next_task(unit, kHere), (Task{TaskKind::note, "it is about to be stopped", {}}));
  unit.note.reset();
  EXPECT_EQ(task(unit), TaskKind::stop);
  unit.status = status("inactive");
  EXPECT_EQ(task(unit), TaskKind::write);
  unit.disk_hash = "h2";
  EXPECT_EQ(task(unit), TaskKind::start);
}

TEST(NextTask, StopsWhatIsNoLongerToBeLaunchedAndNotesIt) {
  LocalUnitState unit = present(UnitState::loaded, "active", kLaunched);
  EXPECT_EQ(task(unit), TaskKind::note);
  unit.note.reset();
  unit.stopping = true;
  EXPECT_EQ(task(unit), TaskKind::stop);
  unit.stopping = false;
  unit.note_unsaved = true;
  unit.status = status("inactive");
  EXPECT_EQ(next_task(unit, kHere), (Task{TaskKind::note, "it is no longer launched", {}}));
  unit.note_unsaved = false;
  EXPECT_EQ(task(unit), TaskKind::none);
}

TEST(NextTask, DoesNotStopALoadedUnitThatSomebodyElseStarted) {
  EXPECT_EQ(task(present(UnitState::loaded, "active")), TaskKind::none);
}

TEST(NextTask, LetsGoByStopRemoveAcknowledge) {
  LocalUnitState unit = present(UnitState::inactive, "active", kLaunched);
  EXPECT_EQ(task(unit), TaskKind::note) << "first it is no longer taken for launched";
  unit.note.reset();
  EXPECT_EQ(task(unit), TaskKind::stop);
  unit.status_stale = true;
  EXPECT_EQ(task(unit), TaskKind::query);
  unit.status_stale = false;
  unit.status = status("failed");
  EXPECT_EQ(task(unit), TaskKind::remove);
  unit.on_disk = false;
  EXPECT_EQ(next_task(unit, kHere), (Task{TaskKind::acknowledge, "because", {}}));
}

TEST(NextTask, StopsAPendingJobBeforeItTakesTheFileAway) {
  LocalUnitState unit = present(UnitState::inactive, "inactive");
  unit.status->job_pending = true;
  EXPECT_EQ(task(unit), TaskKind::stop);
}

TEST(NextTask, NeverStopsAUnitThatItDidNotPutThere) {
  LocalUnitState unit = absent(UnitState::inactive);
  unit.status = status("active");
  EXPECT_EQ(task(unit), TaskKind::acknowledge);
  unit.decision = decision(UnitState::launched);
  EXPECT_EQ(task(unit, kLeaving), TaskKind::acknowledge);
}

TEST(NextTask, TakesAwayWhatAFailedWriteMayHaveLeft) {
  LocalUnitState unit = absent(UnitState::inactive);
  unit.file_doubtful = true;
  EXPECT_EQ(task(unit), TaskKind::remove);
}

TEST(NextTask, BeginsNothingNewWithoutRegistration) {
  EXPECT_EQ(task(absent(UnitState::launched), kUnregistered), TaskKind::none);
  EXPECT_EQ(task(present(UnitState::launched, "inactive"), kUnregistered), TaskKind::none);
  LocalUnitState replaced = present(UnitState::launched, "active", kLaunched);
  replaced.decision = decision(UnitState::launched, "h2");
  EXPECT_EQ(task(replaced, kUnregistered), TaskKind::none);
}

TEST(NextTask, CarriesOutOrdersToStopWithoutRegistration) {
  EXPECT_EQ(task(present(UnitState::inactive, "active"), kUnregistered), TaskKind::stop);
  EXPECT_EQ(task(present(UnitState::inactive, "inactive"), kUnregistered), TaskKind::remove);
  EXPECT_EQ(task(absent(UnitState::inactive), kUnregistered), TaskKind::acknowledge);
}

TEST(NextTask, LetsGoOfEverythingWhenLeaving) {
  EXPECT_EQ(task(present(UnitState::launched, "active"), kLeaving), TaskKind::stop);
  EXPECT_EQ(task(present(UnitState::loaded, "inactive"), kLeaving), TaskKind::remove);
  EXPECT_EQ(task(absent(UnitState::launched), kLeaving), TaskKind::acknowledge);
}

// Nothing runs of it, and whoever switches the machine off waits.
TEST(NextTask, AFileThatCannotBeTakenAwayKeepsNoMachineFromLeaving) {
  LocalUnitState unit = present(UnitState::launched, "inactive");
  unit.refusals = kTriesToLetGo - 1;
  EXPECT_EQ(task(unit, kLeaving), TaskKind::remove);
  unit.refusals = kTriesToLetGo;
  EXPECT_EQ(task(unit, kLeaving), TaskKind::acknowledge);
  unit.decision = decision(UnitState::inactive);
  EXPECT_EQ(task(unit), TaskKind::remove) << "an order is an order";
}

TEST(NextTask, AUnitThatCannotBeStoppedKeepsNoMachineFromLeaving) {
  LocalUnitState unit = present(UnitState::launched, "active");
  unit.refusals = kTriesToLetGo - 1;
  EXPECT_EQ(task(unit, kLeaving), TaskKind::stop);
  EXPECT_FALSE(is_left_behind(unit));
  unit.refusals = kTriesToLetGo;
  EXPECT_EQ(task(unit, kLeaving), TaskKind::none) << "it is not given away: it runs";
  EXPECT_TRUE(is_left_behind(unit));
  unit.decision = decision(UnitState::inactive);
  EXPECT_EQ(task(unit), TaskKind::stop) << "an order is an order";
  unit.status->active_state = "inactive";
  EXPECT_FALSE(is_left_behind(unit));
  unit.status.reset();
  EXPECT_TRUE(is_left_behind(unit)) << "systemd does not say";
}

// When it is tried next is then for its RestartSec= to say.
TEST(NextTask, DoesNotStartWhatSystemdIsAboutToStartAgain) {
  LocalUnitState unit = present(UnitState::launched, "activating");
  unit.status->sub_state = "auto-restart";
  EXPECT_EQ(task(unit), TaskKind::start) << "it is asked to for the first time";
  unit.failures = 1;
  EXPECT_EQ(task(unit), TaskKind::none);
  unit.status = status("failed");
  EXPECT_EQ(task(unit), TaskKind::start);
}

TEST(TaskInsteadOfStart, AStopForAnOrderToStopAndForOtherContent) {
  LocalUnitState unit = present(UnitState::launched, "activating");
  const auto instead = [&unit](const MachineSituation& situation) {
    return task_instead_of_start(unit, situation).kind;
  };
  EXPECT_EQ(instead(kLeaving), TaskKind::none) << "no start is under way";
  unit.running = TaskKind::start;
  EXPECT_EQ(instead(kHere), TaskKind::none);
  EXPECT_EQ(instead(kLeaving), TaskKind::stop);
  for (const auto& wanted : {decision(UnitState::inactive), decision(UnitState::loaded),
                             decision(UnitState::launched, "h2")}) {
    unit.decision = wanted;
    EXPECT_EQ(instead(kHere), TaskKind::stop);
  }
  EXPECT_EQ(instead(kUnregistered), TaskKind::none) << "a replacement waits";
  unit.decision = decision(UnitState::inactive);
  EXPECT_EQ(instead(kUnregistered), TaskKind::stop);
  unit.decision = {};
  EXPECT_EQ(instead(kLeaving), TaskKind::none) << "a lost decision orders nothing";
}

// A start that hangs is what a person restarts.
TEST(TaskInsteadOfStart, ARestartForEachThatWasAskedForSinceItBegan) {
  LocalUnitState unit = present(UnitState::launched, "activating");
  unit.running = TaskKind::start;
  unit.launching = LaunchNote{"h1", 0};
  unit.decision = decision(UnitState::launched, "h1", 1);
  EXPECT_EQ(task_instead_of_start(unit, kHere).kind, TaskKind::restart);
  EXPECT_EQ(task_instead_of_start(unit, kUnregistered).kind, TaskKind::none);
  unit.running = TaskKind::restart;
  unit.launching = LaunchNote{"h1", 1};
  EXPECT_EQ(task_instead_of_start(unit, kHere).kind, TaskKind::none) << "it is that restart";
  unit.decision = decision(UnitState::launched, "h1", 2);
  EXPECT_EQ(task_instead_of_start(unit, kHere).kind, TaskKind::restart);
}

TEST(ReportOf, SaysHowFarTheUnitWasTaken) {
  EXPECT_EQ(report_of(absent(UnitState::launched)).current, UnitState::inactive);
  LocalUnitState starting = present(UnitState::launched, "activating");
  EXPECT_EQ(report_of(starting).current, UnitState::loaded) << "it is not fleet that starts it";
  for (const TaskKind running : {TaskKind::start, TaskKind::restart}) {
    starting.running = running;
    EXPECT_EQ(report_of(starting).current, UnitState::launched);
  }
  EXPECT_EQ(report_of(present(UnitState::launched, "inactive")).current, UnitState::loaded);
  EXPECT_EQ(report_of(present(UnitState::launched, "active", kLaunched)).current,
            UnitState::launched);
  EXPECT_EQ(report_of(present(UnitState::launched, "active", LaunchNote{"h0", 0})).current,
            UnitState::loaded)
      << "what was launched is another content";
}

TEST(ReportOf, CallsAUnitLaunchedUntilItHasStopped) {
  LocalUnitState unit = present(UnitState::loaded, "deactivating");
  unit.stopping = true;
  EXPECT_EQ(report_of(unit).current, UnitState::launched);
  unit.status = status("inactive");
  EXPECT_EQ(report_of(unit).current, UnitState::loaded);
}

TEST(ReportOf, SaysUpToWhichRestartItHasCome) {
  LocalUnitState unit = present(UnitState::launched, "active", LaunchNote{"h1", 2});
  unit.decision = decision(UnitState::launched, "h1", 3);
  EXPECT_EQ(report_of(unit).restarts, 2u);
  unit.note = LaunchNote{"h0", 7};
  EXPECT_EQ(report_of(unit).restarts, 0u) << "what was launched is another content";
  unit.note.reset();
  EXPECT_EQ(report_of(unit).restarts, 0u);
}

TEST(ReportOf, TellsWhatKeepsItFromDoingMore) {
  LocalUnitState unit = present(UnitState::launched, "inactive");
  unit.status->load_error = "bad setting";
  EXPECT_EQ(report_of(unit).problem, "bad setting");
  unit.problem = "start failed: boom";
  EXPECT_EQ(report_of(unit).problem, "start failed: boom");
  unit.decision.value.reset();
  unit.decision.error = "unknown version";
  EXPECT_EQ(report_of(unit).problem,
            "left as it is: the decision about it cannot be read: unknown version");
  unit.decision = {};
  EXPECT_EQ(report_of(unit).problem, "the registry holds no decision about it: left as it is");
}

// "vi" on the file of a running unit: the unit goes on, with the file that is wanted under it.
TEST(NextTask, AFileThatSomebodyChangedUnderARunningUnitIsWrittenWithoutAStop) {
  LocalUnitState unit = present(UnitState::launched, "active", kLaunched);
  unit.disk_hash = "edited";
  EXPECT_EQ(task(unit), TaskKind::write);
  unit.note.reset();  // that fleet has started it as it is wanted is not known
  EXPECT_EQ(task(unit), TaskKind::stop);
}

// What the socket, path or timer of a unit starts while its file is replaced runs the old one.
TEST(NextTask, WhatWasStartedWhileItsFileWasReplacedIsMadeToRunTheNewOne) {
  LocalUnitState unit = present(UnitState::launched, "inactive");
  unit.decision = decision(UnitState::launched, "h2");
  unit.status->job_pending = true;
  EXPECT_EQ(task(unit), TaskKind::stop) << "it is about to start";
  unit.status = status("active");
  unit.runs_again = true;
  EXPECT_EQ(task(unit), TaskKind::write) << "another stop would last no longer";
  unit.disk_hash = "h2";
  unit.runs_again = false;
  unit.replaced = true;
  unit.status->needs_reload = true;
  EXPECT_EQ(task(unit), TaskKind::reload);
  unit.status->needs_reload = false;
  EXPECT_EQ(task(unit), TaskKind::restart);
  EXPECT_EQ(report_of(unit).current, UnitState::loaded) << "what is launched is another content";
  unit.decision = decision(UnitState::loaded, "h2");
  EXPECT_EQ(task(unit), TaskKind::stop) << "its socket starts it again";
}

// One of the machine's own, in /etc/systemd/system.
TEST(NextTask, WhatRunsAnotherFileUnderAUnitsNameIsNotFleets) {
  LocalUnitState unit = present(UnitState::launched, "active");
  unit.status->other_file = "/etc/systemd/system/a.service";
  EXPECT_EQ(task(unit), TaskKind::reload) << "fleet's may be the one of the two that counts";
  unit.reloaded = true;
  EXPECT_EQ(task(unit), TaskKind::none);
  EXPECT_EQ(report_of(unit).current, UnitState::loaded);
  EXPECT_EQ(report_of(unit).problem,
            "systemd reads another file of that name: /etc/systemd/system/a.service; move it away, "
            "or give one of the two another name");
  unit.status->active_state = "inactive";
  EXPECT_EQ(task(unit), TaskKind::none) << "a start would start the other";
  unit.status->active_state = "active";
  EXPECT_EQ(task(unit, kLeaving), TaskKind::remove);
  EXPECT_FALSE(is_left_behind(unit));
  unit.decision = decision(UnitState::launched, "h2");
  EXPECT_EQ(task(unit), TaskKind::write);
  unit.decision = decision(UnitState::inactive);
  EXPECT_EQ(task(unit), TaskKind::remove) << "without a stop";
}

TEST(NextTask, WhatFleetStartedIsFleetsToStopWhateverFileCameLater) {
  LocalUnitState unit = present(UnitState::inactive, "active", kLaunched);
  unit.status->other_file = "/etc/systemd/system/a.service";
  EXPECT_EQ(task(unit), TaskKind::note);
  unit.note.reset();
  unit.stopping = true;
  EXPECT_EQ(task(unit), TaskKind::stop);
  unit.stopping = false;
  unit.note_unsaved = true;
  unit.reloaded = true;
  unit.decision = decision(UnitState::launched);
  EXPECT_EQ(next_task(unit, kHere), (Task{TaskKind::note, "it is not launched", {}}));
}

// Or else a later fleetd would stop what somebody else has started meanwhile.
TEST(NextTask, AUnitThatHasStoppedIsNoLongerFleetsToStop) {
  LocalUnitState unit = present(UnitState::loaded, "inactive");
  unit.stopping = true;
  EXPECT_EQ(next_task(unit, kHere), (Task{TaskKind::note, "it is no longer launched", {}}));
}

}  // namespace
}  // namespace fleet
