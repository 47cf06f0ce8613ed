// A small FdLoop over poll(2), for tests that drive a real adapter from one thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include <poll.h>

#include "base/event_loop.h"

namespace fleet {

// Unlike other loops, post() is for the loop's own thread too: the adapters under test have none.
class PollLoop final : public FdLoop {
 public:
  Time now() const override { return Time(std::chrono::steady_clock::now().time_since_epoch()); }

  void post(Callback callback) override { posted_.push_back(std::move(callback)); }

  TimerId call_at(Time when, Callback callback) override {
    const TimerId id = next_id_++;
    timers_.emplace(std::pair(when, id), std::move(callback));
    return id;
  }

  void cancel(TimerId id) override {
    std::erase_if(timers_, [id](const auto& timer) { return timer.first.second == id; });
  }

  FdWatchId watch_fd(int fd, short events, std::function<void(short)> ready) override {
    const FdWatchId id = next_id_++;
    watches_.emplace(id, Watch{fd, events, std::move(ready)});
    return id;
  }

  void change_fd_events(FdWatchId id, short events) override {
    if (const auto found = watches_.find(id); found != watches_.end()) {
      found->second.events = events;
    }
  }

  void unwatch_fd(FdWatchId id) override { watches_.erase(id); }

  // Returns whether the condition came true within `limit`.
  bool run_until(const std::function<bool()>& condition, Duration limit) {
    const Time deadline = now() + limit;
    while (!condition()) {
      const Time time = now();
      if (time >= deadline) return false;
      turn(deadline - time);
    }
    return true;
  }

  void run_for(Duration time) {
    run_until([] { return false; }, time);
  }

 private:
  struct Watch {
    int fd;
    short events;
    std::function<void(short)> ready;
  };

  void turn(Duration longest) {
    wait(posted_.empty() ? longest : Duration::zero());
    while (!timers_.empty() && timers_.begin()->first.first <= now()) {
      const auto timer = timers_.extract(timers_.begin());
      timer.mapped()();
    }
    auto posted = std::exchange(posted_, {});
    for (Callback& callback : posted) callback();
  }

  void wait(Duration longest) {
    if (!timers_.empty()) longest = std::min(longest, timers_.begin()->first.first - now());
    longest = std::max(longest, Duration::zero());
    std::vector<pollfd> fds;
    std::vector<FdWatchId> ids;
    for (const auto& [id, watch] : watches_) {
      // A watch for nothing is left out: poll would report its errors for ever.
      if (watch.events == 0) continue;
      fds.push_back({watch.fd, watch.events, 0});
      ids.push_back(id);
    }
    const auto rounded_up = std::chrono::ceil<std::chrono::milliseconds>(longest).count();
    if (poll(fds.data(), fds.size(), static_cast<int>(rounded_up)) <= 0) return;
    for (std::size_t i = 0; i < fds.size(); ++i) {
      if (fds[i].revents == 0) continue;
      const auto found = watches_.find(ids[i]);
      if (found == watches_.end()) continue;  // an earlier callback of this turn ended it
      const auto ready = found->second.ready;
      ready(fds[i].revents);
    }
  }

  TimerId next_id_ = 1;
  std::deque<Callback> posted_;
  std::map<std::pair<Time, TimerId>, Callback> timers_;
  std::map<FdWatchId, Watch> watches_;
};

}  // namespace fleet
