// An EventLoop for tests: the test's own thread runs it, until what the test waits for is true.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

#include "base/event_loop.h"

namespace fleet {

class TestLoop final : public EventLoop {
 public:
  Time now() const override {
    return Time(
        std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
  }

  void post(Callback callback) override {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(callback));
    wake_.notify_one();
  }

  TimerId call_at(Time when, Callback callback) override {
    const TimerId id = ++last_timer_;
    timers_.emplace(std::pair(when, id), std::move(callback));
    when_.emplace(id, when);
    return id;
  }

  void cancel(TimerId id) override {
    const auto found = when_.find(id);
    if (found == when_.end()) return;
    timers_.erase(std::pair(found->second, id));
    when_.erase(found);
  }

  // Runs callbacks until `done` holds. Returns whether it did before `limit` had passed.
  bool run_until(const std::function<bool()>& done, Duration limit = std::chrono::seconds(20)) {
    const Time deadline = now() + limit;
    while (!done()) {
      if (now() >= deadline) return false;
      run_one(deadline);
    }
    return true;
  }

  // Runs callbacks for a time in which something must not happen.
  void run_for(Duration time) {
    run_until([] { return false; }, time);
  }

 private:
  // Runs the next callback, due timers first, or waits until there may be one.
  void run_one(Time deadline) {
    if (Callback timer = take_due_timer()) {
      timer();
      return;
    }
    Time wake_at = deadline;
    if (!timers_.empty()) wake_at = std::min(wake_at, timers_.begin()->first.first);
    Callback callback;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_until(lock, std::chrono::steady_clock::time_point(wake_at.time_since_epoch()),
                       [&] { return !posted_.empty(); });
      if (posted_.empty()) return;
      callback = std::move(posted_.front());
      posted_.pop_front();
    }
    callback();
  }

  Callback take_due_timer() {
    if (timers_.empty() || timers_.begin()->first.first > now()) return {};
    const auto first = timers_.begin();
    Callback callback = std::move(first->second);
    when_.erase(first->first.second);
    timers_.erase(first);
    return callback;
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Callback> posted_;  // the only member that threads share
  std::map<std::pair<Time, TimerId>, Callback> timers_;
  std::map<TimerId, Time> when_;
  TimerId last_timer_ = 0;
};

}  // namespace fleet
