// An etcd in memory: what many MemoryStore sessions share. Deterministic: it depends on nothing but
// the calls and the loop's clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/event_loop.h"
#include "store/store.h"

namespace fleet {

// Writes down what of a registry is to outlive its process: all that is not on a lease.
class RegistryKeeper {
 public:
  virtual ~RegistryKeeper() = default;

  // Called for each transaction that changes something, with all its events, before anybody can
  // see them; not for the end of a lease. A failure refuses the transaction.
  virtual Status keep(const WatchBatch& change) = 0;
};

// How much of the past is remembered. Older revisions are compacted.
struct HistoryLimit {
  std::size_t revisions = std::numeric_limits<std::size_t>::max();  // with changes
  std::size_t bytes = std::numeric_limits<std::size_t>::max();      // of their keys and values
};

// Every call takes effect at once and answers at once; time only passes in the sessions. The rules
// are those of store.h. Transactions must have been validated.
class MemoryRegistry {
 public:
  // Leases run out by the clock of `loop`, which must outlive the registry, as must `keeper`.
  explicit MemoryRegistry(EventLoop& loop, RegistryKeeper* keeper = nullptr,
                          HistoryLimit history = HistoryLimit());
  ~MemoryRegistry();
  MemoryRegistry(const MemoryRegistry&) = delete;
  MemoryRegistry& operator=(const MemoryRegistry&) = delete;

  EventLoop& loop() const { return loop_; }

  // Begins with what an earlier registry had at `revision`, none of it on a lease. Only before the
  // first change.
  void restore(std::vector<KeyValue> values, Revision revision);

  // Of the last change; 1 while there has been none, as in etcd.
  Revision revision() const { return revision_; }

  Result<ReadResult> read(const KeyRange& range, Revision at) const;
  Result<TransactionResult> commit(const Transaction& transaction);

  // Returns the events in `range` from revision `from` on, one batch a revision.
  Result<std::vector<WatchBatch>> history(const KeyRange& range, Revision from) const;

  // Forgets what was before `revision`: older revisions can no longer be read, nor watched from.
  void compact(Revision revision);

  LeaseId grant_lease(std::chrono::seconds ttl);
  // Zero if there is no such lease.
  Duration remaining_time(LeaseId id) const;
  // Gives a lease its whole time again. Returns whether it exists.
  bool renew_lease(LeaseId id);
  // Removes a lease and, at one revision, its keys. A lease that does not exist is ignored.
  void revoke_lease(LeaseId id);

  // `listener` is called within each change, with all its events. It must not call the registry.
  using Listener = std::function<void(const WatchBatch&)>;
  using ListenerId = std::uint64_t;
  ListenerId add_listener(Listener listener);
  void remove_listener(ListenerId id);

 private:
  struct Lease {
    Duration ttl{};
    Time expires;
    EventLoop::TimerId timer = 0;
    std::set<std::string> keys;
  };
  struct Change {
    WatchEvent event;
    std::optional<KeyValue> before;  // with which an older revision is read
  };

  static std::size_t size_of(const Change& change);
  bool holds(const Compare& compare) const;
  void put(const Put& put);
  void remove(const KeyRange& range);
  // Of the changes that have been made and that nobody has seen yet.
  WatchBatch new_batch() const;
  void publish(const WatchBatch& batch);
  void undo_changes();
  void expire_lease(LeaseId id);
  void detach(const KeyValue& value);

  EventLoop& loop_;
  RegistryKeeper* keeper_;
  HistoryLimit history_limit_;
  Revision revision_ = 1;
  Revision compacted_ = 0;
  std::map<std::string, KeyValue> values_;           // as of revision_
  std::map<Revision, std::vector<Change>> history_;  // after compacted_
  std::size_t history_bytes_ = 0;
  std::vector<Change> changes_;  // of the revision in the making
  std::map<LeaseId, Lease> leases_;
  LeaseId last_lease_ = 0;
  std::map<ListenerId, Listener> listeners_;
  ListenerId last_listener_ = 0;
};

}  // namespace fleet
