// One watch at etcd on one stream: it says what comes, and that it ended. It never comes back.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include "store/etcd/call_group.h"
#include "store/etcd/credentials.h"
#include "store/etcd/endpoints.h"

namespace fleet::etcd {

class WatchStream final
    : public grpc::ClientBidiReactor<etcdserverpb::WatchRequest, etcdserverpb::WatchResponse>,
      public std::enable_shared_from_this<WatchStream> {
 public:
  struct Message {
    std::shared_ptr<etcdserverpb::WatchResponse> response;
    std::size_t bytes = 0;
  };
  // These run on gRPC's threads, one at a time; `ended` is the last.
  struct Callbacks {
    std::function<void(Message)> received;
    std::function<void(grpc::Status)> ended;
  };

  WatchStream(Endpoint& endpoint, const Credentials& credentials, std::shared_ptr<CallGroup> group,
              etcdserverpb::WatchRequest request, Callbacks callbacks);

  void start();
  void cancel() { group_->cancel(call_.id); }

  const std::string& url() const { return endpoint_.url; }
  const std::string& token() const { return token_; }
  // Received bytes have been used up. Past a bound on those that have not, the stream ends itself.
  void consumed(std::size_t bytes) { backlog_ -= bytes; }

 private:
  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  Endpoint& endpoint_;
  std::shared_ptr<CallGroup> group_;
  const CallGroup::Begun call_;
  std::string token_;
  etcdserverpb::WatchRequest request_;
  std::shared_ptr<etcdserverpb::WatchResponse> response_;  // that is being read
  Callbacks callbacks_;
  std::atomic<std::size_t> backlog_ = 0;  // bytes received and not yet consumed
  std::shared_ptr<WatchStream> self_;     // gRPC holds a bare pointer until OnDone
};

}  // namespace fleet::etcd
