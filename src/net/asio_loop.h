// The event loop of a real process: Boost.Asio's io_context behind a plain header, because Asio is
// heavy to compile.
#pragma once

#include <functional>
#include <memory>

#include "base/event_loop.h"

namespace boost::asio {
class io_context;
}

namespace fleet {

class AsioLoop final : public FdLoop {
 public:
  AsioLoop();
  ~AsioLoop() override;
  AsioLoop(const AsioLoop&) = delete;
  AsioLoop& operator=(const AsioLoop&) = delete;

  Time now() const override;
  void post(Callback callback) override;
  TimerId call_at(Time when, Callback callback) override;
  void cancel(TimerId id) override;

  // Makes `fd` non-blocking. Returns 0 if it cannot be watched: not open, not pollable (a regular
  // file), or watched already.
  FdWatchId watch_fd(int fd, short events, std::function<void(short)> ready) override;
  void change_fd_events(FdWatchId id, short events) override;
  void unwatch_fd(FdWatchId id) override;

  // Calls `on_signal` for each delivery of `signal_number` to the process.
  void watch_signal(int signal_number, std::function<void()> on_signal);

  // Runs callbacks until stop().
  void run();

  // Makes run() return, or the next run() if there is none; may be called from any thread.
  void stop();

  // For adapters that are themselves built on Asio.
  boost::asio::io_context& context();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fleet
