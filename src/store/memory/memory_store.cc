#include "store/memory/memory_store.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "store/range.h"

namespace fleet {

MemoryStore::MemoryStore(EventLoop& loop, MemoryRegistry& registry, Duration request_timeout)
    : loop_(loop),
      registry_(registry),
      request_timeout_(request_timeout),
      listener_(registry.add_listener([this](const WatchBatch& change) { on_change(change); })) {}

MemoryStore::~MemoryStore() {
  alive_.reset();
  registry_.remove_listener(listener_);
  for (const auto& [id, call] : calls_) loop_.cancel(call.timeout);
  for (const auto& [id, keeping] : leases_) loop_.cancel(keeping.timer);
}

// --- Calls.

MemoryStore::Action MemoryStore::guarded(Action action) {
  return [alive = std::weak_ptr<bool>(alive_), action = std::move(action)] {
    if (!alive.expired()) action();
  };
}

// SplitMix64 (Steele, Lea, Flood 2014): few bits of state, the same numbers everywhere.
Duration MemoryStore::one_way() {
  if (link_->jitter <= Duration::zero()) return link_->delay;
  std::uint64_t bits = random_ += 0x9e3779b97f4a7c15U;
  bits = (bits ^ (bits >> 30U)) * 0xbf58476d1ce4e5b9U;
  bits = (bits ^ (bits >> 27U)) * 0x94d049bb133111ebU;
  bits ^= bits >> 31U;
  const auto most = static_cast<std::uint64_t>(link_->jitter.count());
  return link_->delay + Duration(static_cast<Duration::rep>(bits % most));
}

void MemoryStore::to_registry(Action action) {
  Action arrive = [link = link_, action = std::move(action)] {
    if (link->connected) action();
  };
  const Duration delay = one_way();
  if (delay == Duration::zero()) {
    registry_.loop().post(std::move(arrive));
  } else {
    registry_.loop().call_after(delay, std::move(arrive));
  }
}

void MemoryStore::from_registry(Action action) {
  if (!passes_back()) return;
  on_client(one_way(), [this, action = std::move(action)] {
    if (passes_back()) action();
  });
}

void MemoryStore::on_client(Duration delay, Action action) {
  // What has arrived waits for a client that stands still.
  Action arrive = guarded(std::move(action));
  if (delay == Duration::zero()) {
    loop_.post(std::move(arrive));
  } else {
    registry_.loop().call_after(delay, [loop = &loop_, arrive = std::move(arrive)]() mutable {
      loop->post(std::move(arrive));
    });
  }
}

template <class T>
void MemoryStore::call(std::function<Result<T>()> serve, std::function<void(Result<T>)> done) {
  const std::uint64_t id = ++last_call_;
  // Ends the call with the first of answer, timeout and broken connection.
  auto finish = [this, id, done = std::move(done)](Result<T> result) {
    const auto found = calls_.find(id);
    if (found == calls_.end()) return;
    loop_.cancel(found->second.timeout);
    const auto last_step = done;  // `done` may destroy the session, and this closure with it
    calls_.erase(found);
    last_step(std::move(result));
  };
  Call& call = calls_[id];
  call.fail = [finish](Error error) { finish(std::unexpected(std::move(error))); };
  call.timeout = loop_.call_after(
      request_timeout_, guarded([finish] {
        finish(fail(ErrorCode::unavailable, "the registry in memory gave no answer in time"));
      }));
  to_registry([this, alive = std::weak_ptr<bool>(alive_), serve = std::move(serve),
               finish = std::move(finish)] {
    Result<T> result = serve();
    if (alive.expired()) return;
    from_registry([finish, result = std::move(result)] { finish(result); });
  });
}

void MemoryStore::break_calls() {
  std::vector<std::uint64_t> under_way;
  under_way.reserve(calls_.size());
  for (const auto& [id, call] : calls_) under_way.push_back(id);
  for (const std::uint64_t id : under_way) {
    loop_.post(guarded([this, id] {
      const auto found = calls_.find(id);
      if (found == calls_.end()) return;
      const auto fail_with = found->second.fail;
      fail_with({ErrorCode::unavailable, "the connection to the registry in memory was reset"});
    }));
  }
}

void MemoryStore::read(KeyRange range, Revision at, Callback<ReadResult> done) {
  call<ReadResult>(
      [&registry = registry_, range = std::move(range), at]() -> Result<ReadResult> {
        if (Status valid = validate(range); !valid) return std::unexpected(valid.error());
        return registry.read(range, at);
      },
      std::move(done));
}

void MemoryStore::commit(Transaction transaction, Callback<TransactionResult> done) {
  call<TransactionResult>(
      [&registry = registry_, transaction = std::move(transaction)]() -> Result<TransactionResult> {
        if (Status valid = validate(transaction); !valid) return std::unexpected(valid.error());
        return registry.commit(transaction);
      },
      std::move(done));
}

void MemoryStore::grant_lease(std::chrono::seconds ttl, Callback<LeaseId> done) {
  call<LeaseId>(
      [&registry = registry_, ttl]() -> Result<LeaseId> { return registry.grant_lease(ttl); },
      std::move(done));
}

void MemoryStore::remaining_time(LeaseId id, Callback<std::chrono::seconds> done) {
  call<std::chrono::seconds>(
      [&registry = registry_, id]() -> Result<std::chrono::seconds> {
        return std::chrono::floor<std::chrono::seconds>(registry.remaining_time(id));
      },
      std::move(done));
}

void MemoryStore::revoke_lease(LeaseId id, std::function<void(Status)> done) {
  forget_lease(id);
  call<void>(
      [&registry = registry_, id]() -> Status {
        registry.revoke_lease(id);
        return {};
      },
      std::move(done));
}

void MemoryStore::set_link(const MemoryLink& link) {
  *link_ = link;
  if (!passes_back()) {
    disarm_watches();
    return;
  }
  std::vector<WatchId> waiting;
  for (const auto& [id, watch] : watches_) {
    if (!watch.armed) waiting.push_back(id);
  }
  for (const WatchId id : waiting) to_registry(guarded([this, id] { arm(id); }));
  for (auto& [id, keeping] : leases_) {
    loop_.cancel(keeping.timer);
    keeping.timer = loop_.call_after(Duration::zero(), [this, id] { renew(id); });
  }
}

// --- Watches.

WatchId MemoryStore::watch(KeyRange range, Revision from, WatchCallbacks callbacks) {
  const WatchId id = ++last_watch_;
  Status valid = validate(range);
  if (valid && from <= 0) valid = fail(ErrorCode::invalid, "a watch begins at revision 1 or later");
  Watch& watch = watches_[id];
  watch.range = std::move(range);
  watch.next = from;
  watch.callbacks = std::make_shared<const WatchCallbacks>(std::move(callbacks));
  if (valid) {
    to_registry(guarded([this, id] { arm(id); }));
  } else {
    loop_.post(guarded([this, id, error = valid.error()] { end_watch(id, error); }));
  }
  return id;
}

void MemoryStore::cancel_watch(WatchId id) {
  watches_.erase(id);
}

// Sends what has happened since, and has what happens from now on sent by on_change.
void MemoryStore::arm(WatchId id) {
  const auto found = watches_.find(id);
  if (found == watches_.end() || found->second.armed || !passes_back()) return;
  Result<std::vector<WatchBatch>> missed =
      registry_.history(found->second.range, found->second.next);
  if (!missed) {
    from_registry([this, id, error = missed.error()] { end_watch(id, error); });
    return;
  }
  found->second.armed = true;
  for (WatchBatch& batch : *missed) send_batch(id, std::move(batch));
}

void MemoryStore::on_change(const WatchBatch& change) {
  for (const auto& [id, watch] : watches_) {
    if (!watch.armed || change.revision < watch.next) continue;
    WatchBatch batch{.revision = change.revision, .events = {}};
    std::ranges::copy_if(
        change.events, std::back_inserter(batch.events),
        [&](const WatchEvent& event) { return contains(watch.range, event.value.key); });
    if (!batch.events.empty()) send_batch(id, std::move(batch));
  }
}

// Deliveries take the batch at the front, so that batches keep their order whatever the delays.
void MemoryStore::send_batch(WatchId id, WatchBatch batch) {
  Watch& watch = watches_.at(id);
  watch.on_its_way.push_back(std::move(batch));
  on_client(link_->delay + link_->watch_delay,
            [this, id, epoch = watch.epoch] { deliver(id, epoch); });
}

void MemoryStore::deliver(WatchId id, std::uint64_t epoch) {
  const auto found = watches_.find(id);
  if (found == watches_.end() || found->second.epoch != epoch) return;
  Watch& watch = found->second;
  const WatchBatch batch = std::move(watch.on_its_way.front());
  watch.on_its_way.pop_front();
  watch.next = batch.revision + 1;
  const auto callbacks = watch.callbacks;  // on_batch may cancel the watch
  if (callbacks->on_batch) callbacks->on_batch(batch);
}

void MemoryStore::end_watch(WatchId id, const Error& error) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  const auto callbacks = found->second.callbacks;
  watches_.erase(found);
  if (callbacks->on_end) callbacks->on_end(error);
}

void MemoryStore::end_watches(const Error& error) {
  std::vector<WatchId> all;
  all.reserve(watches_.size());
  for (const auto& [id, watch] : watches_) all.push_back(id);
  for (const WatchId id : all) {
    loop_.post(guarded([this, id, error] { end_watch(id, error); }));
  }
}

void MemoryStore::disarm_watches() {
  for (auto& [id, watch] : watches_) {
    watch.armed = false;
    ++watch.epoch;
    watch.on_its_way.clear();
  }
}

// --- Leases.

void MemoryStore::keep_lease(LeaseId id, std::chrono::seconds ttl, LeaseCallbacks callbacks) {
  forget_lease(id);
  Keeping& keeping = leases_[id];
  keeping.period = Duration(std::max(ttl, std::chrono::seconds(1))) / 3;
  keeping.callbacks = std::make_shared<const LeaseCallbacks>(std::move(callbacks));
  keeping.timer = loop_.call_after(Duration::zero(), [this, id] { renew(id); });
}

void MemoryStore::forget_lease(LeaseId id) {
  const auto found = leases_.find(id);
  if (found == leases_.end()) return;
  loop_.cancel(found->second.timer);
  leases_.erase(found);
}

// Without a delay the renewal happens within the timer, not a post later: after the loop was busy
// for longer than the lease lives, this timer runs before the one with which the lease runs out.
void MemoryStore::renew(LeaseId id) {
  Keeping& keeping = leases_.at(id);
  keeping.timer = loop_.call_after(keeping.period, [this, id] { renew(id); });
  Action arrive = guarded([this, id] {
    const bool exists = registry_.renew_lease(id);
    from_registry([this, id, exists] { on_renewal(id, exists); });
  });
  if (!link_->connected) return;
  if (link_->delay == Duration::zero()) {
    arrive();
  } else {
    to_registry(std::move(arrive));
  }
}

void MemoryStore::on_renewal(LeaseId id, bool exists) {
  const auto found = leases_.find(id);
  if (found == leases_.end()) return;
  const auto callbacks = found->second.callbacks;  // they may forget the lease
  if (exists) {
    if (callbacks->on_renewed) callbacks->on_renewed();
    return;
  }
  forget_lease(id);
  if (callbacks->on_lost) {
    callbacks->on_lost({ErrorCode::not_found, fmt::format("the lease {} does not exist", id)});
  }
}

}  // namespace fleet
