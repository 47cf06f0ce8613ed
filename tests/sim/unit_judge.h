// Judges what is asked of the systemds, and what runs where.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "tests/sim/cluster.h"
#include "tests/sim/promise.h"

namespace fleet {

// What the deeds know of a machine.
struct MachineFacts {
  // Whether what reaches its systemd at `when` may be from a fleetd that had been told to hand its
  // units over.
  std::function<bool(const std::string& machine, Time when)> was_leaving;
  // Whether nothing is wrong with it at the moment.
  std::function<bool(const std::string& machine)> is_whole;
};

class UnitJudge {
 public:
  // Takes the witnesses of the cluster's systemds. `cluster` outlives this.
  UnitJudge(Cluster& cluster, MachineFacts facts, Blame blame);

  // As in ClusterWitness.
  void on_schedule_read(const std::string& machine, const ReadResult& schedule);
  void on_schedule_change(const std::string& machine, const WatchBatch& batch);
  void after_mirrored(const WatchBatch& batch);

  void troubled(const std::string& machine);
  void rebooted(const std::string& machine);
  void started_by_hand(const std::string& machine, const std::string& unit);

  // To be called now and then: whether anything runs where it was given away long ago.
  void check_runs_once();

  // A unit that is to run and does not: it has run, as it was last told to, and has ended since
  // without fleet; or it cannot be started at all.
  bool may_be_idle(const std::string& machine, const std::string& unit) const;
  // A unit that is not to run and does: somebody else has started it, or has taken away all that
  // was known of it.
  bool may_run(const std::string& machine, const std::string& unit) const;

 private:
  using Place = std::pair<std::string, std::string>;  // machine and unit

  // Of a unit on a machine, in the machine's own time.
  struct Here {
    std::optional<ScheduleRecord> told;   // what the machine was told last
    std::optional<Time> order;            // when it was last told something else
    std::optional<Time> stop_order;       // when that last meant that what runs is to stop
    int starts_asked = 0;                 // how often it was told to run, in some new way
    int restarts_asked = 0;               // of those, how often with one more restart
    bool start_is_open = false;           // the last call to start it has not gone well yet
    int starts_done = 0;                  // jobs that started or restarted it and went well
    int restarts_done = 0;                // of those, restarts
    std::optional<Time> started;          // fleet's last call to start or restart it
    std::optional<Time> ended_by_itself;  // when it last did
    std::string as;                       // what it was to be then: hash and restarts
    std::string result;                   // of the last job that was to start it
    bool stops = false;                   // the last call was to stop or restart it
    bool stopping = false;                // fleet's stop of it has not succeeded yet
    bool by_hand = false;                 // somebody else started it last
    std::optional<Time> hand_started;     // when
    bool order_lost = false;              // somebody took the decision about it away
    bool given_back = false;              // its machine, leaving, has stopped it
  };

  void on_told(const std::string& machine, const KeyValue& record);
  void on_call(const std::string& machine, FakeCall::Verb verb, const std::string& name,
               const std::string& before);
  void on_job_end(const std::string& machine, FakeCall::Verb verb, const std::string& name,
                  const std::string& result);
  void on_active_state(const std::string& machine, const std::string& name, const std::string& now);
  void on_reload(const std::string& machine, std::size_t wanted);
  void take_order(Here& here, const ScheduleRecord& record, Time now);
  void judge_start(const Place& place, Here& here, bool restart);
  // Which stands still while the machine is suspended, with whatever is on its way there.
  Time time_of(const std::string& machine) const;
  bool troubled_since(const std::string& machine, Time when) const;

  Cluster& cluster_;
  MachineFacts facts_;
  Blame blame_;
  std::map<Place, Here> here_;
  std::map<std::string, std::set<std::string>> runs_on_;  // by unit
  std::map<std::string, Time> unit_changed_;     // when its content, target or schedule last did
  std::map<std::string, Time> troubled_;         // by machine, in its own time
  std::map<std::string, Time> needless_reload_;  // by machine: the last one
};

}  // namespace fleet
