// One client's session with a MemoryRegistry: the Store port, in memory. Tests and simulations give
// every machine a session of its own and all of them one registry.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>

#include "base/event_loop.h"
#include "store/memory/memory_registry.h"
#include "store/store.h"

namespace fleet {

// What lies between a session and the registry, and what goes wrong there.
struct MemoryLink {
  bool connected = true;      // false: nothing passes either way
  bool replies_lost = false;  // calls arrive and take effect, but nothing comes back
  Duration delay = {};        // of everything that passes, each way
  Duration jitter = {};  // up to so much more for each call by itself: they overtake each other
  Duration watch_delay = {};  // more, for what watches bring

  bool operator==(const MemoryLink&) const = default;
};

class MemoryStore final : public Store {
 public:
  // `loop` and `registry` must outlive the session. `loop` is the client's: callbacks and timeouts
  // run on it; what is on its way to the registry is the registry's loop's, so that it arrives also
  // when the client stands still or is gone. A call that has no answer after `request_timeout` ends
  // with `unavailable`.
  MemoryStore(EventLoop& loop, MemoryRegistry& registry,
              Duration request_timeout = std::chrono::seconds(5));
  ~MemoryStore() override;
  MemoryStore(const MemoryStore&) = delete;
  MemoryStore& operator=(const MemoryStore&) = delete;

  void read(KeyRange range, Revision at, Callback<ReadResult> done) override;
  void commit(Transaction transaction, Callback<TransactionResult> done) override;
  WatchId watch(KeyRange range, Revision from, WatchCallbacks callbacks) override;
  void cancel_watch(WatchId id) override;
  void grant_lease(std::chrono::seconds ttl, Callback<LeaseId> done) override;
  void keep_lease(LeaseId id, std::chrono::seconds ttl, LeaseCallbacks callbacks) override;
  void forget_lease(LeaseId id) override;
  void remaining_time(LeaseId id, Callback<std::chrono::seconds> done) override;
  void revoke_lease(LeaseId id, std::function<void(Status)> done) override;

  // Changes the line at any time. What was under way and did not pass is lost, but watches and
  // leases go on when it is whole again.
  void set_link(const MemoryLink& link);

  // Every call that is under way ends with `unavailable`: the connection was reset. What had
  // reached the registry, or reaches it yet, takes effect.
  void break_calls();

  // Every watch ends with `error`, as if the store had refused it.
  void end_watches(const Error& error);

 private:
  using Action = std::function<void()>;
  struct Call {
    EventLoop::TimerId timeout = 0;
    std::function<void(Error)> fail;
  };
  struct Watch {
    KeyRange range;
    Revision next = 0;  // the first revision that has not been delivered
    std::shared_ptr<const WatchCallbacks> callbacks;
    bool armed = false;       // changes reach it; else it waits for the line
    std::uint64_t epoch = 0;  // grows when what is on its way is lost
    std::deque<WatchBatch> on_its_way;
  };
  struct Keeping {
    Duration period{};
    std::shared_ptr<const LeaseCallbacks> callbacks;
    EventLoop::TimerId timer = 0;
  };

  template <class T>
  void call(std::function<Result<T>()> serve, std::function<void(Result<T>)> done);
  // Runs `action` unless the session has ended by then.
  Action guarded(Action action);
  bool passes_back() const { return link_->connected && !link_->replies_lost; }
  Duration one_way();
  // Runs `action`, which must not depend on this session, once it has arrived at the registry.
  void to_registry(Action action);
  void from_registry(Action action);
  void on_client(Duration delay, Action action);

  void arm(WatchId id);
  void on_change(const WatchBatch& change);
  void send_batch(WatchId id, WatchBatch batch);
  void deliver(WatchId id, std::uint64_t epoch);
  void end_watch(WatchId id, const Error& error);
  void disarm_watches();

  void renew(LeaseId id);
  void on_renewal(LeaseId id, bool exists);

  EventLoop& loop_;
  MemoryRegistry& registry_;
  Duration request_timeout_;
  std::shared_ptr<MemoryLink> link_ = std::make_shared<MemoryLink>();
  std::uint64_t random_ = 1;
  MemoryRegistry::ListenerId listener_;
  std::map<std::uint64_t, Call> calls_;  // that have not ended
  std::uint64_t last_call_ = 0;
  std::map<WatchId, Watch> watches_;
  WatchId last_watch_ = 0;
  std::map<LeaseId, Keeping> leases_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fleet
