#include "node/publisher.h"

#include <utility>

#include <fmt/format.h>

#include "base/limits.h"
#include "node/feed.h"

namespace fleet {

namespace {
// Each acknowledgement takes two operations.
constexpr std::size_t kMaxStates = limits::kTransactionOperations / 2;
constexpr std::size_t kMaxAcknowledgements = limits::kTransactionOperations / 4;
// A unit that starts at once is loaded and launched within this: then only the second is told, and
// what several units have to say goes together. It is half of what the cluster costs its store.
constexpr Duration kGather = std::chrono::milliseconds(5);
constexpr const char* kFence = R"({"v":1})";
}  // namespace

Publisher::Publisher(EventLoop& loop, Store& store, Log& log, Keys keys, std::string machine_id,
                     OnAcknowledged on_acknowledged)
    : loop_(loop),
      store_(store),
      log_(log),
      keys_(std::move(keys)),
      machine_id_(std::move(machine_id)),
      fence_(keys_.fence(machine_id_)),
      on_acknowledged_(std::move(on_acknowledged)) {}

Publisher::~Publisher() {
  loop_.cancel(timer_);
}

void Publisher::set_lease(LeaseId lease) {
  if (lease_ != lease) fence_wanted_ = true;  // it went with the old one
  lease_ = lease;
  if (lease == 0) return states_.clear();
  is_this_machine_ = true;
  send_next();
}

void Publisher::publish(const std::string& name, const StateRecord& state) {
  if (lease_ == 0) return;
  states_[name] = state;
  send_next();
}

void Publisher::acknowledge(const std::string& name, std::uint64_t id, Revision revision) {
  states_.erase(name);
  acknowledgements_[name] = {id, revision};
  send_next();
}

void Publisher::send_next() {
  if (sending_ || timer_ != 0 || !is_this_machine_) return;
  if (states_.empty() && acknowledgements_.empty()) return;
  sending_ = true;
  const auto begin = [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    // What goes without a lease changes no state.
    if (fence_wanted_ && lease_ != 0) return send_fence();
    send_batch();
  };
  // Others wait for a unit to be let go of. Also that is sent from the loop, so that all that one
  // step of the agent has to say goes together.
  if (acknowledgements_.empty()) {
    loop_.call_after(kGather, begin);
  } else {
    loop_.post(begin);
  }
}

Compare Publisher::fence_not_written_since() const {
  return {{fence_, false}, Compare::Field::mod_revision, Compare::Relation::less, known_ + 1};
}

void Publisher::send_fence() {
  Transaction transaction;
  transaction.compares.push_back(fence_not_written_since());
  transaction.operations.emplace_back(Put{fence_, kFence, lease_});
  store_.commit(std::move(transaction), [this, lease = lease_, alive = std::weak_ptr(alive_)](
                                            const Result<TransactionResult>& result) {
    if (alive.expired()) return;
    sending_ = false;
    if (!result) return try_again(std::exchange(acknowledgements_, {}), result.error());
    failures_ = 0;
    known_ = result->revision;
    // Refused, it was written by what had been on its way: written again, later than that.
    if (lease_ == lease) fence_wanted_ = !result->committed;
    send_next();
  });
}

void Publisher::send_batch() {
  std::map<std::string, Acknowledgement> acknowledgements;
  const std::size_t most = one_by_one_ ? 1 : kMaxAcknowledgements;
  while (!acknowledgements_.empty() && acknowledgements.size() < most) {
    acknowledgements.insert(acknowledgements_.extract(acknowledgements_.begin()));
  }
  // The state of a unit that is let go of was said after that, and follows it.
  std::map<std::string, StateRecord> states;
  for (auto it = states_.begin(); it != states_.end() && states.size() < kMaxStates;) {
    const auto here = it++;
    if (!acknowledgements.contains(here->first)) states.insert(states_.extract(here));
  }
  send(std::move(states), std::move(acknowledgements));
}

void Publisher::send(std::map<std::string, StateRecord> states,
                     std::map<std::string, Acknowledgement> acknowledgements) {
  Transaction transaction;
  if (lease_ != 0) transaction.compares.push_back(fence_not_written_since());
  for (const auto& [name, state] : states) {
    transaction.operations.emplace_back(Put{keys_.state(machine_id_, name), encode(state), lease_});
  }
  for (const auto& [name, acknowledgement] : acknowledgements) {
    const KeyRange record{keys_.schedule(machine_id_, name), false};
    transaction.compares.push_back(
        {record, Compare::Field::mod_revision, Compare::Relation::equal, acknowledgement.revision});
    transaction.operations.emplace_back(Delete{record});
    transaction.operations.emplace_back(Delete{{keys_.state(machine_id_, name), false}});
  }
  store_.commit(std::move(transaction),
                [this, alive = std::weak_ptr(alive_), states = std::move(states),
                 acknowledgements =
                     std::move(acknowledgements)](const Result<TransactionResult>& result) mutable {
                  if (alive.expired()) return;
                  answered(std::move(states), std::move(acknowledgements), result);
                });
}

void Publisher::answered(std::map<std::string, StateRecord> states,
                         std::map<std::string, Acknowledgement> acknowledgements,
                         const Result<TransactionResult>& result) {
  sending_ = false;
  // What was said of a unit before it was let go of is not said again after.
  for (const auto& [name, acknowledgement] : acknowledgements_) states.erase(name);
  if (result) known_ = result->revision;
  if (result && (result->committed || acknowledgements.size() <= 1)) {
    failures_ = 0;
    one_by_one_ = one_by_one_ && !acknowledgements_.empty();
    for (const auto& [name, acknowledgement] : acknowledgements) {
      // Not committed: the record has changed, and the watch brings what it is now; or it is gone,
      // and the unit's state is to go all the same.
      if (!result->committed && acknowledgement.revision != 0) {
        acknowledgements_[name] = {acknowledgement.id, 0};
      } else {
        on_acknowledged_(name, acknowledgement.id, {});
      }
    }
    if (!result->committed) states_.merge(states);
    return send_next();
  }
  if (lease_ != 0) states_.merge(states);  // newer states of the same units win
  if (result) {
    one_by_one_ = true;
    acknowledgements_.merge(acknowledgements);
    return send_next();
  }
  fence_wanted_ = true;
  try_again(acknowledgements, result.error());
}

void Publisher::try_again(const std::map<std::string, Acknowledgement>& failed,
                          const Error& error) {
  for (const auto& [name, acknowledgement] : failed) {
    on_acknowledged_(name, acknowledgement.id, std::unexpected(error));
  }
  ++failures_;
  log_.write({LogLevel::debug,
              fmt::format("states are not published: {}; tried again", error.message),
              {},
              machine_id_});
  timer_ = loop_.call_after(backoff(failures_), [this] {
    timer_ = 0;
    send_next();
  });
}

}  // namespace fleet
