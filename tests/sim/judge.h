// Watches a cluster and says which promises it breaks.
#pragma once

#include <string>
#include <vector>

#include "tests/sim/api_judge.h"
#include "tests/sim/cluster.h"
#include "tests/sim/decision_judge.h"
#include "tests/sim/plan.h"
#include "tests/sim/promise.h"
#include "tests/sim/unit_judge.h"

namespace fleet {

class Judge {
 public:
  // `cluster`, with all its machines, outlives this.
  Judge(Cluster& cluster, MachineFacts facts);

  // Adds what the judge wants to hear to `witness`.
  void listen(ClusterWitness& witness);
  void on_answer(const Asked& asked, const ApiResponse& answer) { api_.on_answer(asked, answer); }

  // What is done to the cluster, before it is.
  void on_action(const Words& words);

  // To be called now and then.
  void check() { units_.check_runs_once(); }
  Excuses excuses() const;

  const std::vector<Broken>& broken() const { return broken_; }
  void blame(Promise promise, std::string what);

 private:
  Cluster& cluster_;
  std::vector<Broken> broken_;
  DecisionJudge decisions_;
  UnitJudge units_;
  ApiJudge api_;
};

}  // namespace fleet
