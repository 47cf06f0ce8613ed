#include "store/etcd/watch_stream.h"

#include <utility>

#include "base/limits.h"
#include "store/etcd/handover.h"

namespace fleet::etcd {

WatchStream::WatchStream(Endpoint& endpoint, const Credentials& credentials,
                         std::shared_ptr<CallGroup> group, etcdserverpb::WatchRequest request,
                         Callbacks callbacks)
    : endpoint_(endpoint),
      group_(std::move(group)),
      call_(group_->begin()),
      token_(credentials.sign(*call_.context)),
      request_(std::move(request)),
      callbacks_(std::move(callbacks)) {
  // A member that is cut off from its leader must end the stream instead of falling silent.
  call_.context->AddMetadata("hasleader", "true");
}

void WatchStream::start() {
  self_ = shared_from_this();
  endpoint_.watch->async()->Watch(call_.context, this);
  response_ = std::make_shared<etcdserverpb::WatchResponse>();
  etcdserverpb::WatchResponse* const response = response_.get();
  hand_to_grpc();
  StartWrite(&request_);
  StartRead(response);
  StartCall();
}

void WatchStream::OnReadDone(bool ok) {
  take_from_grpc();
  if (!ok) return;  // OnDone says why
  Message message{.response = std::move(response_), .bytes = 0};
  message.bytes = message.response->ByteSizeLong();
  backlog_ += message.bytes;
  if (backlog_ > limits::kWatchBacklogBytes) {
    call_.context->TryCancel();
    return;
  }
  callbacks_.received(std::move(message));
  response_ = std::make_shared<etcdserverpb::WatchResponse>();
  etcdserverpb::WatchResponse* const response = response_.get();
  hand_to_grpc();
  StartRead(response);
}

void WatchStream::OnDone(const grpc::Status& status) {
  take_from_grpc();
  // After end() the owner may be gone, and after the release of `self` this object.
  const std::shared_ptr<WatchStream> self = std::move(self_);
  const std::shared_ptr<CallGroup> group = group_;
  const Callbacks callbacks = std::move(callbacks_);
  callbacks.ended(status);
  group->end(call_.id);
}

}  // namespace fleet::etcd
