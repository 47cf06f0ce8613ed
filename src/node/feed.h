// Feed: a range of the store, read whole at one revision and followed from there by a watch; read
// anew when the watch cannot go on (compaction). Failures are reported and retried with back-off.
#pragma once

#include <functional>
#include <memory>

#include "base/error.h"
#include "base/event_loop.h"
#include "store/store.h"

namespace fleet {

struct FeedCallbacks {
  std::function<void(const ReadResult&)> on_read;   // all of the range; replaces what was before
  std::function<void(const WatchBatch&)> on_batch;  // what came after
  std::function<void(const Error&)> on_error;       // the store could not be read; it is retried
};

class Feed {
 public:
  Feed(EventLoop& loop, Store& store, KeyRange range, FeedCallbacks callbacks);
  ~Feed();
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  void start();  // does nothing if it runs
  void stop();   // no callback runs after this until the next start()
  bool is_running() const { return running_; }

 private:
  void read();
  void follow(Revision from);
  void retry();

  EventLoop& loop_;
  Store& store_;
  KeyRange range_;
  FeedCallbacks callbacks_;
  bool running_ = false;
  int failures_ = 0;
  WatchId watch_ = 0;
  EventLoop::TimerId timer_ = 0;
  std::shared_ptr<int> generation_;  // answers to an earlier start() find it gone
};

// How long to wait after `failures` failures in a row: 0.5 s, doubling up to 8 s.
Duration backoff(int failures);

}  // namespace fleet
