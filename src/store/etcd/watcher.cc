#include "store/etcd/watcher.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "store/etcd/messages.h"
#include "store/range.h"

namespace fleet::etcd {
namespace {

namespace pb = etcdserverpb;

constexpr Duration kFirstBackoff = std::chrono::milliseconds(100);
constexpr Duration kLongestBackoff = std::chrono::seconds(2);

std::string name_of(const KeyRange& range) {
  return range.key + (range.prefix ? "*" : "");
}

}  // namespace

WatchId Watcher::watch(KeyRange range, Revision from, WatchCallbacks callbacks) {
  const WatchId id = ++last_;
  Status valid = validate(range);
  if (valid && from <= 0) valid = fail(ErrorCode::invalid, "a watch begins at revision 1 or later");
  Watch& watch = watches_[id];
  watch.range = std::move(range);
  watch.next = from;
  watch.callbacks = std::make_shared<const WatchCallbacks>(std::move(callbacks));
  watch.backoff = kFirstBackoff;
  if (valid) {
    arm(id);
  } else {
    client_.post([this, id, error = valid.error()] { end(id, error); });
  }
  return id;
}

void Watcher::cancel(WatchId id) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  drop_stream(found->second);
  client_.loop().cancel(found->second.timer);
  watches_.erase(found);
}

void Watcher::close() {
  for (auto& [id, watch] : watches_) {
    drop_stream(watch);
    client_.loop().cancel(watch.timer);
  }
  watches_.clear();
}

Watcher::Watch* Watcher::find(WatchId id, std::uint64_t generation) {
  const auto found = watches_.find(id);
  if (found == watches_.end() || found->second.generation != generation) return nullptr;
  return &found->second;
}

void Watcher::arm(WatchId id) {
  client_.sign_in([this, id](const std::expected<void, Failure>& result) {
    const auto found = watches_.find(id);
    if (found == watches_.end()) return;
    if (result) return begin_stream(id, found->second);
    if (result.error().error.code == ErrorCode::denied) {
      return end(id, result.error().error);
    }
    arm_later(id, found->second);
  });
}

// etcd accepts a watch from the very revision that it was compacted at, although a removal at that
// revision is forgotten. Asked for one revision earlier than needed, it refuses; the surplus is
// dropped in on_events.
void Watcher::begin_stream(WatchId id, Watch& watch) {
  watch.endpoint = client_.endpoints().current();
  const std::uint64_t generation = ++watch.generation;
  watch.fragments.clear();
  const auto on_loop = [&loop = client_.loop(), owner = client_.owner()](auto action) {
    Client::post_to(loop, owner, std::move(action));
  };
  watch.stream = std::make_shared<WatchStream>(
      client_.endpoints()[watch.endpoint], client_.credentials(), client_.group(),
      watch_request(watch.range, std::max<Revision>(watch.next - 1, 1)),
      WatchStream::Callbacks{.received =
                                 [this, on_loop, id, generation](WatchStream::Message message) {
                                   on_loop([this, id, generation, message = std::move(message)] {
                                     on_message(id, generation, message);
                                   });
                                 },
                             .ended =
                                 [this, on_loop, id, generation](const grpc::Status& status) {
                                   on_loop([this, id, generation, status] {
                                     on_ended(id, generation, status);
                                   });
                                 }});
  watch.stream->start();
}

void Watcher::on_message(WatchId id, std::uint64_t generation,
                         const WatchStream::Message& message) {
  Watch* const watch = find(id, generation);
  if (watch == nullptr) return;
  watch->stream->consumed(message.bytes);
  pb::WatchResponse& response = *message.response;
  if (response.canceled()) return on_cancelled(id, response);
  if (response.created()) {
    watch->backoff = kFirstBackoff;
    watch->signed_in_again = false;
    return;
  }
  on_events(*watch, response);
}

void Watcher::on_events(Watch& watch, pb::WatchResponse& response) {
  for (pb::Event& event : *response.mutable_events()) {
    if (event.kv().mod_revision() >= watch.next) watch.fragments.push_back(take(event));
  }
  if (response.fragment()) return;  // the rest of the revision is to come
  if (watch.fragments.empty()) {
    // A sign that all events up to here have been sent. Not for surplus, which may be older.
    if (response.events().empty()) {
      watch.next = std::max(watch.next, response.header().revision() + 1);
    }
    return;
  }
  WatchBatch batch{.revision = watch.fragments.back().value.mod_revision,
                   .events = std::exchange(watch.fragments, {})};
  watch.next = batch.revision + 1;
  const auto callbacks = watch.callbacks;  // on_batch may cancel the watch
  if (callbacks->on_batch) callbacks->on_batch(batch);
}

void Watcher::on_cancelled(WatchId id, const pb::WatchResponse& response) {
  Watch& watch = watches_.at(id);
  if (response.compact_revision() != 0) {
    return end(id, {ErrorCode::compacted,
                    fmt::format("cannot watch {} from revision {} on: etcd was compacted at "
                                "revision {}; read anew",
                                name_of(watch.range), watch.next, response.compact_revision())});
  }
  const Verdict verdict = watch_verdict(response.cancel_reason());
  const std::string token = watch.stream->token();
  const std::string url = watch.stream->url();
  drop_stream(watch);
  if (verdict == Verdict::try_elsewhere) {
    client_.endpoints().failed(watch.endpoint);
    return arm_later(id, watch);
  }
  if (verdict == Verdict::sign_in_again && client_.credentials().has_user() &&
      !watch.signed_in_again) {
    watch.signed_in_again = true;
    client_.credentials().refused(token);
    return arm_later(id, watch);
  }
  end(id, {verdict == Verdict::sign_in_again ? ErrorCode::denied : ErrorCode::failed,
           fmt::format("cannot watch {} at etcd {}: {}", name_of(watch.range), url,
                       response.cancel_reason())});
}

void Watcher::on_ended(WatchId id, std::uint64_t generation, const grpc::Status& status) {
  Watch* const watch = find(id, generation);
  if (watch == nullptr) return;
  if (verdict(status) == Verdict::sign_in_again) {
    client_.credentials().refused(watch->stream->token());
  } else {
    client_.endpoints().failed(watch->endpoint);
  }
  drop_stream(*watch);
  arm_later(id, *watch);
}

void Watcher::arm_later(WatchId id, Watch& watch) {
  watch.timer = client_.loop().call_after(watch.backoff, [this, id] { arm(id); });
  watch.backoff = std::min(watch.backoff * 2, kLongestBackoff);
}

void Watcher::drop_stream(Watch& watch) {
  ++watch.generation;
  if (watch.stream) watch.stream->cancel();
  watch.stream.reset();
}

void Watcher::end(WatchId id, const Error& error) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  drop_stream(found->second);
  const auto callbacks = found->second.callbacks;
  watches_.erase(found);
  if (callbacks->on_end) callbacks->on_end(error);
}

}  // namespace fleet::etcd
