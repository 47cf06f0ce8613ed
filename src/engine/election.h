// Election: whether this fleetd's engine leads. A step machine over one key, engine/leader, that is
// held on the machine's lease. Its create revision is the leader's term. Pure.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "cluster/keys.h"
#include "store/store.h"

namespace fleet {

namespace election_event {
// The machine's lease is held (again, anew), or has been lost or given up.
struct LeaseHeld {
  LeaseId lease = 0;
};
struct LeaseLost {};
// Whether this fleetd is to take part; it is, until this says otherwise.
struct TakePart {
  bool wanted = true;
};
// What the leader key says; nothing: it does not exist.
struct LeaderSeen {
  std::optional<KeyValue> leader;
};
struct Answered {
  Result<TransactionResult> result;
};
struct TimePassed {};
}  // namespace election_event

using ElectionEvent =
    std::variant<election_event::LeaseHeld, election_event::LeaseLost, election_event::TakePart,
                 election_event::LeaderSeen, election_event::Answered, election_event::TimePassed>;

namespace election_effect {
struct Commit {  // to be answered by Answered; one at a time
  Transaction transaction;
};
struct Lead {  // from now on, in this term
  Revision term = 0;
};
struct StepDown {};
struct Wake {
  Time when;
};
}  // namespace election_effect

using ElectionEffect = std::variant<election_effect::Commit, election_effect::Lead,
                                    election_effect::StepDown, election_effect::Wake>;

class Election {
 public:
  Election(Keys keys, std::string machine_id)
      : keys_(std::move(keys)), machine_id_(std::move(machine_id)) {}

  std::vector<ElectionEffect> step(const ElectionEvent& event, Time now);

  bool is_leading() const { return term_ != 0; }

 private:
  void campaign_if_vacant();

  Keys keys_;
  std::string machine_id_;
  LeaseId lease_ = 0;
  bool takes_part_ = true;
  Revision term_ = 0;
  bool leader_known_ = false;  // LeaderSeen has come at least once
  std::optional<KeyValue> leader_;
  bool asking_ = false;
  bool seen_since_asked_ = false;  // the leader key has been heard of since
  std::optional<Time> not_before_;
  std::vector<ElectionEffect> effects_;
};

}  // namespace fleet
