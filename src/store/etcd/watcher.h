// The watches of a store: each on a stream of its own that is begun anew whenever it breaks.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "store/etcd/client.h"
#include "store/etcd/watch_stream.h"
#include "store/store.h"

namespace fleet::etcd {

// Used on the loop's thread.
class Watcher {
 public:
  explicit Watcher(Client& client) : client_(client) {}

  // As in Store.
  WatchId watch(KeyRange range, Revision from, WatchCallbacks callbacks);
  void cancel(WatchId id);

  // Ends all watches without a word.
  void close();

 private:
  struct Watch {
    KeyRange range;
    Revision next = 0;  // the first revision that has not been delivered
    std::shared_ptr<const WatchCallbacks> callbacks;
    std::shared_ptr<WatchStream> stream;  // null between two
    std::size_t endpoint = 0;             // of the stream
    std::uint64_t generation = 0;         // of the stream; what older ones say is void
    std::vector<WatchEvent> fragments;    // of an answer that is not whole yet
    Duration backoff{};
    EventLoop::TimerId timer = 0;
    bool signed_in_again = false;
  };

  Watch* find(WatchId id, std::uint64_t generation);
  void arm(WatchId id);
  void begin_stream(WatchId id, Watch& watch);
  void on_message(WatchId id, std::uint64_t generation, const WatchStream::Message& message);
  void on_cancelled(WatchId id, const etcdserverpb::WatchResponse& response);
  void on_events(Watch& watch, etcdserverpb::WatchResponse& response);
  void on_ended(WatchId id, std::uint64_t generation, const grpc::Status& status);
  void arm_later(WatchId id, Watch& watch);
  static void drop_stream(Watch& watch);
  void end(WatchId id, const Error& error);

  Client& client_;
  std::map<WatchId, Watch> watches_;
  WatchId last_ = 0;
};

}  // namespace fleet::etcd
