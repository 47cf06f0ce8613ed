// Calls to an etcd cluster from the event loop's thread: failover, signing in, time limits.
#pragma once

#include <chrono>
#include <cstddef>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "store/etcd/call_group.h"
#include "store/etcd/credentials.h"
#include "store/etcd/endpoints.h"
#include "store/etcd/handover.h"
#include "store/etcd/messages.h"

namespace fleet::etcd {

struct Failure {
  Verdict verdict = Verdict::refuse;
  Error error;
  grpc::Status status;
};

template <class Response>
using Outcome = std::expected<Response, Failure>;

// One request to the cluster, which may take several attempts.
template <class Request, class Response>
struct Call {
  using Start = void (*)(Endpoint& endpoint, grpc::ClientContext* context, const Request* request,
                         Response* response, std::function<void(grpc::Status)> done);
  Start start = nullptr;
  std::string what;  // "read unit/", for messages
  Request request;
  std::function<void(Outcome<Response>)> done;
  // Doing it twice does no harm. What is not repeatable is sent once, on a connection that stands.
  bool repeatable = true;
  bool needs_token = true;

  std::size_t failures = 0;
  bool signed_in_again = false;
  bool probed = false;
};

// Used on the loop's thread, by one owner.
class Client {
 public:
  // An attempt at one endpoint fails after `timeout`, as in 1.0; a call makes one at each.
  Client(EventLoop& loop, Endpoints endpoints, std::shared_ptr<Credentials> credentials,
         Duration timeout)
      : loop_(loop),
        endpoints_(std::move(endpoints)),
        credentials_(std::move(credentials)),
        timeout_(timeout) {}

  // Whose end makes void what was posted. To be called once, before anything else.
  void set_owner(std::weak_ptr<void> owner) { owner_ = std::move(owner); }

  // Ends every call without a word and waits until gRPC is out of them.
  void close() {
    closed_ = true;
    group_->close();
  }

  // Runs `action` on the loop, while the owner lives. From any thread.
  void post(std::function<void()> action) { post_to(loop_, owner_, std::move(action)); }
  static void post_to(EventLoop& loop, std::weak_ptr<void> owner, std::function<void()> action);

  // Makes an attempt at `call`, and more if need be; `done` runs on the loop, later.
  template <class Request, class Response>
  void run(const std::shared_ptr<Call<Request, Response>>& call);

  // Sees to it that there is a token if one is needed. `done` may run at once.
  void sign_in(std::function<void(std::expected<void, Failure>)> done);

  EventLoop& loop() { return loop_; }
  Endpoints& endpoints() { return endpoints_; }
  Credentials& credentials() { return *credentials_; }
  const std::shared_ptr<CallGroup>& group() const { return group_; }
  const std::weak_ptr<void>& owner() const { return owner_; }

 private:
  template <class Request, class Response>
  void attempt(const std::shared_ptr<Call<Request, Response>>& call);
  template <class Request, class Response>
  void probe(const std::shared_ptr<Call<Request, Response>>& call);
  template <class Request, class Response>
  void on_status(const std::shared_ptr<Call<Request, Response>>& call, std::size_t index,
                 const std::string& token, const grpc::Status& status, Response& response);
  template <class Request, class Response>
  void finish(const std::shared_ptr<Call<Request, Response>>& call,
              std::type_identity_t<Outcome<Response>> outcome) {
    if (closed_) return;
    const auto done = std::move(call->done);
    done(std::move(outcome));
  }
  void on_signed_in(const std::expected<void, Failure>& result);

  EventLoop& loop_;
  Endpoints endpoints_;
  std::shared_ptr<Credentials> credentials_;
  Duration timeout_;
  std::shared_ptr<CallGroup> group_ = std::make_shared<CallGroup>();
  std::weak_ptr<void> owner_;
  std::vector<std::function<void(std::expected<void, Failure>)>> signing_in_;
  bool closed_ = false;
};

template <class Request, class Response>
void Client::run(const std::shared_ptr<Call<Request, Response>>& call) {
  if (call->needs_token && credentials_->needs_token()) {
    sign_in([this, call](std::expected<void, Failure> result) {
      if (!result) return finish(call, std::unexpected(std::move(result.error())));
      attempt(call);
    });
    return;
  }
  attempt(call);
}

template <class Request, class Response>
void Client::attempt(const std::shared_ptr<Call<Request, Response>>& call) {
  const std::size_t index = endpoints_.current();
  Endpoint& endpoint = endpoints_[index];
  if (!call->repeatable && !call->probed && !endpoint.connected()) return probe(call);

  const CallGroup::Begun begun = group_->begin();
  limit_time(*begun.context, timeout_);
  const std::string token = credentials_->sign(*begun.context);
  const auto response = std::make_shared<Response>();
  std::function<void(grpc::Status)> done = [this, &loop = loop_, owner = owner_, group = group_,
                                            id = begun.id, call, index, token,
                                            response](const grpc::Status& status) {
    take_from_grpc();
    // On a thread of gRPC's. `this` is only good on the loop, if the owner lives.
    post_to(loop, owner, [this, call, index, token, status, response] {
      on_status(call, index, token, status, *response);
    });
    group->end(id);
  };
  hand_to_grpc();
  call->start(endpoint, begun.context, &call->request, response.get(), std::move(done));
}

// Whether a call that failed was carried out cannot be told from its status. So that the usual
// reason for failure, a member that is gone, does not put a write in doubt, a harmless call finds
// a member that answers first.
template <class Request, class Response>
void Client::probe(const std::shared_ptr<Call<Request, Response>>& call) {
  using Probe = Call<etcdserverpb::RangeRequest, etcdserverpb::RangeResponse>;
  const auto probe = std::make_shared<Probe>();
  probe->start = [](Endpoint& endpoint, auto* context, auto* request, auto* response, auto done) {
    endpoint.kv->async()->Range(context, request, response, std::move(done));
  };
  probe->what = call->what;
  probe->request.set_key(std::string(1, '\0'));
  probe->request.set_serializable(true);
  probe->done = [this, call](Outcome<etcdserverpb::RangeResponse> outcome) {
    call->probed = true;
    // Any answer will do, also that this user may not read that key.
    if (!outcome && outcome.error().error.code == ErrorCode::unavailable) {
      return finish(call, std::unexpected(std::move(outcome.error())));
    }
    attempt(call);
  };
  attempt(probe);
}

template <class Request, class Response>
void Client::on_status(const std::shared_ptr<Call<Request, Response>>& call, std::size_t index,
                       const std::string& token, const grpc::Status& status, Response& response) {
  if (status.ok()) return finish(call, Outcome<Response>(std::move(response)));
  const Failure failure{.verdict = verdict(status),
                        .error = to_error(status, call->what, endpoints_[index].url),
                        .status = status};
  if (failure.verdict == Verdict::sign_in_again && credentials_->has_user() && call->needs_token &&
      !call->signed_in_again) {
    call->signed_in_again = true;
    credentials_->refused(token);
    return run(std::move(call));
  }
  if (failure.verdict == Verdict::try_elsewhere) {
    endpoints_.failed(index);
    ++call->failures;
    // With only one member the second attempt is for a connection that broke since it was used.
    const bool hangs = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
    const std::size_t most = endpoints_.size() > 1 || hangs ? endpoints_.size() : 2;
    if (call->repeatable && call->failures < most) return attempt(call);
  }
  finish(call, std::unexpected(failure));
}

}  // namespace fleet::etcd
