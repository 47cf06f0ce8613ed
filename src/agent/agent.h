// The agent: the step machine that makes this machine's systemd do what the cluster decided, and
// reports what systemd says.
//
// step(event, now) -> effects. Pure. It never looks at [X-Fleet] and never decides where a unit
// runs: it has the decisions about this machine, and they are explicit. A unit without a decision,
// or with one that cannot be read, is left exactly as it is.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "agent/local_unit.h"
#include "agent/timetable.h"
#include "base/error.h"
#include "base/log.h"
#include "base/time.h"
#include "cluster/registry.h"
#include "systemd/unit_manager.h"

namespace fleet {

namespace agent_event {
struct LocalUnitsListed {
  std::vector<LocalUnit> units;
};
// All decisions about this machine, read whole at one revision.
struct ScheduleRead {
  std::map<std::string, Entry<ScheduleRecord>> decisions;  // by unit name
};
struct ScheduleChanged {
  std::string name;
  Entry<ScheduleRecord> decision;  // does not exist: it was removed
};
struct StatusSeen {
  std::string name;
  UnitStatus status;
};
// The answer to a RunTask other than a query.
struct TaskDone {
  std::string name;
  std::uint64_t id = 0;
  Status result;
};
// The answer to a RunTask of kind query, or to a Recheck.
struct QueryDone {
  std::string name;
  std::uint64_t id = 0;
  Result<UnitStatus> status;
};
struct ReloadDone {
  Status result;
};
// The machine's presence was confirmed, or can no longer be relied on. With a new lease all that
// was published is gone or about to go, and is told again.
struct Registered {
  bool new_lease = true;
};
struct Unregistered {};
// fleetd is being stopped for good: hand everything over.
struct Leave {};
struct TimePassed {};
}  // namespace agent_event

using AgentEvent =
    std::variant<agent_event::LocalUnitsListed, agent_event::ScheduleRead,
                 agent_event::ScheduleChanged, agent_event::StatusSeen, agent_event::TaskDone,
                 agent_event::QueryDone, agent_event::ReloadDone, agent_event::Registered,
                 agent_event::Unregistered, agent_event::Leave, agent_event::TimePassed>;

namespace agent_effect {
struct RunTask {
  std::uint64_t id = 0;
  std::string name;
  TaskKind kind = TaskKind::none;
  std::string text;       // write: the file; note: the note
  bool enable = false;    // write: the file has an [Install] section
  Revision revision = 0;  // acknowledge: remove the record only if it is still this one
};
// A job has been under way for long: ask systemd, as its answer may have been lost.
struct Recheck {
  std::uint64_t id = 0;
  std::string name;
};
struct Reload {};
struct Observe {
  std::string name;
};
struct Ignore {
  std::string name;
};
struct Publish {
  std::string name;
  StateRecord state;
};
struct Wake {
  Time when;
};
// After Leave: every unit has been stopped and let go, or cannot be (is_left_behind()).
struct Left {};
}  // namespace agent_effect

using AgentEffect = std::variant<agent_effect::RunTask, agent_effect::Recheck, agent_effect::Reload,
                                 agent_effect::Observe, agent_effect::Ignore, agent_effect::Publish,
                                 agent_effect::Wake, agent_effect::Left, LogLine>;

class Agent {
 public:
  std::vector<AgentEffect> step(const AgentEvent& event, Time now);

  const std::map<std::string, LocalUnitState>& units() const { return units_; }

  // Whether nothing of what the cluster has decided about is left on this machine but what cannot
  // be stopped. All that may be missing is that the registry knows.
  bool has_let_go() const;

  // What fleet has put on this machine and runs, or may, and why it does after Leave: it could not
  // be stopped, or what was decided about it is not known.
  std::map<std::string, std::string> running() const;

 private:
  void handle(const agent_event::LocalUnitsListed& event, Time now);
  void handle(const agent_event::ScheduleRead& event, Time now);
  void handle(const agent_event::ScheduleChanged& event, Time now);
  void handle(const agent_event::StatusSeen& event, Time now);
  void handle(const agent_event::TaskDone& event, Time now);
  void handle(const agent_event::QueryDone& event, Time now);
  void handle(const agent_event::ReloadDone& event, Time now);
  void handle(const agent_event::Registered& event, Time now);
  void handle(const agent_event::Unregistered& event, Time now);
  void handle(const agent_event::Leave& event, Time now);
  void handle(const agent_event::TimePassed& event, Time now);

  void decide(const std::string& name, const Entry<ScheduleRecord>& decision);
  void succeeded(const std::string& name, LocalUnitState& unit, TaskKind kind, Time now);
  void failed(const std::string& name, LocalUnitState& unit, TaskKind kind, const Error& error,
              Time now);
  // systemd has answered how the unit is.
  void status_known(const std::string& name, LocalUnitState& unit, Time now);
  void plan(Time now);
  // The first of the units that this one is to start after (ScheduleRecord::after) and that has
  // not left yet. Null if there is none.
  const std::string* still_here_before(const LocalUnitState& unit) const;
  void run(const std::string& name, LocalUnitState& unit, const Task& task, Time now);
  void recheck_long_jobs(Time now);
  void publish(const std::string& name);
  void ask_to_wake(Time now);
  void mark_all();
  void log(LogLevel level, std::string text, std::string unit = {});

  MachineSituation situation_;
  bool units_listed_ = false;
  bool schedule_read_ = false;
  bool left_said_ = false;
  std::map<std::string, LocalUnitState> units_;
  std::map<std::string, StateRecord> published_;

  std::set<std::string> dirty_;        // to be planned
  std::set<std::string> wants_start_;  // start or restart, once all files are in place
  std::set<std::string> wants_reload_;
  std::set<std::string> writing_;  // a file is being written or has just been
  Timetable jobs_;                 // a systemd job is under way: to be re-checked
  Timetable backing_off_;
  // While leaving: units that were given back. If the cluster was not told that this machine leaves
  // they may come again, and giving them back again would go on for ever.
  std::set<std::string> given_back_;
  bool reloading_ = false;
  std::set<std::string> reload_covers_;  // units whose files were in place when the reload began
  std::uint64_t last_id_ = 0;
  std::vector<AgentEffect> effects_;
};

}  // namespace fleet
