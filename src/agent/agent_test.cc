#include "agent/agent_fixture.h"

namespace fleet {
namespace {

TEST_F(AgentTest, DoesNothingBeforeItKnowsBothTheDiskAndTheSchedule) {
  send(event::Registered{});
  send(event::ScheduleRead{{{kA, decision(UnitState::inactive, 5)}}});
  EXPECT_EQ(tasks_run_, 0) << "what is on the disk is not known";
  send(event::LocalUnitsListed{{{kA, kText, ""}}});
  EXPECT_EQ(asked(kA), TaskKind::query);
}

TEST_F(AgentTest, LaunchesByWriteQueryStartNote) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  const auto write = take(kA, TaskKind::write);
  EXPECT_EQ(write.text, kText);
  EXPECT_FALSE(write.enable);
  send(event::TaskDone{kA, write.id, {}});
  answer(kA, status("inactive"));
  done(kA, TaskKind::start);
  const auto note = take(kA, TaskKind::note);
  EXPECT_EQ(note.text, encode(LaunchNote{sha1_hex(kText), 0}));
  send(event::TaskDone{kA, note.id, {}});
  answer(kA, status("active"));
  ASSERT_NE(last_state(kA), nullptr);
  EXPECT_EQ(last_state(kA)->current, UnitState::launched);
  EXPECT_EQ(last_state(kA)->active_state, "active");
  EXPECT_EQ(last_state(kA)->hash, sha1_hex(kText));
  EXPECT_EQ(reloads_, 0) << "a file that is new to systemd needs none";
}

TEST_F(AgentTest, EnablesAUnitWithAnInstallSection) {
  begin();
  order(kA, decision(UnitState::loaded, 5, "[Install]\nWantedBy=multi-user.target\n"));
  EXPECT_TRUE(take(kA, TaskKind::write).enable);
}

TEST_F(AgentTest, WritesAllFilesThenReloadsOnceThenStarts) {
  begin({{kA, kOther, ""}, {kB, kOther, ""}});
  answer(kA, status("inactive"));
  answer(kB, status("inactive"));
  send(event::ScheduleRead{
      {{kA, decision(UnitState::launched, 5)}, {kB, decision(UnitState::launched, 5)}}});
  done(kA, TaskKind::write);
  answer(kA, status("inactive", false, true));
  EXPECT_EQ(reloads_, 0) << "the other file is not in place yet";
  done(kB, TaskKind::write);
  EXPECT_EQ(reloads_, 0);
  answer(kB, status("inactive", false, true));
  EXPECT_EQ(reloads_, 1);
  EXPECT_EQ(asked(kA), TaskKind::none) << "nothing starts before the reload has ended";
  send(event::ReloadDone{});
  answer(kA, status("inactive"));
  answer(kB, status("inactive"));
  EXPECT_EQ(asked(kA), TaskKind::start);
  EXPECT_EQ(asked(kB), TaskKind::start);
  EXPECT_EQ(reloads_, 1);
}

TEST_F(AgentTest, DoesNotReloadForEverWhereSystemdGoesOnAskingForIt) {
  begin({{kA, kText, ""}}, {{kA, decision(UnitState::launched, 5)}});
  answer(kA, status("inactive", false, true));
  ASSERT_EQ(reloads_, 1);
  send(event::ReloadDone{});
  answer(kA, status("inactive", false, true));
  EXPECT_EQ(reloads_, 1);
  EXPECT_EQ(asked(kA), TaskKind::start);
}

TEST_F(AgentTest, ReloadsAgainForAFileThatWasWrittenDuringTheReload) {
  begin({{kA, kText, ""}}, {{kA, decision(UnitState::launched, 5)}});
  answer(kA, status("inactive", false, true));
  ASSERT_EQ(reloads_, 1);
  order(kA, decision(UnitState::launched, 6, kOther));
  done(kA, TaskKind::write);
  send(event::ReloadDone{});
  answer(kA, status("inactive", false, true));
  EXPECT_EQ(reloads_, 2);
}

TEST_F(AgentTest, ReportsAFailedReloadAndTriesItAgain) {
  begin({{kA, kText, ""}}, {{kA, decision(UnitState::launched, 5)}});
  answer(kA, status("inactive", false, true));
  send(event::ReloadDone{fail(ErrorCode::failed, "no space")});
  EXPECT_EQ(last_state(kA)->problem, "reload failed: no space");
  EXPECT_EQ(asked(kA), TaskKind::none);
  pass(1s);
  answer(kA, status("inactive", false, true));
  EXPECT_EQ(reloads_, 2);
}

TEST_F(AgentTest, AdoptsRunningUnitsWithoutTouchingThem) {
  const std::string note = encode(LaunchNote{sha1_hex(kText), 0});
  begin({{kA, kText, note}, {kB, kText, note}},
        {{kA, decision(UnitState::launched, 5)}, {kB, decision(UnitState::launched, 5)}});
  answer(kA, status("active"));
  answer(kB, status("inactive"));
  EXPECT_EQ(tasks_run_, 2) << "two questions and nothing more";
  EXPECT_EQ(last_state(kA)->current, UnitState::launched);
}

TEST_F(AgentTest, LeavesAndReportsWhatItHasNoDecisionAbout) {
  begin({{kA, kText, encode(LaunchNote{sha1_hex(kText), 0})}});
  answer(kA, status("active"));
  EXPECT_EQ(tasks_run_, 1);
  EXPECT_EQ(last_state(kA)->problem, "the registry holds no decision about it: left as it is");
  EXPECT_EQ(last_state(kA)->current, UnitState::launched);
}

TEST_F(AgentTest, LeavesAndReportsWhatLosesItsDecision) {
  begin();
  launch(kA, 5);
  const int before = tasks_run_;
  order(kA, {});
  EXPECT_EQ(tasks_run_, before);
  EXPECT_EQ(last_state(kA)->problem, "the registry holds no decision about it: left as it is");
  send(event::ScheduleRead{});
  EXPECT_EQ(tasks_run_, before);
}

TEST_F(AgentTest, LeavesAndReportsWhatHasAnUnreadableDecision) {
  begin();
  launch(kA, 5);
  Entry<ScheduleRecord> garbled;
  garbled.error = "version 2";
  garbled.create_revision = 5;
  garbled.mod_revision = 6;
  const int before = tasks_run_;
  order(kA, garbled);
  EXPECT_EQ(tasks_run_, before);
  EXPECT_EQ(last_state(kA)->problem,
            "left as it is: the decision about it cannot be read: version 2");
}

TEST_F(AgentTest, LetsGoByNoteStopRemoveAcknowledge) {
  begin();
  launch(kA, 5);
  order(kA, decision(UnitState::inactive, 6));
  const auto note = take(kA, TaskKind::note);
  EXPECT_EQ(note.text, kStoppingNote);
  send(event::TaskDone{kA, note.id, {}});
  done(kA, TaskKind::stop);
  answer(kA, status("inactive"));
  done(kA, TaskKind::remove);
  const auto acknowledge = take(kA, TaskKind::acknowledge);
  EXPECT_EQ(acknowledge.revision, 6);
  send(event::TaskDone{kA, acknowledge.id, {}});
  EXPECT_TRUE(agent_.units().empty());
}

TEST_F(AgentTest, StopsEvenIfTheNoteCannotBeWritten) {
  begin();
  launch(kA, 5);
  order(kA, decision(UnitState::inactive, 6));
  done(kA, TaskKind::note, fail(ErrorCode::failed, "read-only"));
  pass(1s);
  EXPECT_EQ(asked(kA), TaskKind::stop);
}

TEST_F(AgentTest, ReplacesContentByStopWriteStart) {
  begin();
  launch(kA, 5);
  order(kA, decision(UnitState::launched, 6, kOther));
  done(kA, TaskKind::note);
  done(kA, TaskKind::stop);
  answer(kA, status("inactive"));
  EXPECT_EQ(take(kA, TaskKind::write).text, kOther);
}

TEST_F(AgentTest, StartsAgainWhatIsWantedAgainWhileItsStopIsStillRunning) {
  begin();
  launch(kA, 5);
  order(kA, decision(UnitState::inactive, 6));
  done(kA, TaskKind::note);
  order(kA, decision(UnitState::launched, 7));
  done(kA, TaskKind::stop);
  answer(kA, status("inactive"));
  EXPECT_EQ(asked(kA), TaskKind::start);
}

TEST_F(AgentTest, StartsAgainWhatIsReplacedAndPutBackWhileItsStopIsStillRunning) {
  begin();
  launch(kA, 5);
  order(kA, decision(UnitState::launched, 6, kOther));
  done(kA, TaskKind::note);
  order(kA, decision(UnitState::launched, 7));
  done(kA, TaskKind::stop);
  answer(kA, status("inactive"));
  EXPECT_EQ(asked(kA), TaskKind::start);
}

TEST_F(AgentTest, KeepsRunningWhatIsWantedAgainBeforeItsStopBegan) {
  begin();
  launch(kA, 5);
  order(kA, decision(UnitState::inactive, 6));
  order(kA, decision(UnitState::launched, 7));
  done(kA, TaskKind::note);
  const auto note = take(kA, TaskKind::note);
  EXPECT_EQ(note.text, encode(LaunchNote{sha1_hex(kText), 0}));
}

TEST_F(AgentTest, StartsAfterARestartOfFleetdWhatAnEarlierFleetdHadStopped) {
  begin({{kA, kText, kStoppingNote}}, {{kA, decision(UnitState::launched, 7)}});
  answer(kA, status("inactive"));
  EXPECT_EQ(asked(kA), TaskKind::start);
}

TEST_F(AgentTest, StopsAfterARestartOfFleetdWhatAnEarlierFleetdWasAboutToStop) {
  begin({{kA, kText, kStoppingNote}}, {{kA, decision(UnitState::loaded, 7)}});
  answer(kA, status("active"));
  EXPECT_EQ(asked(kA), TaskKind::stop);
}

TEST_F(AgentTest, TakesBackItsStateOfAUnitWhoseOrderToLeaveVanished) {
  begin();
  launch(kA, 5);
  order(kA, decision(UnitState::inactive, 6));
  done(kA, TaskKind::note);
  done(kA, TaskKind::stop);
  answer(kA, status("inactive"));
  const auto remove = take(kA, TaskKind::remove);
  order(kA, {});
  send(event::TaskDone{kA, remove.id, {}});
  EXPECT_EQ(take(kA, TaskKind::acknowledge).revision, 0);
}

TEST_F(AgentTest, KeepsADecisionThatCameWhileTheOldOneWasAcknowledged) {
  begin();
  launch(kA, 5);
  order(kA, decision(UnitState::inactive, 6));
  done(kA, TaskKind::note);
  done(kA, TaskKind::stop);
  answer(kA, status("inactive"));
  done(kA, TaskKind::remove);
  order(kA, decision(UnitState::launched, 7));
  done(kA, TaskKind::acknowledge);
  EXPECT_EQ(asked(kA), TaskKind::write);
}

TEST_F(AgentTest, StopsAStartThatMayNeverEndWhenItIsNoLongerWanted) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  done(kA, TaskKind::write);
  answer(kA, status("inactive"));
  const auto start = take(kA, TaskKind::start);
  send(event::StatusSeen{kA, status("activating", true)});
  order(kA, decision(UnitState::inactive, 6));
  const auto stop = take(kA, TaskKind::stop);
  // systemd ends the start for the stop's sake.
  send(event::TaskDone{kA, start.id, fail(ErrorCode::failed, "canceled")});
  EXPECT_EQ(asked(kA), TaskKind::none);
  send(event::TaskDone{kA, stop.id, {}});
  answer(kA, status("inactive"));
  EXPECT_EQ(asked(kA), TaskKind::remove);
}

TEST_F(AgentTest, StopsAStartForALoadedStateAlsoAtTheSecondAttempt) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  done(kA, TaskKind::write);
  answer(kA, status("inactive"));
  take(kA, TaskKind::start);
  order(kA, decision(UnitState::loaded, 6));
  done(kA, TaskKind::stop, fail(ErrorCode::unavailable, "no connection"));
  pass(1s);
  answer(kA, status("active"));
  EXPECT_EQ(asked(kA), TaskKind::stop);
}

TEST_F(AgentTest, RestartsOnceForAHigherCount) {
  begin();
  launch(kA, 5);
  order(kA, decision(UnitState::launched, 6, kText, 3));
  done(kA, TaskKind::restart);
  EXPECT_EQ(take(kA, TaskKind::note).text, encode(LaunchNote{sha1_hex(kText), 3}));
}

TEST_F(AgentTest, DoesNotStartAOneshotTwice) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  done(kA, TaskKind::write);
  answer(kA, status("inactive"));
  done(kA, TaskKind::start);
  done(kA, TaskKind::note, fail(ErrorCode::failed, "disk full"));
  const int before = tasks_run_;
  pass(1s);
  answer(kA, status("inactive"));
  EXPECT_EQ(asked(kA), TaskKind::note) << "only the note is tried again";
  EXPECT_EQ(tasks_run_, before + 2);
}

}  // namespace
}  // namespace fleet
