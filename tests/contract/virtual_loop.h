// An event loop on a clock of its own, for tests: time passes only when nothing else is left to do,
// and then at once.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <utility>

#include "base/event_loop.h"

namespace fleet {

class VirtualLoop final : public EventLoop {
 public:
  Time now() const override { return now_; }

  void post(Callback callback) override { posted_.push_back(std::move(callback)); }

  TimerId call_at(Time when, Callback callback) override {
    const TimerId id = next_id_++;
    timers_.emplace(std::pair(std::max(when, now_), id), std::move(callback));
    return id;
  }

  void cancel(TimerId id) override {
    std::erase_if(timers_, [id](const auto& timer) { return timer.first.second == id; });
  }

  // Runs the next callback, unless there is none up to `deadline`.
  bool run_one(Time deadline) {
    Callback callback;
    if (!posted_.empty()) {
      callback = std::move(posted_.front());
      posted_.pop_front();
    } else if (!timers_.empty() && timers_.begin()->first.first <= deadline) {
      auto timer = timers_.extract(timers_.begin());
      now_ = timer.key().first;
      callback = std::move(timer.mapped());
    } else {
      return false;
    }
    callback();
    return true;
  }

  // Returns whether the condition came true before `limit` of virtual time had passed.
  bool run_until(const std::function<bool()>& condition, Duration limit) {
    const Time deadline = now_ + limit;
    while (!condition()) {
      if (run_one(deadline)) continue;
      now_ = deadline;
      return condition();
    }
    return true;
  }

  void run_for(Duration time) {
    run_until([] { return false; }, time);
  }

 private:
  Time now_{};
  TimerId next_id_ = 1;
  std::deque<Callback> posted_;
  std::map<std::pair<Time, TimerId>, Callback> timers_;
};

}  // namespace fleet
