// Renews leases on connections and a thread of its own, whatever the event loop is doing.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "store/etcd/call_group.h"
#include "store/etcd/credentials.h"
#include "store/etcd/endpoints.h"
#include "store/store.h"

namespace fleet::etcd {

// A renewal is a call of its own, one LeaseKeepAlive stream of one request and one answer, with a
// time limit: so there is no long-lived stream whose health would have to be watched, and the next
// member is tried as soon as one does not answer.
class LeaseKeeper {
 public:
  // A lease that is kept; a new one each time, also for the same lease.
  using Keeping = std::uint64_t;
  // They run on any thread but the caller's, and must not call the keeper.
  struct Callbacks {
    std::function<void(Keeping)> renewed;
    std::function<void(Keeping)> lost;
  };

  LeaseKeeper(Endpoints endpoints, std::shared_ptr<Credentials> credentials,
              std::chrono::nanoseconds request_timeout, Callbacks callbacks);
  // After it no callback runs.
  ~LeaseKeeper();
  LeaseKeeper(const LeaseKeeper&) = delete;
  LeaseKeeper& operator=(const LeaseKeeper&) = delete;

  // Renews the lease now and from then on every quarter of `ttl`, until it is lost or forgotten.
  void keep(Keeping keeping, LeaseId lease, std::chrono::seconds ttl);
  void forget(Keeping keeping);

 private:
  using Clock = std::chrono::steady_clock;
  class Renewal;
  enum class Answer { renewed, lost, signed_in, token_refused, none };
  struct Entry {
    LeaseId lease = 0;
    Clock::duration period{};
    Clock::time_point due;
    int failures = 0;
    bool in_flight = false;
  };

  void run();
  void begin(Keeping keeping, const Entry& entry, Endpoint& endpoint, std::size_t index);
  void begin_sign_in(Keeping keeping, Endpoint& endpoint, std::size_t index,
                     std::chrono::nanoseconds time);
  void finish(Keeping keeping, std::size_t endpoint, Clock::time_point begun, Answer answer);
  void reschedule(Entry& entry, Clock::time_point begun, Answer answer);

  const std::chrono::nanoseconds request_timeout_;
  const Callbacks callbacks_;
  const std::shared_ptr<Credentials> credentials_;
  const std::shared_ptr<CallGroup> group_ = std::make_shared<CallGroup>();

  std::mutex mutex_;  // of all that follows
  std::condition_variable wake_;
  Endpoints endpoints_;
  std::map<Keeping, Entry> entries_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace fleet::etcd
