#include "engine/election.h"

#include <utility>

namespace fleet {

using namespace election_event;

namespace {
constexpr Duration kRetryAfter = std::chrono::seconds(1);
}

std::vector<ElectionEffect> Election::step(const ElectionEvent& event, Time now) {
  effects_.clear();
  if (const auto* held = std::get_if<LeaseHeld>(&event)) {
    lease_ = held->lease;
  } else if (std::holds_alternative<LeaseLost>(event)) {
    lease_ = 0;
  } else if (const auto* part = std::get_if<TakePart>(&event)) {
    takes_part_ = part->wanted;
  } else if (const auto* seen = std::get_if<LeaderSeen>(&event)) {
    leader_ = seen->leader;
    leader_known_ = true;
    seen_since_asked_ = true;
    not_before_.reset();
  } else if (const auto* answered = std::get_if<Answered>(&event)) {
    asking_ = false;
    // Won or lost, the key's own watch tells, and until it does there is no use in asking again at
    // once. After an error the key's state is unknown and the next attempt finds out.
    if (!answered->result || !seen_since_asked_) not_before_ = now + kRetryAfter;
  }
  const bool mine = takes_part_ && leader_ && leader_->lease == lease_ && lease_ != 0;
  if (term_ != 0 && (!mine || leader_->create_revision != term_)) {
    term_ = 0;
    effects_.emplace_back(election_effect::StepDown{});
  }
  if (mine && term_ == 0) {
    term_ = leader_->create_revision;
    effects_.emplace_back(election_effect::Lead{term_});
  }
  if (not_before_ && *not_before_ > now) {
    effects_.emplace_back(election_effect::Wake{*not_before_});
  } else {
    not_before_.reset();
    campaign_if_vacant();
  }
  return std::exchange(effects_, {});
}

void Election::campaign_if_vacant() {
  if (lease_ == 0 || !leader_known_ || asking_) return;
  const std::string key = keys_.leader();
  Transaction transaction;
  if (!leader_) {
    if (!takes_part_) return;
    transaction.compares.push_back(
        {{key, false}, Compare::Field::create_revision, Compare::Relation::equal, 0});
    transaction.operations.emplace_back(Put{key, machine_id_, lease_});
  } else if (leader_->value == machine_id_ && (leader_->lease != lease_ || !takes_part_)) {
    // Given up, or left behind by this machine's earlier fleetd. Removed first and taken after, so
    // that the term is a new one and nothing of the old one's can still take effect.
    transaction.compares.push_back({{key, false},
                                    Compare::Field::mod_revision,
                                    Compare::Relation::equal,
                                    leader_->mod_revision});
    transaction.operations.emplace_back(Delete{{key, false}});
  } else {
    return;
  }
  asking_ = true;
  seen_since_asked_ = false;
  effects_.emplace_back(election_effect::Commit{std::move(transaction)});
}

}  // namespace fleet
