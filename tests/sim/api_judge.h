// Judges what the API answers.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/api.h"
#include "api/json/status.h"
#include "tests/sim/cluster.h"
#include "tests/sim/promise.h"

namespace fleet {

// A request to the API.
struct Asked {
  std::string machine;
  std::string method;
  std::string path;
  std::string key = {};   // that it writes, if it does
  Revision revision = 0;  // the newest when it was asked
  Time at = {};           // when it was asked
  bool alone = true;      // nobody else asked for a change of that key at about the same time
};

class ApiJudge {
 public:
  // `cluster` outlives this.
  ApiJudge(const Cluster& cluster, Blame blame);

  // As in ClusterWitness.
  void after_mirrored(const WatchBatch& batch);
  void on_answer(const Asked& asked, const ApiResponse& answer);

 private:
  void judge_read(const Asked& asked, const ApiResponse& answer);
  // The newest write that its machine had acknowledged when it was asked, or 1.
  Revision own_write_before(const Asked& asked) const;
  // The registry at a revision; nothing if it has been compacted.
  bool load(Revision revision, Registry& registry) const;

  const Cluster& cluster_;
  Blame blame_;
  std::map<std::string, std::vector<Revision>> writes_;  // by key
  // By machine: the newest that it has acknowledged, from when on.
  std::map<std::string, std::map<Time, Revision>> own_writes_;
};

// What is not so in what is said about why a unit is not where it should be; empty if all is.
std::string untruth(const Registry& registry, const UnitStatusEntity& said, int mass_loss_percent);

}  // namespace fleet
