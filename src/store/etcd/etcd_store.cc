#include "store/etcd/etcd_store.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "store/etcd/client.h"
#include "store/etcd/lease_keeper.h"
#include "store/etcd/messages.h"
#include "store/etcd/watcher.h"
#include "store/range.h"

namespace fleet {
namespace {

// A page of so many is small enough for any way to etcd, and large enough for any registry.
constexpr std::int64_t kFewPageKeys = 32;

namespace pb = etcdserverpb;
using etcd::Call;
using etcd::Client;
using etcd::Endpoint;
using etcd::Endpoints;
using etcd::LeaseKeeper;
using etcd::Outcome;
using etcd::Verdict;

// A read in pages, all at one revision.
struct Read {
  KeyRange range;
  Revision at = 0;      // 0 until the first page has said which revision is the newest
  bool newest = false;  // whether the caller left the revision open
  std::int64_t limit = 0;
  std::string next_key;
  ReadResult result;
  Store::Callback<ReadResult> done;
};

}  // namespace

// The loop's side of the store. Nothing touches a member after a callback of the user's has run,
// but through what was posted: the callback may have ended the store.
class EtcdStore::Impl {
 public:
  Impl(EventLoop& loop, const EtcdOptions& options, Endpoints for_calls, Endpoints for_leases)
      : request_timeout_(options.request_timeout),
        most_page_keys_(std::max<std::int64_t>(options.page_keys, 1)),
        page_keys_(most_page_keys_),
        credentials_(std::make_shared<etcd::Credentials>(options.username, options.password)),
        client_(loop, std::move(for_calls), credentials_, options.request_timeout),
        watcher_(client_),
        endpoints_for_leases_(std::move(for_leases)) {}

  void open(const std::weak_ptr<void>& self) {
    client_.set_owner(self);
    EventLoop& loop = client_.loop();
    const auto on_loop = [this, &loop, self](void (Impl::*handle)(LeaseKeeper::Keeping)) {
      return [this, &loop, self, handle](LeaseKeeper::Keeping keeping) {
        Client::post_to(loop, self, [this, handle, keeping] { (this->*handle)(keeping); });
      };
    };
    keeper_ = std::make_unique<LeaseKeeper>(
        std::move(endpoints_for_leases_), credentials_, request_timeout_,
        LeaseKeeper::Callbacks{.renewed = on_loop(&Impl::on_renewed),
                               .lost = on_loop(&Impl::on_lost)});
  }

  void close() {
    watcher_.close();
    keeper_.reset();
    client_.close();
  }

  void read(KeyRange range, Revision at, Callback<ReadResult> done);
  void commit(const Transaction& transaction, Callback<TransactionResult> done);
  void grant_lease(std::chrono::seconds ttl, Callback<LeaseId> done);
  void keep_lease(LeaseId id, std::chrono::seconds ttl, LeaseCallbacks callbacks);
  void forget_lease(LeaseId id);
  void remaining_time(LeaseId id, Callback<std::chrono::seconds> done);
  void revoke_lease(LeaseId id, std::function<void(Status)> done);
  etcd::Watcher& watcher() { return watcher_; }

 private:
  struct Kept {
    LeaseKeeper::Keeping keeping = 0;
    std::shared_ptr<const LeaseCallbacks> callbacks;
  };

  void read_page(const std::shared_ptr<Read>& read);
  void on_page(const std::shared_ptr<Read>& read, Outcome<pb::RangeResponse> outcome);
  void on_page_failed(const std::shared_ptr<Read>& read, const etcd::Failure& failure);
  void on_renewed(LeaseKeeper::Keeping keeping);
  void on_lost(LeaseKeeper::Keeping keeping);
  std::map<LeaseId, Kept>::iterator find(LeaseKeeper::Keeping keeping) {
    return std::ranges::find_if(kept_,
                                [&](const auto& each) { return each.second.keeping == keeping; });
  }

  const Duration request_timeout_;
  const std::int64_t most_page_keys_;
  std::int64_t page_keys_;  // that the next read asks for at once
  const std::shared_ptr<etcd::Credentials> credentials_;
  Client client_;
  etcd::Watcher watcher_;
  Endpoints endpoints_for_leases_;  // until the keeper has them
  std::unique_ptr<LeaseKeeper> keeper_;
  std::map<LeaseId, Kept> kept_;
  LeaseKeeper::Keeping last_keeping_ = 0;
};

// --- Reads and transactions.

void EtcdStore::Impl::read(KeyRange range, Revision at, Callback<ReadResult> done) {
  if (Status valid = validate(range); !valid) {
    client_.post([done = std::move(done), error = valid.error()] { done(std::unexpected(error)); });
    return;
  }
  const auto read = std::make_shared<Read>();
  read->next_key = etcd::bounds_of(range).key;
  read->range = std::move(range);
  read->at = at;
  read->newest = at == 0;
  read->limit = page_keys_;
  read->done = std::move(done);
  read_page(read);
}

void EtcdStore::Impl::read_page(const std::shared_ptr<Read>& read) {
  const auto call = std::make_shared<Call<pb::RangeRequest, pb::RangeResponse>>();
  call->start = [](Endpoint& endpoint, auto* context, auto* request, auto* response, auto done) {
    endpoint.kv->async()->Range(context, request, response, std::move(done));
  };
  call->what = fmt::format("read {}{}", read->range.key, read->range.prefix ? "*" : "");
  call->request.set_key(read->next_key);
  call->request.set_range_end(etcd::bounds_of(read->range).end);
  call->request.set_revision(read->at);
  call->request.set_limit(read->limit);
  call->done = [this, read](Outcome<pb::RangeResponse> outcome) {
    on_page(read, std::move(outcome));
  };
  client_.run(call);
}

void EtcdStore::Impl::on_page(const std::shared_ptr<Read>& read,
                              Outcome<pb::RangeResponse> outcome) {
  if (!outcome) return on_page_failed(read, outcome.error());
  if (read->at == 0) read->at = outcome->header().revision();
  read->result.revision = read->at;
  for (pb::KeyValue& value : *outcome->mutable_kvs()) {
    read->result.values.push_back(etcd::take(value));
  }
  if (outcome->more() && !read->result.values.empty()) {
    read->next_key = read->result.values.back().key + '\0';
    return read_page(read);
  }
  if (std::ssize(read->result.values) >= page_keys_) {
    page_keys_ = std::min(page_keys_ * 2, most_page_keys_);
  }
  read->done(std::move(read->result));
}

void EtcdStore::Impl::on_page_failed(const std::shared_ptr<Read>& read,
                                     const etcd::Failure& failure) {
  if (failure.verdict == Verdict::page_too_large && read->limit > 1) {
    read->limit = std::max<std::int64_t>(read->limit / 8, 1);
    return read_page(read);
  }
  if (failure.status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED &&
      read->limit > kFewPageKeys) {
    // A page may take longer than a request has, on a slow way to etcd. Only the next read asks for
    // less: this one has had its time.
    page_keys_ = std::min(page_keys_, std::max(read->limit / 8, kFewPageKeys));
  }
  const bool has_pages = read->result.revision != 0;
  if (failure.error.code == ErrorCode::compacted && read->newest && has_pages) {
    // The registry was compacted between two pages. There is a newer revision to read.
    read->at = 0;
    read->result = {};
    read->next_key = etcd::bounds_of(read->range).key;
    return read_page(read);
  }
  read->done(std::unexpected(failure.error));
}

void EtcdStore::Impl::commit(const Transaction& transaction, Callback<TransactionResult> done) {
  if (Status valid = validate(transaction); !valid) {
    client_.post([done = std::move(done), error = valid.error()] { done(std::unexpected(error)); });
    return;
  }
  const auto call = std::make_shared<Call<pb::TxnRequest, pb::TxnResponse>>();
  call->start = [](Endpoint& endpoint, auto* context, auto* request, auto* response, auto done) {
    endpoint.kv->async()->Txn(context, request, response, std::move(done));
  };
  call->what = "write";
  call->request = etcd::to_message(transaction);
  call->repeatable = false;
  call->done = [done = std::move(done)](Outcome<pb::TxnResponse> outcome) {
    if (!outcome) return done(std::unexpected(outcome.error().error));
    done(TransactionResult{.committed = outcome->succeeded(),
                           .revision = outcome->header().revision()});
  };
  client_.run(call);
}

// --- Leases.

void EtcdStore::Impl::grant_lease(std::chrono::seconds ttl, Callback<LeaseId> done) {
  // Repeatable: a lease that was granted without our knowing runs out by itself.
  const auto call = std::make_shared<Call<pb::LeaseGrantRequest, pb::LeaseGrantResponse>>();
  call->start = [](Endpoint& endpoint, auto* context, auto* request, auto* response, auto done) {
    endpoint.lease->async()->LeaseGrant(context, request, response, std::move(done));
  };
  call->what = "get a lease";
  call->request.set_ttl(std::max<std::int64_t>(ttl.count(), 1));
  call->done = [done = std::move(done)](Outcome<pb::LeaseGrantResponse> outcome) {
    if (!outcome) return done(std::unexpected(outcome.error().error));
    if (!outcome->error().empty()) {
      return done(fail(ErrorCode::failed, "cannot get a lease at etcd: " + outcome->error()));
    }
    done(outcome->id());
  };
  client_.run(call);
}

void EtcdStore::Impl::keep_lease(LeaseId id, std::chrono::seconds ttl, LeaseCallbacks callbacks) {
  forget_lease(id);
  Kept& kept = kept_[id];
  kept.keeping = ++last_keeping_;
  kept.callbacks = std::make_shared<const LeaseCallbacks>(std::move(callbacks));
  keeper_->keep(kept.keeping, id, ttl);
}

void EtcdStore::Impl::forget_lease(LeaseId id) {
  const auto found = kept_.find(id);
  if (found == kept_.end()) return;
  keeper_->forget(found->second.keeping);
  kept_.erase(found);
}

void EtcdStore::Impl::remaining_time(LeaseId id, Callback<std::chrono::seconds> done) {
  const auto call =
      std::make_shared<Call<pb::LeaseTimeToLiveRequest, pb::LeaseTimeToLiveResponse>>();
  call->start = [](Endpoint& endpoint, auto* context, auto* request, auto* response, auto done) {
    endpoint.lease->async()->LeaseTimeToLive(context, request, response, std::move(done));
  };
  call->what = fmt::format("ask how long the lease {:x} lives", id);
  call->request.set_id(id);
  call->done = [done = std::move(done)](Outcome<pb::LeaseTimeToLiveResponse> outcome) {
    if (outcome) {
      return done(std::chrono::seconds(std::max<std::int64_t>(outcome->ttl(), 0)));
    }
    if (outcome.error().error.code == ErrorCode::not_found) return done(std::chrono::seconds(0));
    done(std::unexpected(outcome.error().error));
  };
  client_.run(call);
}

void EtcdStore::Impl::revoke_lease(LeaseId id, std::function<void(Status)> done) {
  forget_lease(id);
  const auto call = std::make_shared<Call<pb::LeaseRevokeRequest, pb::LeaseRevokeResponse>>();
  call->start = [](Endpoint& endpoint, auto* context, auto* request, auto* response, auto done) {
    endpoint.lease->async()->LeaseRevoke(context, request, response, std::move(done));
  };
  call->what = fmt::format("revoke the lease {:x}", id);
  call->request.set_id(id);
  call->done = [done = std::move(done)](Outcome<pb::LeaseRevokeResponse> outcome) {
    if (!outcome && outcome.error().error.code != ErrorCode::not_found) {
      return done(std::unexpected(outcome.error().error));
    }
    done({});
  };
  client_.run(call);
}

void EtcdStore::Impl::on_renewed(LeaseKeeper::Keeping keeping) {
  const auto found = find(keeping);
  if (found == kept_.end()) return;
  const auto callbacks = found->second.callbacks;
  if (callbacks->on_renewed) callbacks->on_renewed();
}

void EtcdStore::Impl::on_lost(LeaseKeeper::Keeping keeping) {
  const auto found = find(keeping);
  if (found == kept_.end()) return;
  const LeaseId id = found->first;
  const auto callbacks = found->second.callbacks;
  kept_.erase(found);
  if (callbacks->on_lost) {
    callbacks->on_lost({ErrorCode::not_found,
                        fmt::format("etcd says that the lease {:x} does not exist any more", id)});
  }
}

// --- The store.

Result<std::unique_ptr<EtcdStore>> EtcdStore::make(EventLoop& loop, const EtcdOptions& options) {
  Result<Endpoints> for_calls = Endpoints::make(options);
  if (!for_calls) return std::unexpected(for_calls.error());
  Result<Endpoints> for_leases = Endpoints::make(options);
  if (!for_leases) return std::unexpected(for_leases.error());
  auto impl = std::make_shared<Impl>(loop, options, std::move(*for_calls), std::move(*for_leases));
  impl->open(impl);
  return std::unique_ptr<EtcdStore>(new EtcdStore(std::move(impl)));
}

EtcdStore::EtcdStore(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

EtcdStore::~EtcdStore() {
  impl_->close();
}

void EtcdStore::read(KeyRange range, Revision at, Callback<ReadResult> done) {
  impl_->read(std::move(range), at, std::move(done));
}

void EtcdStore::commit(Transaction transaction, Callback<TransactionResult> done) {
  impl_->commit(transaction, std::move(done));
}

WatchId EtcdStore::watch(KeyRange range, Revision from, WatchCallbacks callbacks) {
  return impl_->watcher().watch(std::move(range), from, std::move(callbacks));
}

void EtcdStore::cancel_watch(WatchId id) {
  impl_->watcher().cancel(id);
}

void EtcdStore::grant_lease(std::chrono::seconds ttl, Callback<LeaseId> done) {
  impl_->grant_lease(ttl, std::move(done));
}

void EtcdStore::keep_lease(LeaseId id, std::chrono::seconds ttl, LeaseCallbacks callbacks) {
  impl_->keep_lease(id, ttl, std::move(callbacks));
}

void EtcdStore::forget_lease(LeaseId id) {
  impl_->forget_lease(id);
}

void EtcdStore::remaining_time(LeaseId id, Callback<std::chrono::seconds> done) {
  impl_->remaining_time(id, std::move(done));
}

void EtcdStore::revoke_lease(LeaseId id, std::function<void(Status)> done) {
  impl_->revoke_lease(id, std::move(done));
}

}  // namespace fleet
