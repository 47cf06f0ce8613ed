// Judges every decision at the revision at which it takes effect.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "tests/sim/cluster.h"
#include "tests/sim/promise.h"

namespace fleet {

class DecisionJudge {
 public:
  // `cluster` outlives this. `is_whole` tells whether nothing is wrong with a machine at the
  // moment.
  DecisionJudge(const Cluster& cluster, std::function<bool(const std::string&)> is_whole,
                Blame blame);

  // As in ClusterWitness.
  void before_mirrored(const WatchBatch& batch);
  void after_mirrored(const WatchBatch& batch);

  // Something has befallen a machine. The clock of one that jumped measures no grace.
  void troubled(const std::string& machine, bool clock_jumped);

 private:
  using Place = std::pair<std::string, std::string>;  // machine and unit
  enum class Was { nothing, assigned, ordered_away };

  void judge_absence(const std::string& machine);
  void judge(const Place& place, const ScheduleRecord& record);
  void judge_assignment(const Place& place, const ScheduleRecord& record);
  bool was_unknown(const std::string& machine, const std::string& obstacle) const;
  bool has_changed_beside(const std::string& machine, const std::string& obstacle) const;
  void judge_withdrawal(const Place& place);
  void judge_others(const Place& place);
  void judge_loss(const std::string& lost, const std::string& unit);
  bool is_present(const std::string& machine) const;
  bool is_outage(Time when) const;
  Was was(const Place& place) const;

  const Cluster& cluster_;
  std::function<bool(const std::string&)> is_whole_;
  Blame blame_;
  std::map<Place, Was> was_;                  // before the change that is being judged
  std::map<std::string, Time> absent_since_;  // machines that were there once
  std::map<std::string, Time> troubled_;
  std::map<std::string, Time> jumped_;
  Time leads_since_;
  std::map<Place, Time> decided_first_;  // when a record came about where none was
  Time unit_written_;                    // when the content of any unit was last changed
};

}  // namespace fleet
