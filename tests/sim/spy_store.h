// A Store that passes everything on, counts what a node asks of it, and tells what the node's agent
// has been told. On request what it writes is as a later version of fleetd would write it.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <variant>

#include "base/limits.h"
#include "store/store.h"

namespace fleet {

class SpyStore final : public Store {
 public:
  // Both outlive this. `schedule` is the range of the machine's own schedule.
  SpyStore(Store& store, KeyRange schedule) : store_(store), schedule_(std::move(schedule)) {}

  int calls = 0;  // of any kind; the renewals of a lease are none
  // Values of the same format version have a member more, which those that do not know it must
  // leave unread, and there are keys of one more kind.
  bool is_later = false;
  std::string later_key;  // such a key
  std::function<void(const ReadResult&)> on_schedule_read;
  std::function<void(const WatchBatch&)> on_schedule_change;

  void read(KeyRange range, Revision at, Callback<ReadResult> done) override {
    ++calls;
    if (range == schedule_ && on_schedule_read) {
      done = [this, done = std::move(done)](Result<ReadResult> result) {
        if (result) on_schedule_read(*result);
        done(std::move(result));
      };
    }
    store_.read(std::move(range), at, std::move(done));
  }
  void commit(Transaction transaction, Callback<TransactionResult> done) override {
    ++calls;
    if (is_later) add_what_is_later(transaction);
    store_.commit(std::move(transaction), std::move(done));
  }
  WatchId watch(KeyRange range, Revision from, WatchCallbacks callbacks) override {
    ++calls;
    if (range == schedule_ && on_schedule_change) {
      callbacks.on_batch = [this, tell = std::move(callbacks.on_batch)](const WatchBatch& batch) {
        on_schedule_change(batch);
        tell(batch);
      };
    }
    return store_.watch(std::move(range), from, std::move(callbacks));
  }
  void cancel_watch(WatchId id) override { store_.cancel_watch(id); }
  void grant_lease(std::chrono::seconds ttl, Callback<LeaseId> done) override {
    ++calls;
    store_.grant_lease(ttl, std::move(done));
  }
  void keep_lease(LeaseId id, std::chrono::seconds ttl, LeaseCallbacks callbacks) override {
    store_.keep_lease(id, ttl, std::move(callbacks));
  }
  void forget_lease(LeaseId id) override { store_.forget_lease(id); }
  void remaining_time(LeaseId id, Callback<std::chrono::seconds> done) override {
    store_.remaining_time(id, std::move(done));
  }
  void revoke_lease(LeaseId id, std::function<void(Status)> done) override {
    ++calls;
    store_.revoke_lease(id, std::move(done));
  }

 private:
  void add_what_is_later(Transaction& transaction) const {
    bool writes = false;
    for (Operation& operation : transaction.operations) {
      auto* put = std::get_if<Put>(&operation);
      if (put == nullptr || !put->value.ends_with('}')) continue;
      put->value.back() = ',';
      put->value += R"("later":{"known":"to later ones"}})";
      writes = true;
    }
    if (writes && transaction.operations.size() < limits::kTransactionOperations) {
      transaction.operations.emplace_back(Put{later_key, R"({"v":1})", 0});
    }
  }

  Store& store_;
  KeyRange schedule_;
};

}  // namespace fleet
