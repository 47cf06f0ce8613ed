// A Store that counts and times the calls of another, for /metrics, and tells the log what that
// refuses: whoever called repeats it in silence, as it does when the store is out of reach.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "api/metrics_text.h"
#include "base/event_loop.h"
#include "base/log.h"
#include "store/store.h"

namespace fleet {

// What became of the calls so far. Watches and leases are none: they do not end, and 1.0's registry
// operations had neither.
struct StoreCounts {
  struct Operation {
    std::uint64_t failed = 0;  // ended with an error; a transaction that was refused has not failed
    Histogram duration;        // of all that have ended
  };
  Operation get;      // reads of one key
  Operation get_all;  // reads of all keys below a prefix
  Operation set;      // transactions
};

class MeteredStore final : public Store {
 public:
  // All must outlive this.
  MeteredStore(const EventLoop& loop, Store& store, Log& log)
      : loop_(loop), store_(store), log_(log) {}

  const StoreCounts& counts() const { return *counts_; }

  void read(KeyRange range, Revision at, Callback<ReadResult> done) override;
  void commit(Transaction transaction, Callback<TransactionResult> done) override;
  WatchId watch(KeyRange range, Revision from, WatchCallbacks callbacks) override {
    return store_.watch(std::move(range), from, std::move(callbacks));
  }
  void cancel_watch(WatchId id) override { store_.cancel_watch(id); }
  void grant_lease(std::chrono::seconds ttl, Callback<LeaseId> done) override {
    store_.grant_lease(ttl, std::move(done));
  }
  void keep_lease(LeaseId id, std::chrono::seconds ttl, LeaseCallbacks callbacks) override {
    store_.keep_lease(id, ttl, std::move(callbacks));
  }
  void remaining_time(LeaseId id, Callback<std::chrono::seconds> done) override {
    store_.remaining_time(id, std::move(done));
  }
  void forget_lease(LeaseId id) override { store_.forget_lease(id); }
  void revoke_lease(LeaseId id, std::function<void(Status)> done) override {
    store_.revoke_lease(id, std::move(done));
  }

 private:
  template <class T>
  Callback<T> metered(StoreCounts::Operation StoreCounts::*operation, Callback<T> done);

  void tell(const Error& error);

  const EventLoop& loop_;
  Store& store_;
  Log& log_;
  std::set<std::string> told_;  // once each
  // Answers may come after the end.
  std::shared_ptr<StoreCounts> counts_ = std::make_shared<StoreCounts>();
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace fleet
