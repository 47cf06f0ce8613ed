// The gRPC calls of one owner, so that it can end them all and know that no thread of gRPC is in
// its code any more.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <grpcpp/client_context.h>

namespace fleet::etcd {

// Thread-safe.
class CallGroup {
 public:
  // Call before the call is begun.
  void add(std::shared_ptr<grpc::ClientContext> context) {
    const std::lock_guard lock(mutex_);
    if (closed_) context->TryCancel();  // it has not begun: gRPC only makes a note
    grpc::ClientContext* const key = context.get();
    calls_.emplace(key, std::move(context));
  }

  // The last thing that a call's completion does, as far as the owner is concerned.
  void remove(grpc::ClientContext* context) {
    // Freed outside of the lock: gRPC may have much to tidy up.
    std::shared_ptr<grpc::ClientContext> last;
    const std::lock_guard lock(mutex_);
    const auto found = calls_.find(context);
    last = std::move(found->second);
    calls_.erase(found);
    if (calls_.empty()) empty_.notify_all();
  }

  // Cancels what there is, and what is yet to be added, and waits until all has ended.
  void close() {
    std::vector<std::shared_ptr<grpc::ClientContext>> open;
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      for (const auto& [key, context] : calls_) open.push_back(context);
    }
    // Not under the lock, which a completion takes.
    for (const auto& context : open) context->TryCancel();
    std::unique_lock lock(mutex_);
    empty_.wait(lock, [this] { return calls_.empty(); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable empty_;
  std::map<grpc::ClientContext*, std::shared_ptr<grpc::ClientContext>> calls_;
  bool closed_ = false;
};

}  // namespace fleet::etcd
