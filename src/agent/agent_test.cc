#include "agent/agent.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/sha1.h"

namespace fleet {
namespace {

using namespace std::chrono_literals;
namespace effect = agent_effect;
namespace event = agent_event;

const std::string kText = "[Service]\nExecStart=/bin/sleep 1000\n";
const std::string kOther = "[Service]\nExecStart=/bin/sleep 2000\n";

Entry<ScheduleRecord> decision(UnitState state, Revision revision, const std::string& text = kText,
                               std::uint64_t restarts = 0) {
  ScheduleRecord record;
  record.state = state;
  record.reason = "because";
  record.restarts = restarts;
  if (state != UnitState::inactive) {
    record.text = text;
    record.hash = sha1_hex(text);
  }
  Entry<ScheduleRecord> entry;
  entry.value = std::move(record);
  entry.create_revision = revision;
  entry.mod_revision = revision;
  return entry;
}

UnitStatus status(const std::string& active, bool job_pending = false, bool needs_reload = false) {
  UnitStatus seen;
  seen.load_state = "loaded";
  seen.active_state = active;
  seen.sub_state = active;
  seen.job_pending = job_pending;
  seen.needs_reload = needs_reload;
  return seen;
}

// Hands events to an agent and keeps what it wants done until the test answers.
class AgentTest : public testing::Test {
 protected:
  template <class Event>
  void send(const Event& what) {
    for (AgentEffect& it : agent_.step(what, now_)) {
      if (auto* task = std::get_if<effect::RunTask>(&it)) {
        ++tasks_run_;
        tasks_[task->name] = *task;
      } else if (auto* state = std::get_if<effect::Publish>(&it)) {
        published_.emplace_back(state->name, state->state);
      } else if (auto* wake = std::get_if<effect::Wake>(&it)) {
        wake_ = wake->when;
      } else if (auto* recheck = std::get_if<effect::Recheck>(&it)) {
        rechecks_.push_back(*recheck);
      } else if (std::holds_alternative<effect::Reload>(it)) {
        ++reloads_;
      } else if (std::holds_alternative<effect::Left>(it)) {
        left_ = true;
      }
    }
  }

  void begin(std::vector<LocalUnit> local = {},
             std::map<std::string, Entry<ScheduleRecord>> decisions = {}) {
    send(event::LocalUnitsListed{std::move(local)});
    send(event::ScheduleRead{std::move(decisions)});
    send(event::Registered{});
  }

  void order(const std::string& name, const Entry<ScheduleRecord>& what) {
    send(event::ScheduleChanged{name, what});
  }

  TaskKind asked(const std::string& name) const {
    const auto found = tasks_.find(name);
    return found == tasks_.end() ? TaskKind::none : found->second.kind;
  }

  effect::RunTask take(const std::string& name, TaskKind kind) {
    const auto found = tasks_.find(name);
    EXPECT_TRUE(found != tasks_.end()) << name << " has no task";
    if (found == tasks_.end()) return {};
    EXPECT_EQ(static_cast<int>(found->second.kind), static_cast<int>(kind)) << name;
    effect::RunTask task = std::move(found->second);
    tasks_.erase(found);
    return task;
  }

  void done(const std::string& name, TaskKind kind, Status result = {}) {
    const effect::RunTask task = take(name, kind);
    send(event::TaskDone{name, task.id, std::move(result)});
  }
  void answer(const std::string& name, const UnitStatus& seen) {
    const effect::RunTask task = take(name, TaskKind::query);
    send(event::QueryDone{name, task.id, seen});
  }

  // Takes a unit all the way to running.
  void launch(const std::string& name, Revision revision) {
    order(name, decision(UnitState::launched, revision));
    done(name, TaskKind::write);
    answer(name, status("inactive"));
    done(name, TaskKind::start);
    done(name, TaskKind::note);
    answer(name, status("active"));
    EXPECT_EQ(asked(name), TaskKind::none);
  }

  void pass(Duration time) {
    now_ += time;
    send(event::TimePassed{});
  }

  const StateRecord* last_state(const std::string& name) const {
    for (auto it = published_.rbegin(); it != published_.rend(); ++it) {
      if (it->first == name) return &it->second;
    }
    return nullptr;
  }

  const LocalUnitState& unit(const std::string& name) const { return agent_.units().at(name); }

  Agent agent_;
  Time now_{};
  std::map<std::string, effect::RunTask> tasks_;  // not answered yet
  int tasks_run_ = 0;
  std::vector<std::pair<std::string, StateRecord>> published_;
  std::vector<effect::Recheck> rechecks_;
  std::optional<Time> wake_;
  int reloads_ = 0;
  bool left_ = false;
};

const std::string kA = "a.service";
const std::string kB = "b.service";

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

TEST_F(AgentTest, AFailingUnitHoldsUpNoOther) {
  begin();
  order(kA, decision(UnitState::launched, 5));
  order(kB, decision(UnitState::launched, 5));
  done(kA, TaskKind::write, fail(ErrorCode::failed, "bad file"));
  done(kB, TaskKind::write);
  answer(kB, status("inactive"));
  EXPECT_EQ(asked(kB), TaskKind::start);
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
  EXPECT_EQ(asked(kA), TaskKind::stop);
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

}  // namespace
}  // namespace fleet
