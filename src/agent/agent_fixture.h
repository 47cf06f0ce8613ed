// What the tests of the agent share.
#pragma once

#include <algorithm>

#include <gtest/gtest.h>

#include "agent/agent.h"
#include "base/sha1.h"

namespace fleet {

using namespace std::chrono_literals;
namespace effect = agent_effect;
namespace event = agent_event;

inline const std::string kText = "[Service]\nExecStart=/bin/sleep 1000\n";
inline const std::string kOther = "[Service]\nExecStart=/bin/sleep 2000\n";

inline Entry<ScheduleRecord> decision(UnitState state, Revision revision,
                                      const std::string& text = kText, std::uint64_t restarts = 0) {
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

inline UnitStatus status(const std::string& active, bool job_pending = false,
                         bool needs_reload = false) {
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
        if (task->kind == TaskKind::note) notes_.push_back(task->text);
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
  std::vector<std::string> notes_;  // that were to be written, in order
  std::vector<std::pair<std::string, StateRecord>> published_;
  std::vector<effect::Recheck> rechecks_;
  std::optional<Time> wake_;
  int reloads_ = 0;
  bool left_ = false;
};

inline const std::string kA = "a.service";
inline const std::string kB = "b.service";

}  // namespace fleet
