// The user at etcd, and the token that etcd gave for the password.
#pragma once

#include <mutex>
#include <string>
#include <utility>

#include <grpcpp/client_context.h>

#include "store/etcd/etcd.pb.h"

namespace fleet::etcd {

// Thread-safe.
class Credentials {
 public:
  Credentials(std::string username, std::string password)
      : username_(std::move(username)), password_(std::move(password)) {}

  bool has_user() const { return !username_.empty(); }
  // Whether Authenticate must be called before anything else.
  bool needs_token() const {
    const std::lock_guard lock(mutex_);
    return has_user() && !auth_is_off_ && token_.empty();
  }
  etcdserverpb::AuthenticateRequest request() const {
    etcdserverpb::AuthenticateRequest request;
    request.set_name(username_);
    request.set_password(password_);
    return request;
  }

  // Puts the token on a call and returns it.
  std::string sign(grpc::ClientContext& context) const {
    const std::lock_guard lock(mutex_);
    if (!token_.empty()) context.AddMetadata("token", token_);
    return token_;
  }

  void accept(std::string token) {
    const std::lock_guard lock(mutex_);
    token_ = std::move(token);
  }
  // etcd knows no users; none is named to it until it asks for one.
  void auth_is_off() {
    const std::lock_guard lock(mutex_);
    auth_is_off_ = true;
  }
  // etcd no longer takes `token`.
  void refused(const std::string& token) {
    const std::lock_guard lock(mutex_);
    auth_is_off_ = false;
    if (token_ == token) token_.clear();
  }

 private:
  const std::string username_;
  const std::string password_;
  mutable std::mutex mutex_;
  std::string token_;
  bool auth_is_off_ = false;
};

}  // namespace fleet::etcd
