#include "node/feed.h"

#include <algorithm>
#include <utility>

namespace fleet {

Duration backoff(int failures) {
  return std::chrono::milliseconds(500) * (1 << std::clamp(failures - 1, 0, 4));
}

Feed::Feed(EventLoop& loop, Store& store, KeyRange range, FeedCallbacks callbacks)
    : loop_(loop), store_(store), range_(std::move(range)), callbacks_(std::move(callbacks)) {}

Feed::~Feed() {
  stop();
}

void Feed::start() {
  if (running_) return;
  running_ = true;
  failures_ = 0;
  generation_ = std::make_shared<int>(0);
  read();
}

void Feed::stop() {
  running_ = false;
  generation_.reset();
  if (watch_ != 0) store_.cancel_watch(std::exchange(watch_, 0));
  loop_.cancel(std::exchange(timer_, 0));
}

void Feed::read() {
  store_.read(range_, 0, [this, alive = std::weak_ptr(generation_)](Result<ReadResult> result) {
    if (alive.expired()) return;
    if (!result) {
      ++failures_;
      callbacks_.on_error(result.error());
      // The callback may have stopped the feed.
      if (!alive.expired()) retry();
      return;
    }
    failures_ = 0;
    // The watch is set before anyone acts on what was read: what they write comes after it.
    follow(result->revision + 1);
    callbacks_.on_read(*result);
  });
}

void Feed::follow(Revision from) {
  WatchCallbacks watch;
  watch.on_batch = [this](const WatchBatch& batch) { callbacks_.on_batch(batch); };
  watch.on_end = [this](const Error& error) {
    watch_ = 0;
    if (error.code == ErrorCode::compacted) return read();
    ++failures_;
    const std::weak_ptr alive = generation_;
    callbacks_.on_error(error);
    if (!alive.expired()) retry();
  };
  watch_ = store_.watch(range_, from, std::move(watch));
}

void Feed::retry() {
  timer_ = loop_.call_after(backoff(failures_), [this] {
    timer_ = 0;
    read();
  });
}

}  // namespace fleet
