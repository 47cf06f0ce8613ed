// Store: where the registry is kept. The port has etcd's model: keys with revisions, transactions
// that compare and then write, watches, and leases (https://etcd.io/docs/v3.4/learning/api/).
//
// Rules that hold for every implementation, and that tests/contract/store_contract.h checks:
//  - Non-blocking. A call returns at once; its callback runs once, later, on the event loop's
//    thread, never from within the call itself. After the Store's destructor has begun no callback
//    runs.
//  - Every change of the store has one revision; revisions only grow. A transaction's writes all
//    have the same revision.
//  - Every call ends: with a result or, within the request timeout that the implementation was
//    made with, with ErrorCode::unavailable. (Of a read that comes in pieces that time is for each
//    of them.) After `unavailable` a transaction may or may not have been committed.
//  - Keys are byte strings, ordered by bytes. No key is empty: one that is, is ErrorCode::invalid
//    (the empty prefix means every key).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"

namespace fleet {

using Revision = std::int64_t;  // 0: no revision, "does not exist" or "the newest"
using LeaseId = std::int64_t;   // 0: no lease

struct KeyValue {
  std::string key;
  std::string value;
  Revision create_revision = 0;  // of the put that brought the key into being
  Revision mod_revision = 0;     // of the last put
  LeaseId lease = 0;             // the key vanishes with this lease

  bool operator==(const KeyValue&) const = default;
};

// All keys that begin with `key` if `prefix`, else the one key.
struct KeyRange {
  std::string key;
  bool prefix = false;

  bool operator==(const KeyRange&) const = default;
};

struct ReadResult {
  std::vector<KeyValue> values;  // by key, ascending; all as they were at `revision`
  Revision revision = 0;
};

// "`field` of every existing key in `range` is `relation` `operand`". A range in which no key
// exists, be it one key or a prefix, compares as one key with revisions of 0, as in etcd: "less
// than N" holds of it, and "equal to 0" means that there is nothing.
struct Compare {
  enum class Field { create_revision, mod_revision };
  enum class Relation { equal, less, greater };

  KeyRange range;
  Field field = Field::mod_revision;
  Relation relation = Relation::equal;
  Revision operand = 0;

  bool operator==(const Compare&) const = default;
};

struct Put {
  std::string key;
  std::string value;
  LeaseId lease = 0;  // replaces the key's lease; 0 detaches it from any

  bool operator==(const Put&) const = default;
};

struct Delete {
  KeyRange range;

  bool operator==(const Delete&) const = default;
};

using Operation = std::variant<Put, Delete>;

// If every comparison holds, all operations happen, at one revision; else none.
// At most limits::kTransactionOperations comparisons and as many operations; no key may be written
// twice. Violations are ErrorCode::invalid.
struct Transaction {
  std::vector<Compare> compares;
  std::vector<Operation> operations;

  bool operator==(const Transaction&) const = default;
};

struct TransactionResult {
  bool committed = false;  // the comparisons held
  Revision revision = 0;   // of the store after the transaction, committed or not
};

struct WatchEvent {
  enum class Kind { put, removed };
  Kind kind = Kind::put;
  KeyValue value;  // for `removed` only key and mod_revision (of the removal) are set

  bool operator==(const WatchEvent&) const = default;
};

// All events of one or several whole revisions, in order. A revision is never split between two
// batches.
struct WatchBatch {
  Revision revision = 0;  // of the last event
  std::vector<WatchEvent> events;
};

using WatchId = std::uint64_t;  // 0 is never a watch

// `on_batch` runs for every batch. The implementation re-arms the watch by itself after a lost
// connection, from the last revision seen + 1, so that no event is lost or repeated. `on_end` runs
// at most once, when that has become impossible (ErrorCode::compacted: read again and watch anew;
// any other: the store refuses); after it nothing more comes and the id is void.
struct WatchCallbacks {
  std::function<void(const WatchBatch&)> on_batch;
  std::function<void(const Error&)> on_end;
};

// `on_renewed` runs each time that the store confirmed the lease. `on_lost` runs at most once, when
// the store has said that the lease does not exist (any more): a mere loss of contact is not that.
struct LeaseCallbacks {
  std::function<void()> on_renewed;
  std::function<void(const Error&)> on_lost;
};

class Store {
 public:
  template <class T>
  using Callback = std::function<void(Result<T>)>;

  virtual ~Store() = default;

  // Reads every key of `range`, whole, as of one revision: `at`, or the newest if 0. The newest
  // is linearizable: it includes every write that was acknowledged before the call. Large ranges
  // are the implementation's matter (it pages at one fixed revision).
  // Fails: invalid (also: `at` has not been yet), compacted, unavailable, denied.
  virtual void read(KeyRange range, Revision at, Callback<ReadResult> done) = 0;

  // Fails: invalid, too_large, unavailable (outcome unknown), denied, not_found (a Put names a
  // lease that does not exist; nothing was written).
  virtual void commit(Transaction transaction, Callback<TransactionResult> done) = 0;

  // Delivers every event in `range` with a revision of at least `from` (> 0).
  virtual WatchId watch(KeyRange range, Revision from, WatchCallbacks callbacks) = 0;

  // Ends a watch; none of its callbacks runs after this. Void and unknown ids are ignored.
  virtual void cancel_watch(WatchId id) = 0;

  // Makes a lease that lives `ttl` (whole seconds, at least 1; the store may raise it) without
  // being renewed. Fails: unavailable, denied.
  virtual void grant_lease(std::chrono::seconds ttl, Callback<LeaseId> done) = 0;

  // Keeps a lease alive on a connection of its own that never waits behind other calls, and also
  // while the event loop is busy, until revoke_lease, forget_lease or on_lost.
  // `ttl` is what grant_lease was called with; renewals are at most a third of it apart.
  virtual void keep_lease(LeaseId id, std::chrono::seconds ttl, LeaseCallbacks callbacks) = 0;

  // How much longer a lease lives if nobody renews it, rounded down; zero if it does not exist.
  // Fails: unavailable, denied.
  virtual void remaining_time(LeaseId id, Callback<std::chrono::seconds> done) = 0;

  // Stops keeping a lease alive and leaves it to run out. Unknown ids are ignored.
  virtual void forget_lease(LeaseId id) = 0;

  // Ends the lease and removes its keys at once. Fails: unavailable. A lease that does not exist
  // counts as revoked.
  virtual void revoke_lease(LeaseId id, std::function<void(Status)> done) = 0;
};

}  // namespace fleet
