// An event loop on a virtual clock, for tests: deterministic, single-threaded, and time passes only
// when the test says so.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <utility>

#include "base/event_loop.h"

namespace fleet {

class VirtualLoop final : public EventLoop {
 public:
  Time now() const override { return now_; }

  void post(Callback callback) override { posted_.push_back(std::move(callback)); }

  TimerId call_at(Time when, Callback callback) override {
    const TimerId id = ++last_timer_;
    const Key key{when < now_ ? now_ : when, id};
    timers_.emplace(key, std::move(callback));
    keys_.emplace(id, key);
    return id;
  }

  void cancel(TimerId id) override {
    const auto found = keys_.find(id);
    if (found == keys_.end()) return;
    timers_.erase(found->second);
    keys_.erase(found);
  }

  // Runs what is due now, and what that brings about, without letting time pass.
  void run_ready() {
    while (run_one(now_)) {
    }
  }

  // Runs everything that is due up to and including `until`; then it is `until`.
  void run_until(Time until) {
    while (run_one(until)) {
    }
    if (now_ < until) now_ = until;
  }
  void run_for(Duration duration) { run_until(now_ + duration); }

  // Runs until nothing is left to do, letting as much time pass as the timers want. Something that
  // sets itself up again and again never becomes idle: `limit` ends that.
  void run_until_idle(Duration limit = std::chrono::hours(24)) {
    const Time end = now_ + limit;
    while (run_one(end)) {
    }
  }

  // Runs until `done()` holds. Returns whether it does, at the latest after `limit`.
  template <class Predicate>
  bool run_until_true(Predicate done, Duration limit) {
    const Time end = now_ + limit;
    while (!done()) {
      if (!run_one(end)) return false;
    }
    return true;
  }

  bool idle() const { return posted_.empty() && timers_.empty(); }
  std::size_t timers() const { return timers_.size(); }

 private:
  // Timers of one instant run in the order in which they were set.
  using Key = std::pair<Time, TimerId>;

  // Runs the next callback, if there is one that is due by `until`. What was posted comes before
  // any timer.
  bool run_one(Time until) {
    if (!posted_.empty()) {
      const Callback callback = std::move(posted_.front());
      posted_.pop_front();
      callback();
      return true;
    }
    if (timers_.empty() || timers_.begin()->first.first > until) return false;
    auto node = timers_.extract(timers_.begin());
    keys_.erase(node.key().second);
    now_ = node.key().first;
    node.mapped()();
    return true;
  }

  Time now_{};
  std::deque<Callback> posted_;
  std::map<Key, Callback> timers_;
  std::map<TimerId, Key> keys_;
  TimerId last_timer_ = 0;
};

}  // namespace fleet
