// The loop that drives a process: one thread runs every callback, one at a time.
//
// Implementations: net/asio_loop.h (real), and the virtual clock of the simulation. Adapters that
// own threads (gRPC) hand their results over with post().
#pragma once

#include <cstdint>
#include <functional>

#include "base/time.h"

namespace fleet {

class EventLoop {
 public:
  using Callback = std::function<void()>;
  using TimerId = std::uint64_t;  // 0 is never a timer

  virtual ~EventLoop() = default;

  // The current time; does not go backwards.
  virtual Time now() const = 0;

  // Runs `callback` on the loop's thread after the caller has returned, in the order of the calls.
  // The only member that other threads may call.
  virtual void post(Callback callback) = 0;

  // Runs `callback` once, not before `when`. A time in the past means "soon", never "now".
  virtual TimerId call_at(Time when, Callback callback) = 0;

  // Forgets a timer that has not run. Unknown, run and zero ids are ignored.
  virtual void cancel(TimerId id) = 0;

  TimerId call_after(Duration delay, Callback callback) {
    return call_at(now() + delay, std::move(callback));
  }
};

// A loop of a real process, which can also wait for file descriptors.
class FdLoop : public EventLoop {
 public:
  using FdWatchId = std::uint64_t;  // 0 is never a watch

  // Calls `ready` with the events that occurred (POLLIN, POLLOUT, POLLERR, POLLHUP of poll(2)) each
  // time that `fd` is ready for any of `events`, level-triggered, until unwatch_fd. The descriptor
  // stays the caller's and must stay open until then.
  virtual FdWatchId watch_fd(int fd, short events, std::function<void(short)> ready) = 0;

  // Changes what a watch waits for. `events` may be 0.
  virtual void change_fd_events(FdWatchId id, short events) = 0;

  // Ends a watch; its callback does not run after this. Unknown and zero ids are ignored.
  virtual void unwatch_fd(FdWatchId id) = 0;
};

}  // namespace fleet
