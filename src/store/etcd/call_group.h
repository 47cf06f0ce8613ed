// The gRPC calls of one owner: it can end them all and know that no thread of gRPC is in its code
// any more.
//
// The group also owns the calls' contexts, for a reason: a context holds its channel, and the last
// reference to a process's last channel must not be dropped on one of gRPC's callback threads.
// There gRPC 1.51 would wait for that very thread to end, fail, and go on with freed memory. So
// contexts are only freed by the owner.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <grpc/support/time.h>
#include <grpcpp/client_context.h>

namespace fleet::etcd {

using CallId = std::uint64_t;

// The call ends after `time` at the latest. Not at a time of day: that clock can be set meanwhile.
inline void limit_time(grpc::ClientContext& context, std::chrono::nanoseconds time) {
  context.set_deadline(
      gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(time.count(), GPR_TIMESPAN)));
}

class CallGroup {
 public:
  struct Begun {
    CallId id = 0;
    grpc::ClientContext* context = nullptr;  // until end() has been called
  };

  // For the owner, one thread at a time.

  Begun begin() {
    std::vector<std::unique_ptr<grpc::ClientContext>> ended;  // freed outside of the lock
    const std::lock_guard lock(mutex_);
    ended = std::exchange(ended_, {});
    const CallId id = ++last_;
    auto& context = calls_[id] = std::make_unique<grpc::ClientContext>();
    return {.id = id, .context = context.get()};
  }

  // Calls that have ended are ignored.
  void cancel(CallId id) {
    grpc::ClientContext* context = nullptr;
    {
      const std::lock_guard lock(mutex_);
      const auto found = calls_.find(id);
      if (found == calls_.end()) return;
      context = found->second.get();  // not freed before the owner's next call
    }
    context->TryCancel();
  }

  // Cancels all calls and waits until they have ended.
  void close() {
    std::vector<grpc::ClientContext*> open;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [id, context] : calls_) open.push_back(context.get());
    }
    for (grpc::ClientContext* context : open) context->TryCancel();
    std::unique_lock lock(mutex_);
    all_ended_.wait(lock, [this] { return calls_.empty(); });
    ended_.clear();
  }

  // For gRPC's threads: the last thing that a call's completion does, as far as the owner is
  // concerned. The caller keeps the group alive.
  void end(CallId id) {
    const std::lock_guard lock(mutex_);
    const auto found = calls_.find(id);
    ended_.push_back(std::move(found->second));
    calls_.erase(found);
    if (calls_.empty()) all_ended_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_ended_;
  std::map<CallId, std::unique_ptr<grpc::ClientContext>> calls_;
  std::vector<std::unique_ptr<grpc::ClientContext>> ended_;
  CallId last_ = 0;
};

}  // namespace fleet::etcd
