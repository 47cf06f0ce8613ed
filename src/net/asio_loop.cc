#include "net/asio_loop.h"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <poll.h>

namespace fleet {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// One watched descriptor. Asio tells only that something may have happened; poll(2) then says what
// is true now, which makes the watch level-triggered whatever Asio does underneath.
class FdWatch : public std::enable_shared_from_this<FdWatch> {
 public:
  FdWatch(asio::io_context& context, int fd, short events, std::function<void(short)> ready)
      : descriptor_(context), fd_(fd), events_(events), ready_(std::move(ready)) {}
  // The descriptor is the caller's: it must never be closed from here.
  ~FdWatch() { release(); }
  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;

  bool open() {
    error_code error;
    descriptor_.assign(fd_, error);
    return !error;
  }

  void arm() {
    if (!descriptor_.is_open()) return;
    if ((events_ & (POLLIN | POLLPRI)) != 0 && !waiting_in_) {
      waiting_in_ = true;
      descriptor_.async_wait(asio::posix::descriptor_base::wait_read,
                             [self = shared_from_this()](error_code) {
                               self->waiting_in_ = false;
                               self->check();
                             });
    }
    if ((events_ & POLLOUT) != 0 && !waiting_out_) {
      waiting_out_ = true;
      descriptor_.async_wait(asio::posix::descriptor_base::wait_write,
                             [self = shared_from_this()](error_code) {
                               self->waiting_out_ = false;
                               self->check();
                             });
    }
  }

  void change(short events) {
    events_ = events;
    arm();
  }

  void end() {
    release();
    // The callback may be running just now, and then it must not be destroyed under its feet.
    if (!in_callback_) ready_ = nullptr;
  }

 private:
  void release() {
    if (descriptor_.is_open()) descriptor_.release();
  }

  void check() {
    if (!descriptor_.is_open()) return;
    if (events_ != 0) {
      pollfd state{fd_, events_, 0};
      if (::poll(&state, 1, 0) > 0 && state.revents != 0) {
        in_callback_ = true;
        ready_(state.revents);
        in_callback_ = false;
        if (!descriptor_.is_open()) {
          ready_ = nullptr;
          return;
        }
      }
    }
    arm();
  }

  asio::posix::stream_descriptor descriptor_;
  const int fd_;
  short events_;
  std::function<void(short)> ready_;
  bool waiting_in_ = false;
  bool waiting_out_ = false;
  bool in_callback_ = false;
};

std::chrono::steady_clock::time_point to_steady(Time when) {
  return std::chrono::steady_clock::time_point(
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(when.time_since_epoch()));
}

}  // namespace

struct AsioLoop::Impl {
  Impl() : context(1), work(context.get_executor()), alarm(context) {}

  ~Impl() {
    // What callbacks captured may, while it is destroyed, still call the loop (to cancel a timer,
    // to end a watch). So everything is taken out first and destroyed while the loop is whole.
    closing = true;
    alarm_at.reset();
    auto old_timers = std::exchange(timers, {});
    timer_times.clear();
    auto old_watches = std::exchange(watches, {});
    for (auto& [id, watch] : old_watches) watch->end();
  }

  // All timers share one Asio timer, set for the first of them: equal times then run in the order
  // in which they were asked for, and a timer costs one map node.
  void set_alarm() {
    if (timers.empty()) {
      if (alarm_at) alarm.cancel();
      alarm_at.reset();
      return;
    }
    const Time first = timers.begin()->first.first;
    if (alarm_at == first) return;
    alarm_at = first;
    alarm.expires_at(to_steady(first));
    alarm.async_wait([this](error_code error) {
      if (error) return;
      alarm_at.reset();
      run_due_timers();
    });
  }

  void run_due_timers() {
    // Only what is due by now: timers that callbacks add in the past run in the next turn, so that
    // other events get theirs.
    const Time due(std::chrono::steady_clock::now().time_since_epoch());
    const TimerId newest = next_timer - 1;
    while (!timers.empty()) {
      auto first = timers.begin();
      if (first->first.first > due || first->first.second > newest) break;
      Callback callback = std::move(first->second);
      timer_times.erase(first->first.second);
      timers.erase(first);
      callback();
    }
    set_alarm();
  }

  struct SignalWatch {
    SignalWatch(asio::io_context& io, int number, std::function<void()> call)
        : set(io, number), on_signal(std::move(call)) {}
    void wait() {
      set.async_wait([this](error_code error, int) {
        if (error) return;
        on_signal();
        wait();
      });
    }
    asio::signal_set set;
    std::function<void()> on_signal;
  };

  // Destroyed last to first: the context, with the callbacks posted to it, goes before the tables
  // that their captures may still look into.
  bool closing = false;
  TimerId next_timer = 1;
  FdWatchId next_watch = 1;
  std::map<std::pair<Time, TimerId>, Callback> timers;
  std::unordered_map<TimerId, Time> timer_times;
  std::unordered_map<FdWatchId, std::shared_ptr<FdWatch>> watches;
  asio::io_context context;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  asio::steady_timer alarm;
  std::optional<Time> alarm_at;
  std::vector<std::unique_ptr<SignalWatch>> signals;
};

AsioLoop::AsioLoop() : impl_(std::make_unique<Impl>()) {}
AsioLoop::~AsioLoop() = default;

Time AsioLoop::now() const {
  return Time(std::chrono::steady_clock::now().time_since_epoch());
}

void AsioLoop::post(Callback callback) {
  if (impl_->closing) return;
  asio::post(impl_->context, std::move(callback));
}

EventLoop::TimerId AsioLoop::call_at(Time when, Callback callback) {
  if (impl_->closing) return 0;
  const TimerId id = impl_->next_timer++;
  impl_->timers.emplace(std::pair(when, id), std::move(callback));
  impl_->timer_times.emplace(id, when);
  impl_->set_alarm();
  return id;
}

void AsioLoop::cancel(TimerId id) {
  const auto found = impl_->timer_times.find(id);
  if (found == impl_->timer_times.end()) return;
  // Taken out before it is destroyed: what it captured may call the loop again.
  auto node = impl_->timers.extract(std::pair(found->second, id));
  impl_->timer_times.erase(found);
  impl_->set_alarm();
}

FdLoop::FdWatchId AsioLoop::watch_fd(int fd, short events, std::function<void(short)> ready) {
  if (impl_->closing) return 0;
  auto watch = std::make_shared<FdWatch>(impl_->context, fd, events, std::move(ready));
  if (!watch->open()) return 0;
  const FdWatchId id = impl_->next_watch++;
  impl_->watches.emplace(id, watch);
  watch->arm();
  return id;
}

void AsioLoop::change_fd_events(FdWatchId id, short events) {
  const auto found = impl_->watches.find(id);
  if (found != impl_->watches.end()) found->second->change(events);
}

void AsioLoop::unwatch_fd(FdWatchId id) {
  const auto found = impl_->watches.find(id);
  if (found == impl_->watches.end()) return;
  const std::shared_ptr<FdWatch> watch = std::move(found->second);
  impl_->watches.erase(found);
  watch->end();
}

void AsioLoop::watch_signal(int signal_number, std::function<void()> on_signal) {
  auto& signals = impl_->signals;
  signals.push_back(
      std::make_unique<Impl::SignalWatch>(impl_->context, signal_number, std::move(on_signal)));
  signals.back()->wait();
}

void AsioLoop::run() {
  impl_->context.run();
  impl_->context.restart();
}

void AsioLoop::stop() {
  impl_->context.stop();
}

boost::asio::io_context& AsioLoop::context() {
  return impl_->context;
}

}  // namespace fleet
