#include "store/etcd/lease_keeper.h"

#include <algorithm>
#include <string>
#include <utility>

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include "store/etcd/handover.h"
#include "store/etcd/messages.h"

namespace fleet::etcd {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kShortestAttempt{500};
constexpr milliseconds kFirstBackoff{100};
constexpr milliseconds kLongestBackoff{1000};

}  // namespace

// One renewal; it deletes itself when gRPC is done with it.
class LeaseKeeper::Renewal final
    : public grpc::ClientBidiReactor<etcdserverpb::LeaseKeepAliveRequest,
                                     etcdserverpb::LeaseKeepAliveResponse> {
 public:
  Renewal(LeaseKeeper& keeper, Keeping keeping, LeaseId lease, std::size_t endpoint)
      : keeper_(keeper),
        group_(keeper.group_),
        call_(group_->begin()),
        keeping_(keeping),
        endpoint_(endpoint) {
    request_.set_id(lease);
  }

  void start(Endpoint& endpoint, nanoseconds time) {
    limit_time(*call_.context, time);
    // A member that is cut off from its leader must say so instead of keeping us waiting.
    call_.context->AddMetadata("hasleader", "true");
    token_ = keeper_.credentials_->sign(*call_.context);
    endpoint.lease->async()->LeaseKeepAlive(call_.context, this);
    hand_to_grpc();
    StartWriteLast(&request_, grpc::WriteOptions());
    StartRead(&response_);
    StartCall();
  }

 private:
  void OnReadDone(bool ok) override {
    take_from_grpc();
    if (!ok) return;
    answered_ = true;
    hand_to_grpc();
    keeper_.finish(keeping_, endpoint_, begun_,
                   response_.ttl() > 0 ? Answer::renewed : Answer::lost);
  }

  void OnDone(const grpc::Status& status) override {
    take_from_grpc();
    if (!answered_) {
      Answer answer = Answer::none;
      if (verdict(status) == Verdict::sign_in_again) {
        keeper_.credentials_->refused(token_);
        answer = Answer::token_refused;
      }
      keeper_.finish(keeping_, endpoint_, begun_, answer);
    }
    // After end() the keeper may be gone.
    const std::shared_ptr<CallGroup> group = group_;
    const CallId id = call_.id;
    delete this;
    group->end(id);
  }

  LeaseKeeper& keeper_;
  const std::shared_ptr<CallGroup> group_;
  const CallGroup::Begun call_;
  const Keeping keeping_;
  const std::size_t endpoint_;
  const Clock::time_point begun_ = Clock::now();
  std::string token_;
  etcdserverpb::LeaseKeepAliveRequest request_;
  etcdserverpb::LeaseKeepAliveResponse response_;
  bool answered_ = false;
};

LeaseKeeper::LeaseKeeper(Endpoints endpoints, std::shared_ptr<Credentials> credentials,
                         nanoseconds request_timeout, Callbacks callbacks)
    : request_timeout_(request_timeout),
      callbacks_(std::move(callbacks)),
      credentials_(std::move(credentials)),
      endpoints_(std::move(endpoints)),
      thread_([this] { run(); }) {}

LeaseKeeper::~LeaseKeeper() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();  // so that nothing is begun after this
  group_->close();
}

void LeaseKeeper::keep(Keeping keeping, LeaseId lease, std::chrono::seconds ttl) {
  {
    const std::lock_guard lock(mutex_);
    entries_[keeping] = {.lease = lease,
                         .period = Clock::duration(std::max(ttl, std::chrono::seconds(1))) / 4,
                         .due = Clock::now(),
                         .failures = 0,
                         .in_flight = false};
  }
  wake_.notify_one();
}

void LeaseKeeper::forget(Keeping keeping) {
  const std::lock_guard lock(mutex_);
  entries_.erase(keeping);
}

void LeaseKeeper::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto next = std::ranges::min_element(entries_, {}, [](const auto& each) {
      return each.second.in_flight ? Clock::time_point::max() : each.second.due;
    });
    if (next == entries_.end() || next->second.in_flight) {
      wake_.wait(lock);
    } else if (next->second.due > Clock::now()) {
      wake_.wait_until(lock, Clock::time_point(next->second.due));
    } else {
      next->second.in_flight = true;
      const Keeping keeping = next->first;
      const Entry entry = next->second;
      const std::size_t index = endpoints_.current();
      Endpoint& endpoint = endpoints_[index];
      lock.unlock();  // for gRPC may call back at once
      begin(keeping, entry, endpoint, index);
      lock.lock();
    }
  }
}

void LeaseKeeper::begin(Keeping keeping, const Entry& entry, Endpoint& endpoint,
                        std::size_t index) {
  const nanoseconds time =
      std::min(std::max<nanoseconds>(entry.period, kShortestAttempt), request_timeout_);
  if (credentials_->needs_token()) {
    begin_sign_in(keeping, endpoint, index, time);
  } else {
    (new Renewal(*this, keeping, entry.lease, index))->start(endpoint, time);
  }
}

void LeaseKeeper::begin_sign_in(Keeping keeping, Endpoint& endpoint, std::size_t index,
                                nanoseconds time) {
  struct SignIn {
    etcdserverpb::AuthenticateRequest request;
    etcdserverpb::AuthenticateResponse response;
  };
  const auto call = std::make_shared<SignIn>();
  const CallGroup::Begun begun_call = group_->begin();
  call->request = credentials_->request();
  limit_time(*begun_call.context, time);
  std::function<void(grpc::Status)> done = [this, call, id = begun_call.id, group = group_, keeping,
                                            index,
                                            begun = Clock::now()](const grpc::Status& status) {
    take_from_grpc();
    Answer answer = Answer::none;
    if (status.ok()) {
      credentials_->accept(std::move(*call->response.mutable_token()));
      answer = Answer::signed_in;
    } else if (is_auth_off(status)) {
      credentials_->auth_is_off();
      answer = Answer::signed_in;
    }
    finish(keeping, index, begun, answer);
    group->end(id);
  };
  hand_to_grpc();
  endpoint.auth->async()->Authenticate(begun_call.context, &call->request, &call->response,
                                       std::move(done));
}

void LeaseKeeper::finish(Keeping keeping, std::size_t endpoint, Clock::time_point begun,
                         Answer answer) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(keeping);
    if (found == entries_.end()) return;
    if (answer == Answer::none) endpoints_.failed(endpoint);
    if (answer == Answer::lost) {
      entries_.erase(found);
    } else {
      reschedule(found->second, begun, answer);
    }
  }
  wake_.notify_one();
  if (answer == Answer::renewed) callbacks_.renewed(keeping);
  if (answer == Answer::lost) callbacks_.lost(keeping);
}

void LeaseKeeper::reschedule(Entry& entry, Clock::time_point begun, Answer answer) {
  entry.in_flight = false;
  switch (answer) {
    case Answer::renewed:
      entry.failures = 0;
      entry.due = begun + entry.period;
      break;
    case Answer::signed_in:
      entry.due = begun;
      break;
    default:
      entry.due = begun + std::min<Clock::duration>(
                              kFirstBackoff * (1 << entry.failures),
                              std::min<Clock::duration>(kLongestBackoff, entry.period));
      entry.failures = std::min(entry.failures + 1, 10);
  }
}

}  // namespace fleet::etcd
