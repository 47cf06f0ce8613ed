#include "store/etcd/client.h"

#include <fmt/format.h>

namespace fleet::etcd {

void Client::post_to(EventLoop& loop, std::weak_ptr<void> owner, std::function<void()> action) {
  loop.post([owner = std::move(owner), action = std::move(action)] {
    // Held while it runs: the action may end the owner.
    if (const std::shared_ptr<void> alive = owner.lock()) action();
  });
}

void Client::sign_in(std::function<void(std::expected<void, Failure>)> done) {
  if (!credentials_->needs_token()) return done({});
  signing_in_.push_back(std::move(done));
  if (signing_in_.size() > 1) return;  // one request serves all; the password costs etcd much
  using SignIn = Call<etcdserverpb::AuthenticateRequest, etcdserverpb::AuthenticateResponse>;
  const auto call = std::make_shared<SignIn>();
  call->start = [](Endpoint& endpoint, auto* context, auto* request, auto* response, auto done) {
    endpoint.auth->async()->Authenticate(context, request, response, std::move(done));
  };
  call->what = "sign in";
  call->request = credentials_->request();
  call->needs_token = false;
  call->done = [this](Outcome<etcdserverpb::AuthenticateResponse> outcome) {
    if (outcome) {
      credentials_->accept(std::move(*outcome->mutable_token()));
      return on_signed_in({});
    }
    if (is_auth_off(outcome.error().status)) {
      credentials_->auth_is_off();
      return on_signed_in({});
    }
    on_signed_in(std::unexpected(std::move(outcome.error())));
  };
  attempt(call);
}

void Client::on_signed_in(const std::expected<void, Failure>& result) {
  for (const auto& done : std::exchange(signing_in_, {})) {
    if (closed_) return;
    done(result);
  }
}

}  // namespace fleet::etcd
