// The members of an etcd cluster as gRPC channels, and which of them is in use.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include "base/error.h"
#include "store/etcd/etcd.grpc.pb.h"
#include "store/etcd/etcd_store.h"

namespace fleet::etcd {

// One member. A channel each, because gRPC checks a server's name against the channel's only one.
struct Endpoint {
  std::string url;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<etcdserverpb::KV::Stub> kv;
  std::unique_ptr<etcdserverpb::Watch::Stub> watch;
  std::unique_ptr<etcdserverpb::Lease::Stub> lease;
  std::unique_ptr<etcdserverpb::Auth::Stub> auth;

  // Whether a call that is begun now goes out on a connection that stands.
  bool connected() const { return channel->GetState(false) == GRPC_CHANNEL_READY; }
};

// Not thread-safe, but for what gRPC makes so.
class Endpoints {
 public:
  // Fails with `invalid`. No connection is shared with another Endpoints.
  static Result<Endpoints> make(const EtcdOptions& options);

  std::size_t size() const { return all_.size(); }
  std::size_t current() const { return current_; }
  Endpoint& operator[](std::size_t index) { return *all_[index]; }

  // Moves on to the next endpoint, unless `index` is no longer the one in use.
  void failed(std::size_t index) {
    if (index == current_) current_ = (current_ + 1) % all_.size();
  }

 private:
  std::vector<std::unique_ptr<Endpoint>> all_;
  std::size_t current_ = 0;
};

}  // namespace fleet::etcd
