// Event loops on a virtual clock, for tests: deterministic, single-threaded, and time passes only
// when the test says so.
//
// VirtualLoop is the world's. A LocalLoop is that of one process, or one machine, in that world: it
// can be held, as by SIGSTOP or by a suspended machine, and its clock can differ from the world's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "base/event_loop.h"

namespace fleet {

class LocalLoop;

class VirtualLoop final : public EventLoop {
 public:
  Time now() const override { return now_; }
  void post(Callback callback) override { post_for(nullptr, std::move(callback)); }
  TimerId call_at(Time when, Callback callback) override {
    return call_at_for(nullptr, when, std::move(callback));
  }
  inline void cancel(TimerId id) override;

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

  // Runs the next callback, if there is one that is due by `until`. What was posted comes before
  // any timer; timers of one instant run in the order in which they were set.
  inline bool run_one(Time until);

  bool idle() const { return posted_.empty() && timers_ == 0; }
  std::size_t timers() const { return timers_; }

 private:
  friend class LocalLoop;

  struct Posted {
    LocalLoop* owner;  // null: the world's
    Callback callback;
  };
  struct Slot {
    std::uint64_t number = 0;  // of the timer that has it; 0: none
    LocalLoop* owner = nullptr;
    Callback callback;
  };
  // What orders the timers. Of a timer that has been cancelled it stays until its time.
  struct Due {
    Time when;
    std::uint64_t number;
    std::uint32_t slot;
    bool operator>(const Due& other) const {
      return when != other.when ? when > other.when : number > other.number;
    }
  };
  static constexpr int kSlotBits = 24;

  void post_for(LocalLoop* owner, Callback callback) {
    posted_.push_back({owner, std::move(callback)});
  }
  inline TimerId call_at_for(LocalLoop* owner, Time when, Callback callback);
  void push(Due due) {
    queue_.push_back(due);
    std::push_heap(queue_.begin(), queue_.end(), std::greater<>());
  }
  Due pop() {
    std::pop_heap(queue_.begin(), queue_.end(), std::greater<>());
    const Due due = queue_.back();
    queue_.pop_back();
    return due;
  }
  // Moves the timers of a loop by `by`.
  inline void move_timers(const LocalLoop* owner, Duration by);

  Time now_{};
  std::deque<Posted> posted_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::vector<Due> queue_;  // a heap, the next one first
  std::uint64_t last_number_ = 0;
  std::size_t timers_ = 0;
};

class LocalLoop final : public EventLoop {
 public:
  // `world` must outlive this.
  explicit LocalLoop(VirtualLoop& world) : world_(world) {}

  Time now() const override { return (clock_stopped_ ? stopped_at_ : world_.now()) + ahead_; }
  void post(Callback callback) override { world_.post_for(this, std::move(callback)); }
  TimerId call_at(Time when, Callback callback) override {
    return world_.call_at_for(this, when - ahead_, std::move(callback));
  }
  void cancel(TimerId id) override { world_.cancel(id); }

  // From now on nothing of this loop runs; with `clock_stops` its time does not pass either.
  void hold(bool clock_stops) {
    if (held_) return;
    held_ = true;
    clock_stopped_ = clock_stops;
    stopped_at_ = world_.now();
  }
  bool is_held() const { return held_; }
  // What has become due meanwhile runs now, in the order in which it would have run.
  void go_on() {
    if (!held_) return;
    held_ = false;
    for (VirtualLoop::Posted& posted : std::exchange(held_posts_, {})) {
      world_.posted_.push_back(std::move(posted));
    }
    for (const VirtualLoop::Due& due : std::exchange(held_timers_, {})) world_.push(due);
    if (!std::exchange(clock_stopped_, false)) return;
    const Duration stood = world_.now() - stopped_at_;
    ahead_ -= stood;
    world_.move_timers(this, stood);
  }
  // The clock jumps ahead: timers become due as much earlier.
  void jump(Duration ahead) {
    ahead_ += ahead;
    world_.move_timers(this, -ahead);
  }

 private:
  friend class VirtualLoop;

  VirtualLoop& world_;
  Duration ahead_{};  // of the world's clock
  bool held_ = false;
  bool clock_stopped_ = false;
  Time stopped_at_;  // by the world's clock
  std::vector<VirtualLoop::Posted> held_posts_;
  std::vector<VirtualLoop::Due> held_timers_;
};

EventLoop::TimerId VirtualLoop::call_at_for(LocalLoop* owner, Time when, Callback callback) {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  const std::uint64_t number = ++last_number_;
  slots_[slot].number = number;
  slots_[slot].owner = owner;
  slots_[slot].callback = std::move(callback);
  // Of a clock that stands still the timers are moved on when it goes on.
  push({owner != nullptr && owner->clock_stopped_ ? when : std::max(when, now_), number, slot});
  ++timers_;
  return number << kSlotBits | slot;
}

void VirtualLoop::cancel(TimerId id) {
  const std::size_t at = id & ((1ULL << kSlotBits) - 1);
  if (id == 0 || at >= slots_.size() || slots_[at].number != id >> kSlotBits) return;
  slots_[at].number = 0;
  slots_[at].callback = nullptr;
  free_slots_.push_back(static_cast<std::uint32_t>(at));
  --timers_;
}

bool VirtualLoop::run_one(Time until) {
  while (!posted_.empty()) {
    Posted next = std::move(posted_.front());
    posted_.pop_front();
    if (next.owner != nullptr && next.owner->held_) {
      next.owner->held_posts_.push_back(std::move(next));
      continue;
    }
    next.callback();
    return true;
  }
  while (!queue_.empty() && queue_.front().when <= until) {
    const Due due = pop();
    Slot& slot = slots_[due.slot];
    if (slot.number != due.number) continue;  // it was cancelled
    if (slot.owner != nullptr && slot.owner->held_) {
      slot.owner->held_timers_.push_back(due);
      continue;
    }
    const Callback callback = std::move(slot.callback);
    slot.number = 0;
    slot.callback = nullptr;
    free_slots_.push_back(due.slot);
    --timers_;
    now_ = std::max(now_, due.when);
    callback();
    return true;
  }
  return false;
}

void VirtualLoop::move_timers(const LocalLoop* owner, Duration by) {
  for (Due& due : queue_) {
    const Slot& slot = slots_[due.slot];
    if (slot.number == due.number && slot.owner == owner) due.when = std::max(due.when + by, now_);
  }
  std::make_heap(queue_.begin(), queue_.end(), std::greater<>());
}

}  // namespace fleet
