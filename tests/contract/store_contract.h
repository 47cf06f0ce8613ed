// The contract of the Store port (src/store/store.h) as a test suite. A store joins with
//
//   INSTANTIATE_TEST_SUITE_P(Name, StoreContract, ::testing::Values(StoreFactory{"name", make}));
//
// in a program that is linked with store_contract_*.cc.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "store/store.h"
#include "tests/contract/test_loop.h"

namespace fleet {

// An empty store of its own, the sessions with it, and what can befall it.
class StoreWorld {
 public:
  // That the sessions are made with.
  static constexpr std::chrono::milliseconds kRequestTimeout{3000};

  virtual ~StoreWorld() = default;

  // Begins a session, which lives until the world ends or `end_session`.
  virtual Store& session() = 0;
  virtual void end_session(Store& session) = 0;

  virtual void compact(Revision revision) = 0;

  // Between these, the store gives no answer and its clock stands still or goes on.
  virtual void freeze() = 0;
  virtual void thaw() = 0;

  // Between these there is no store; its data come back with it, and connections are lost.
  virtual void kill() = 0;
  virtual void restart() = 0;
  // As restart(), but before any session is back `key` was written twice and all but the newest
  // revision was compacted.
  virtual void restart_compacted(const std::string& key) = 0;
};

struct StoreFactory {
  std::string name;
  std::function<std::unique_ptr<StoreWorld>(TestLoop&)> make;

  friend void PrintTo(const StoreFactory& factory, std::ostream* out) { *out << factory.name; }
};

// Collects what a watch delivers.
struct Watched {
  std::vector<WatchBatch> batches;
  std::vector<WatchEvent> events;
  std::vector<Error> ends;

  WatchCallbacks callbacks() {
    return {.on_batch =
                [this](const WatchBatch& batch) {
                  batches.push_back(batch);
                  events.insert(events.end(), batch.events.begin(), batch.events.end());
                },
            .on_end = [this](const Error& error) { ends.push_back(error); }};
  }
};

// Counts what keeping a lease brings.
struct Kept {
  int renewed = 0;
  std::vector<Error> lost;

  LeaseCallbacks callbacks() {
    return {.on_renewed = [this] { ++renewed; },
            .on_lost = [this](const Error& error) { lost.push_back(error); }};
  }
};

class StoreContract : public ::testing::TestWithParam<StoreFactory> {
 protected:
  StoreContract() : world_(GetParam().make(loop_)), store_(world_->session()) {}

  // Makes a call and runs the loop until it has ended. `start` gets the callback.
  template <class T>
  Result<T> wait(const std::function<void(std::function<void(Result<T>)>)>& start) {
    // Shared, for a callback may come after the wait was given up.
    auto result = std::make_shared<std::optional<Result<T>>>();
    start([result](Result<T> outcome) {
      EXPECT_FALSE(result->has_value()) << "a callback ran twice";
      *result = std::move(outcome);
    });
    EXPECT_FALSE(result->has_value()) << "a callback ran from within the call";
    if (!loop_.run_until([&] { return result->has_value(); })) {
      ADD_FAILURE() << "a call did not end";
      return fail(ErrorCode::failed, "the call did not end");
    }
    return std::move(**result);
  }

  Result<ReadResult> read(Store& store, KeyRange range, Revision at = 0);
  Result<TransactionResult> commit(Store& store, Transaction transaction);
  Result<LeaseId> grant(Store& store, std::chrono::seconds ttl);
  Status revoke(Store& store, LeaseId lease);

  // Shorthands with store_, which fail the test if the call fails.
  Revision put(const std::string& key, const std::string& value, LeaseId lease = 0);
  Revision remove(KeyRange range);
  std::vector<KeyValue> values(KeyRange range, Revision at = 0);
  std::vector<std::string> keys(KeyRange range, Revision at = 0);
  Revision revision();
  LeaseId lease(std::chrono::seconds ttl);
  // Whether a transaction of only `compare` is committed.
  bool holds(Compare compare);
  // Runs the loop until `range` has no keys.
  bool wait_until_gone(KeyRange range, Duration limit = std::chrono::seconds(20));

  TestLoop loop_;
  std::unique_ptr<StoreWorld> world_;
  Store& store_;
};

// Readable ranges.
inline KeyRange one(std::string key) {
  return {.key = std::move(key), .prefix = false};
}
inline KeyRange under(std::string prefix) {
  return {.key = std::move(prefix), .prefix = true};
}

}  // namespace fleet
