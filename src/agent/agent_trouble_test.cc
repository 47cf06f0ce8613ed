// When jobs fail or hang, the registry is away, or fleetd has to go.
#include "agent/agent_fixture.h"

namespace fleet {
namespace {

TEST_F(AgentTest, BacksOffAfterFailuresTwiceAsLongEachTime) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  done(kA, TaskKind::write);
  answer(kA, status("inactive"));
  Duration pause = 1s;
  for (int i = 0; i < 9; ++i) {
    done(kA, TaskKind::start, fail(ErrorCode::failed, "exit code 1"));
    EXPECT_EQ(last_state(kA)->problem, "start failed: exit code 1");
    EXPECT_EQ(asked(kA), TaskKind::none);
    ASSERT_EQ(wake_, now_ + pause) << i;
    pass(pause - 1ms);
    EXPECT_EQ(asked(kA), TaskKind::none);
    pass(1ms);
    answer(kA, status("failed"));
    EXPECT_EQ(asked(kA), TaskKind::start);
    pause = std::min<Duration>(pause * 2, 64s);
  }
}

TEST_F(AgentTest, TriesAtOnceUnderANewDecisionWhatFailedUnderTheOld) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  done(kA, TaskKind::write);
  answer(kA, status("inactive"));
  done(kA, TaskKind::start, fail(ErrorCode::failed, "exit code 1"));
  order(kA, decision(UnitState::launched, 6));
  answer(kA, status("failed"));
  EXPECT_EQ(asked(kA), TaskKind::start);
  EXPECT_EQ(last_state(kA)->problem, "");
}

// section 8, row 28.
TEST_F(AgentTest, AFailingUnitHoldsUpNoOther) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  order(kB, decision(UnitState::launched, 5));
  done(kA, TaskKind::write, fail(ErrorCode::failed, "bad file"));
  done(kB, TaskKind::write);
  answer(kB, status("inactive"));
  EXPECT_EQ(asked(kB), TaskKind::start);
  done(kB, TaskKind::start);
  done(kB, TaskKind::note);
  answer(kB, status("active"));
  order(kA, decision(UnitState::inactive, 6));
  order(kB, decision(UnitState::inactive, 6));
  done(kA, TaskKind::remove, fail(ErrorCode::failed, "read-only file system"));
  done(kB, TaskKind::note);
  EXPECT_EQ(asked(kB), TaskKind::stop);
}

TEST_F(AgentTest, TakesAwayWhatAFailedWriteMayHaveLeft) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  done(kA, TaskKind::write, fail(ErrorCode::failed, "cannot be enabled"));
  order(kA, decision(UnitState::inactive, 6));
  done(kA, TaskKind::remove);
  EXPECT_EQ(asked(kA), TaskKind::acknowledge);
}

TEST_F(AgentTest, WritesAgainAfterAFailedWriteEvenIfTheOldContentIsWantedAgain) {
  begin({{kA, kText, ""}}, {{kA, decision(UnitState::loaded, 5, kOther)}});
  answer(kA, status("inactive"));
  done(kA, TaskKind::write, fail(ErrorCode::failed, "cannot be linked"));
  order(kA, decision(UnitState::loaded, 6, kText));
  answer(kA, status("inactive"));
  EXPECT_EQ(take(kA, TaskKind::write).text, kText);
}

TEST_F(AgentTest, DoesNotStopAgainAndAgainWhatIsStartedAgainAndAgain) {
  begin();
  launch(kA, 5);
  order(kA, decision(UnitState::inactive, 6));
  done(kA, TaskKind::note);
  done(kA, TaskKind::stop);
  answer(kA, status("active"));
  EXPECT_EQ(asked(kA), TaskKind::none);
  EXPECT_EQ(last_state(kA)->problem, "stop failed: it runs again after it was stopped");
  pass(1s);
  done(kA, TaskKind::stop);
  answer(kA, status("active"));
  pass(1s);
  EXPECT_EQ(asked(kA), TaskKind::none) << "each pause is longer than the one before";
  pass(1s);
  EXPECT_EQ(asked(kA), TaskKind::stop);
}

// What its socket starts is not fleet's to stop once that has been unloaded.
TEST_F(AgentTest, StopsOnceWhatIsNoLongerLaunchedAndIsStartedAgainAndAgain) {
  begin();
  launch(kA, 5);
  order(kA, decision(UnitState::loaded, 6));
  done(kA, TaskKind::note);
  done(kA, TaskKind::stop);
  answer(kA, status("active"));
  done(kA, TaskKind::note);
  EXPECT_EQ(asked(kA), TaskKind::none);
  EXPECT_EQ(notes_.back(), "");
}

// Its socket starts it whenever somebody calls.
TEST_F(AgentTest, ABusyUnitIsReplacedThoughItRunsAgainAfterEachStop) {
  begin();
  launch(kA, 5);
  order(kA, decision(UnitState::launched, 6, kOther));
  done(kA, TaskKind::note);
  done(kA, TaskKind::stop);
  answer(kA, status("active"));
  EXPECT_EQ(take(kA, TaskKind::write).text, kOther) << "at once, and without another stop";
  send(event::TaskDone{kA, unit(kA).running_id, {}});
  answer(kA, status("active", false, true));
  EXPECT_EQ(reloads_, 1);
  send(event::ReloadDone{});
  answer(kA, status("active"));
  EXPECT_EQ(static_cast<int>(last_state(kA)->current), static_cast<int>(UnitState::loaded));
  done(kA, TaskKind::restart);
  done(kA, TaskKind::note);
  answer(kA, status("active"));
  EXPECT_EQ(asked(kA), TaskKind::none);
  EXPECT_EQ(static_cast<int>(last_state(kA)->current), static_cast<int>(UnitState::launched));
  EXPECT_EQ(last_state(kA)->hash, sha1_hex(kOther));
}

TEST_F(AgentTest, AUnitThatIsStartedBetweenItsStopAndItsNewFileIsRestarted) {
  begin();
  launch(kA, 5);
  order(kA, decision(UnitState::launched, 6, kOther));
  done(kA, TaskKind::note);
  done(kA, TaskKind::stop);
  answer(kA, status("inactive"));
  done(kA, TaskKind::write);
  answer(kA, status("active", false, true));
  send(event::ReloadDone{});
  answer(kA, status("active"));
  EXPECT_EQ(asked(kA), TaskKind::restart);
}

TEST_F(AgentTest, AUnitThatIsStartedOnceItsNewFileIsInPlaceIsTakenAsItIs) {
  begin();
  launch(kA, 5);
  order(kA, decision(UnitState::launched, 6, kOther));
  done(kA, TaskKind::note);
  done(kA, TaskKind::stop);
  answer(kA, status("inactive"));
  done(kA, TaskKind::write);
  answer(kA, status("inactive"));
  send(event::StatusSeen{kA, status("active")});
  done(kA, TaskKind::start, fail(ErrorCode::failed, "no word came"));
  pass(1s);
  answer(kA, status("active"));
  EXPECT_EQ(asked(kA), TaskKind::note);
}

// Found by the simulation: somebody started it when fleet had just looked and took its file away.
TEST_F(AgentTest, WhatStillRunsTheFileOfAnEarlierLoadIsRestarted) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  done(kA, TaskKind::write);
  answer(kA, status("active", false, true));
  send(event::ReloadDone{});
  answer(kA, status("active"));
  EXPECT_EQ(asked(kA), TaskKind::restart);
}

// One of the distribution's, in /usr/lib: fleet's goes before it once systemd has read both.
TEST_F(AgentTest, WhatRanUnderAUnitsNameBeforeIsRestartedAsTheUnit) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  done(kA, TaskKind::write);
  UnitStatus seen = status("active");
  seen.other_file = "/usr/lib/systemd/system/a.service";
  answer(kA, seen);
  EXPECT_EQ(reloads_, 1);
  send(event::ReloadDone{});
  answer(kA, status("active"));
  EXPECT_EQ(asked(kA), TaskKind::restart);
}

// What hangs is what a person restarts.
TEST_F(AgentTest, ARestartEndsAStartThatHangs) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  done(kA, TaskKind::write);
  answer(kA, status("inactive"));
  const effect::RunTask start = take(kA, TaskKind::start);
  order(kA, decision(UnitState::launched, 6, kText, 1));
  const effect::RunTask restart = take(kA, TaskKind::restart);
  send(event::TaskDone{kA, start.id, fail(ErrorCode::failed, "canceled")});
  EXPECT_EQ(asked(kA), TaskKind::none);
  send(event::TaskDone{kA, restart.id, {}});
  EXPECT_EQ(take(kA, TaskKind::note).text, encode(LaunchNote{sha1_hex(kText), 1}));
}

// It is fleet's to stop, as one whose start failed.
TEST_F(AgentTest, AUnitWhoseFirstStartWasRestartedInVainIsStoppedWhenItIsNoLongerWanted) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  done(kA, TaskKind::write);
  answer(kA, status("inactive"));
  take(kA, TaskKind::start);
  order(kA, decision(UnitState::launched, 6, kText, 1));
  done(kA, TaskKind::restart, fail(ErrorCode::failed, "timeout"));
  order(kA, decision(UnitState::loaded, 7));
  answer(kA, status("activating"));
  EXPECT_EQ(asked(kA), TaskKind::stop);
}

TEST_F(AgentTest, AFleetdThatComesBetweenANewFileAndItsRestartGoesOn) {
  begin();
  launch(kA, 5);
  notes_.clear();
  order(kA, decision(UnitState::launched, 6, kOther));
  done(kA, TaskKind::note);
  done(kA, TaskKind::stop);
  answer(kA, status("active"));
  EXPECT_EQ(asked(kA), TaskKind::write);
  EXPECT_EQ(notes_, (std::vector<std::string>{kStoppingNote, kReplacedNote}));
  agent_ = Agent();
  tasks_.clear();
  begin({{kA, kOther, kReplacedNote}}, {{kA, decision(UnitState::launched, 6, kOther)}});
  answer(kA, status("active"));
  EXPECT_EQ(asked(kA), TaskKind::restart);
}

TEST_F(AgentTest, TheNoteOfAReplacementGoesOnceItIsOver) {
  begin({{kA, kText, kReplacedNote}}, {{kA, decision(UnitState::loaded, 5)}});
  answer(kA, status("inactive"));
  EXPECT_EQ(take(kA, TaskKind::note).text, "");
}

// As at the way from fleet 1.0, whose units have no notes.
TEST_F(AgentTest, ADropInThatSomebodyChangedMakesNoRestart) {
  begin({{kA, kText, ""}}, {{kA, decision(UnitState::launched, 5)}});
  answer(kA, status("active", false, true));
  EXPECT_EQ(reloads_, 1);
  send(event::ReloadDone{});
  answer(kA, status("active"));
  EXPECT_EQ(asked(kA), TaskKind::note);
}

// Its start failed after fleet's restart had stopped what was old, and systemd has tried again.
TEST_F(AgentTest, WhatSystemdItselfStartsAgainRunsTheNewFile) {
  begin({{kA, kText, kReplacedNote}}, {{kA, decision(UnitState::launched, 5)}});
  answer(kA, status("active"));
  done(kA, TaskKind::restart, fail(ErrorCode::failed, "exit code 1"));
  UnitStatus waits = status("activating");
  waits.sub_state = "auto-restart";
  send(event::StatusSeen{kA, waits});
  send(event::StatusSeen{kA, status("active")});
  pass(1s);
  answer(kA, status("active"));
  EXPECT_EQ(asked(kA), TaskKind::note);
}

TEST_F(AgentTest, FindsByAskingThatAJobHasEnded) {
  begin();
  launch(kA, 5);
  order(kA, decision(UnitState::inactive, 6));
  done(kA, TaskKind::note);
  EXPECT_EQ(asked(kA), TaskKind::stop);
  pass(29s);
  EXPECT_TRUE(rechecks_.empty());
  pass(1s);
  ASSERT_EQ(rechecks_.size(), 1u);
  send(event::QueryDone{kA, rechecks_[0].id, status("deactivating", true)});
  EXPECT_EQ(asked(kA), TaskKind::stop) << "it is still under way";
  pass(30s);
  ASSERT_EQ(rechecks_.size(), 2u);
  send(event::QueryDone{kA, rechecks_[1].id, status("inactive")});
  answer(kA, status("inactive"));
  EXPECT_EQ(asked(kA), TaskKind::remove);
}

// Found by the simulation: it waited for the end of a job that was not its own.
TEST_F(AgentTest, FindsByAskingThatAStartHasTakenThePlaceOfAStop) {
  begin();
  launch(kA, 5);
  order(kA, decision(UnitState::inactive, 6));
  done(kA, TaskKind::note);
  take(kA, TaskKind::stop);
  pass(30s);
  send(event::QueryDone{kA, rechecks_.at(0).id, status("activating", true)});
  pass(1s);
  answer(kA, status("activating", true));
  EXPECT_EQ(asked(kA), TaskKind::stop);
}

TEST_F(AgentTest, DoesNotStartAgainAOneshotWhoseEndWasFoundByAsking) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  done(kA, TaskKind::write);
  answer(kA, status("inactive"));
  take(kA, TaskKind::start);
  pass(30s);
  ASSERT_EQ(rechecks_.size(), 1u);
  send(event::QueryDone{kA, rechecks_[0].id, status("inactive")});
  done(kA, TaskKind::note);
  answer(kA, status("inactive"));
  EXPECT_EQ(asked(kA), TaskKind::none);
}

TEST_F(AgentTest, TriesAgainAStartWhoseFailureWasFoundByAsking) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  done(kA, TaskKind::write);
  answer(kA, status("inactive"));
  take(kA, TaskKind::start);
  pass(30s);
  send(event::QueryDone{kA, rechecks_.at(0).id, status("failed")});
  EXPECT_EQ(asked(kA), TaskKind::none);
  pass(1s);
  answer(kA, status("failed"));
  EXPECT_EQ(asked(kA), TaskKind::start);
}

TEST_F(AgentTest, BeginsNothingNewWithoutRegistrationButStopsWhatIsToStop) {
  begin();
  launch(kA, 5);
  send(event::Unregistered{});
  order(kA, decision(UnitState::inactive, 6));
  order(kB, decision(UnitState::launched, 6));
  EXPECT_EQ(asked(kB), TaskKind::none);
  done(kA, TaskKind::note);
  done(kA, TaskKind::stop);
  EXPECT_EQ(asked(kA), TaskKind::query);
  send(event::Registered{});
  EXPECT_EQ(asked(kB), TaskKind::write);
}

TEST_F(AgentTest, DoesNotStartWhatWasOnlyHeldBackByAReloadOnceItIsUnregistered) {
  begin({{kA, kText, ""}, {kB, kText, ""}},
        {{kA, decision(UnitState::launched, 5)}, {kB, decision(UnitState::launched, 5)}});
  answer(kA, status("inactive", false, true));
  answer(kB, status("inactive"));
  ASSERT_EQ(reloads_, 1);
  send(event::Unregistered{});
  send(event::ReloadDone{});
  EXPECT_EQ(asked(kA), TaskKind::none);
  EXPECT_EQ(asked(kB), TaskKind::none);
}

// Or else it would stay stopped here, and be given to no other machine, until something else came.
TEST_F(AgentTest, AFailedReloadPutsOffNothingThatSucceedsMeanwhile) {
  begin({{kA, kText, encode(LaunchNote{sha1_hex(kText), 0})}},
        {{kA, decision(UnitState::launched, 5)}});
  answer(kA, status("inactive", false, true));
  ASSERT_EQ(reloads_, 1);
  send(event::StatusSeen{kA, status("active")});  // somebody has started it
  order(kA, decision(UnitState::inactive, 6));
  done(kA, TaskKind::note);
  EXPECT_EQ(asked(kA), TaskKind::stop);
  send(event::ReloadDone{fail(ErrorCode::failed, "no space")});
  done(kA, TaskKind::stop);
  EXPECT_EQ(asked(kA), TaskKind::query);
}

TEST_F(AgentTest, PublishesOnlyChangesAndEverythingAgainOnANewLease) {
  begin();
  launch(kA, 5);
  const std::size_t before = published_.size();
  send(event::StatusSeen{kA, status("active")});
  send(event::Registered{false});
  EXPECT_EQ(published_.size(), before);
  send(event::StatusSeen{kA, status("failed")});
  EXPECT_EQ(published_.size(), before + 1);
  send(event::Registered{true});
  ASSERT_EQ(published_.size(), before + 2);
  EXPECT_EQ(last_state(kA)->active_state, "failed");
  EXPECT_EQ(asked(kA), TaskKind::none) << "what failed after it was launched is left to systemd";
}

// Seen by a person: list-units showed a unit that had just been started as dead.
TEST_F(AgentTest, DoesNotPublishALaunchedUnitWithItsStatusFromBeforeTheStart) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  done(kA, TaskKind::write);
  answer(kA, status("inactive"));
  done(kA, TaskKind::start);
  done(kA, TaskKind::note);
  EXPECT_EQ(static_cast<int>(last_state(kA)->current), static_cast<int>(UnitState::loaded));
  answer(kA, status("active"));
  EXPECT_EQ(static_cast<int>(last_state(kA)->current), static_cast<int>(UnitState::launched));
  EXPECT_EQ(last_state(kA)->active_state, "active");
}

TEST_F(AgentTest, StartsAUnitThatTakesAnothersPlaceOnceThatHasLeft) {
  begin();
  launch(kA, 5);
  Entry<ScheduleRecord> successor = decision(UnitState::launched, 6);
  successor.value->after = {kA};
  order(kB, successor);
  order(kA, decision(UnitState::inactive, 7));
  done(kB, TaskKind::write);
  answer(kB, status("inactive"));
  EXPECT_EQ(asked(kB), TaskKind::none);
  EXPECT_EQ(last_state(kB)->problem, "it starts once a.service has left this machine");
  while (asked(kA) != TaskKind::acknowledge) {
    ASSERT_NE(asked(kA), TaskKind::none);
    if (asked(kA) == TaskKind::query) {
      answer(kA, status("inactive"));
    } else {
      EXPECT_EQ(asked(kB), TaskKind::none);
      done(kA, asked(kA));
    }
  }
  done(kB, TaskKind::start);
  done(kB, TaskKind::note);
  answer(kB, status("active"));
  EXPECT_EQ(last_state(kB)->problem, "");
}

TEST_F(AgentTest, HandsEverythingOverWhenItLeaves) {
  begin();
  launch(kA, 5);
  order(kB, decision(UnitState::launched, 5));
  done(kB, TaskKind::write);
  answer(kB, status("inactive"));
  done(kB, TaskKind::start, fail(ErrorCode::failed, "exit code 1"));
  send(event::Leave{});
  answer(kB, status("failed"));
  done(kB, TaskKind::remove);
  done(kB, TaskKind::acknowledge);
  done(kA, TaskKind::note);
  done(kA, TaskKind::stop);
  EXPECT_FALSE(left_);
  answer(kA, status("inactive"));
  EXPECT_FALSE(agent_.has_let_go());
  done(kA, TaskKind::remove);
  EXPECT_TRUE(agent_.has_let_go());
  const auto acknowledge = take(kA, TaskKind::acknowledge);
  EXPECT_EQ(acknowledge.revision, 5) << "the order to run it here is given back";
  send(event::TaskDone{kA, acknowledge.id, {}});
  EXPECT_TRUE(left_);
}

// RefuseManualStop=, a mount that is in use: whoever switches the machine off waits.
TEST_F(AgentTest, LeavesBehindWhatCannotBeStopped) {
  begin();
  launch(kA, 5);
  launch(kB, 5);
  send(event::Leave{});
  done(kA, TaskKind::note);
  done(kB, TaskKind::note);
  for (const Duration pause : {1s, 2s, 4s, 8s, 16s}) {
    EXPECT_FALSE(left_);
    done(kA, TaskKind::stop, fail(ErrorCode::failed, "Operation refused"));
    pass(pause);
    answer(kA, status("active"));
  }
  EXPECT_EQ(asked(kA), TaskKind::none) << "neither stopped again nor given back";
  EXPECT_FALSE(left_) << "the other one is still here";
  done(kB, TaskKind::stop);
  answer(kB, status("inactive"));
  done(kB, TaskKind::remove);
  EXPECT_TRUE(agent_.has_let_go());
  done(kB, TaskKind::acknowledge);
  EXPECT_TRUE(left_);
  EXPECT_EQ(agent_.running(),
            (std::map<std::string, std::string>{{kA, "stop failed: Operation refused"}}));
}

// It is back in a moment: systemd has asked fleetd to stop.
TEST_F(AgentTest, LeavesNothingBehindForWantOfAConnectionToSystemd) {
  begin();
  launch(kA, 5);
  send(event::Leave{});
  done(kA, TaskKind::note);
  done(kA, TaskKind::stop, fail(ErrorCode::unavailable, "no connection to systemd"));
  for (const Duration pause : {1s, 2s, 4s, 8s, 16s}) {
    pass(pause);
    const effect::RunTask query = take(kA, TaskKind::query);
    send(event::QueryDone{kA, query.id, fail(ErrorCode::unavailable, "no connection to systemd")});
  }
  EXPECT_FALSE(left_);
  pass(32s);
  answer(kA, status("active"));
  EXPECT_EQ(asked(kA), TaskKind::stop);
}

// Found by the simulation: the leader then took the unit for one that runs there without an order.
TEST_F(AgentTest, SaysNothingMoreOfAUnitThatWasGivenBackWithItsFileLeft) {
  begin();
  launch(kA, 5);
  send(event::StatusSeen{kA, status("inactive")});
  send(event::Leave{});
  for (const Duration pause : {1s, 2s, 4s, 8s, 16s}) {
    done(kA, TaskKind::remove, fail(ErrorCode::denied, "read-only file system"));
    pass(pause);
    answer(kA, status("inactive"));
  }
  done(kA, TaskKind::acknowledge);
  EXPECT_TRUE(left_);
  const std::size_t before = published_.size();
  send(event::StatusSeen{kA, status("failed")});
  EXPECT_EQ(published_.size(), before);
}

TEST_F(AgentTest, GivesAUnitBackOnlyOnceWhenItLeaves) {
  begin();
  send(event::Unregistered{});
  order(kA, decision(UnitState::launched, 5));
  send(event::Leave{});
  done(kA, TaskKind::acknowledge);
  EXPECT_TRUE(left_);
  order(kA, decision(UnitState::launched, 7));  // the cluster does not know that it leaves
  EXPECT_EQ(asked(kA), TaskKind::none);
  EXPECT_TRUE(agent_.has_let_go());
}

TEST_F(AgentTest, LeavesAtOnceIfThereIsNothingToHandOver) {
  begin({{kA, kText, ""}});
  answer(kA, status("active"));
  send(event::Leave{});
  EXPECT_TRUE(left_);
  EXPECT_EQ(asked(kA), TaskKind::none) << "without a decision it is left as it is";
}

TEST_F(AgentTest, KeepsNothingOfUnitsThatAreGone) {
  begin();
  for (Revision revision = 5; revision < 50; revision += 2) {
    const std::string name = "u" + std::to_string(revision) + ".service";
    launch(name, revision);
    order(name, decision(UnitState::inactive, revision + 1));
    done(name, TaskKind::note);
    done(name, TaskKind::stop);
    answer(name, status("inactive"));
    done(name, TaskKind::remove);
    done(name, TaskKind::acknowledge);
    order(name, {});
  }
  EXPECT_TRUE(agent_.units().empty());
}

// Else a fleetd that is restarted meanwhile takes the unit for one that runs as it should.
TEST_F(AgentTest, TheNoteOfAUnitGoesBeforeItsRestartIsStopped) {
  begin();
  launch(kA, 5);
  order(kA, decision(UnitState::launched, 6, kText, 1));
  ASSERT_EQ(asked(kA), TaskKind::restart);
  notes_.clear();
  order(kA, decision(UnitState::inactive, 7));
  EXPECT_EQ(asked(kA), TaskKind::stop);
  EXPECT_EQ(notes_, std::vector<std::string>{kStoppingNote});
}

// The job's time limit ends the job, and the unit goes on starting.
TEST_F(AgentTest, AUnitWhoseStartFailedAndThatRunsAllTheSameIsStoppedWhenItIsNoLongerWanted) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  done(kA, TaskKind::write);
  answer(kA, status("inactive"));
  done(kA, TaskKind::start, fail(ErrorCode::failed, "its job ran into its time limit"));
  order(kA, decision(UnitState::loaded, 6));
  answer(kA, status("active"));
  EXPECT_EQ(asked(kA), TaskKind::stop);
}

// A fleetd that comes after this one finds it on disk (and takes the unit for its own to stop).
TEST_F(AgentTest, AUnitThatIsBeingStartedIsNotedAsSuch) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  done(kA, TaskKind::write);
  answer(kA, status("inactive"));
  ASSERT_EQ(asked(kA), TaskKind::start);
  EXPECT_EQ(notes_, std::vector<std::string>{kStoppingNote});
}

TEST_F(AgentTest, AFileThatWasLaunchedIsLaunchedAnewWhenItComesBack) {
  begin();
  launch(kA, 5);
  send(event::StatusSeen{kA, status("inactive")});  // it has ended
  order(kA, decision(UnitState::launched, 6, "[Service]\nExecStart=/bin/other\n"));
  take(kA, TaskKind::write);
  order(kA, decision(UnitState::launched, 7));
  send(event::TaskDone{kA, agent_.units().at(kA).running_id, {}});
  answer(kA, status("inactive"));
  done(kA, TaskKind::write);
  answer(kA, status("inactive"));
  EXPECT_EQ(asked(kA), TaskKind::start);
}

// systemd may have carried it out: the unit is not somebody else's for that.
TEST_F(AgentTest, AUnitWhoseStartHadNoAnswerIsStoppedWhenItIsNoLongerWanted) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  done(kA, TaskKind::write);
  answer(kA, status("inactive"));
  done(kA, TaskKind::start, fail(ErrorCode::unavailable, "no connection to systemd"));
  order(kA, decision(UnitState::loaded, 6));
  answer(kA, status("active"));
  EXPECT_EQ(asked(kA), TaskKind::stop);
}

}  // namespace
}  // namespace fleet
