// What MemoryStore has beyond the port: the line to its registry. The port's rules are checked in
// tests/contract/store_contract*.
#include "store/memory/memory_store.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/virtual_loop.h"

namespace fleet {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

class MemoryStoreTest : public testing::Test {
 protected:
  // Starts a write; its outcome is in the result once the loop has run.
  std::shared_ptr<std::optional<Result<TransactionResult>>> write(MemoryStore& store,
                                                                  std::string key,
                                                                  LeaseId lease = 0) {
    auto outcome = std::make_shared<std::optional<Result<TransactionResult>>>();
    store.commit(
        {.compares = {}, .operations = {Put{.key = std::move(key), .value = "", .lease = lease}}},
        [outcome](Result<TransactionResult> result) { *outcome = std::move(result); });
    return outcome;
  }
  void watch(MemoryStore& store, std::string prefix, Revision from) {
    store.watch({.key = std::move(prefix), .prefix = true}, from,
                {.on_batch =
                     [this](const WatchBatch& batch) {
                       for (const WatchEvent& event : batch.events) {
                         seen_.push_back(event.value.key);
                       }
                     },
                 .on_end = [this](const Error& error) { ends_.push_back(error.code); }});
  }
  std::vector<std::string> keys() {
    std::vector<std::string> found;
    for (const KeyValue& value : registry_.read({.key = "", .prefix = true}, 0)->values) {
      found.push_back(value.key);
    }
    return found;
  }

  VirtualLoop loop_;
  MemoryRegistry registry_{loop_};
  MemoryStore store_{loop_, registry_, seconds(5)};
  MemoryStore other_{loop_, registry_, seconds(5)};
  std::vector<std::string> seen_;
  std::vector<ErrorCode> ends_;
};

TEST_F(MemoryStoreTest, AnswersComeAfterTheDelayThereAndBack) {
  store_.set_link({.delay = milliseconds(10)});
  const auto outcome = write(store_, "a");
  loop_.run_for(milliseconds(9));
  EXPECT_THAT(keys(), IsEmpty());
  loop_.run_for(milliseconds(1));
  EXPECT_THAT(keys(), ElementsAre("a"));
  EXPECT_FALSE(outcome->has_value());
  loop_.run_for(milliseconds(10));
  EXPECT_TRUE(outcome->has_value());
  loop_.run_until_idle();
}

TEST_F(MemoryStoreTest, AWriteWhoseReplyIsLostIsDoneAllTheSame) {
  store_.set_link({.replies_lost = true});
  const auto outcome = write(store_, "a");
  loop_.run_for(seconds(4));
  EXPECT_FALSE(outcome->has_value());
  loop_.run_for(seconds(1));
  ASSERT_TRUE(outcome->has_value());
  ASSERT_FALSE((*outcome)->has_value());
  EXPECT_EQ((*outcome)->error().code, ErrorCode::unavailable);
  EXPECT_THAT(keys(), ElementsAre("a"));
}

TEST_F(MemoryStoreTest, AWriteOnACutLineIsNotDone) {
  store_.set_link({.delay = milliseconds(10)});
  const auto under_way = write(store_, "a");
  loop_.run_for(milliseconds(5));
  store_.set_link({.connected = false});
  const auto later = write(store_, "b");
  loop_.run_for(seconds(6));
  for (const auto& outcome : {under_way, later}) {
    ASSERT_TRUE(outcome->has_value());
    ASSERT_FALSE((*outcome)->has_value());
    EXPECT_EQ((*outcome)->error().code, ErrorCode::unavailable);
  }
  EXPECT_THAT(keys(), IsEmpty());
}

TEST_F(MemoryStoreTest, ABrokenConnectionLeavesTheOutcomeUnknown) {
  store_.set_link({.delay = milliseconds(10)});
  const auto arrived = write(store_, "a");
  loop_.run_for(milliseconds(15));
  const auto under_way = write(store_, "b");
  store_.break_calls();
  loop_.run_ready();
  for (const auto& outcome : {arrived, under_way}) {
    ASSERT_TRUE(outcome->has_value());
    ASSERT_FALSE((*outcome)->has_value());
    EXPECT_EQ((*outcome)->error().code, ErrorCode::unavailable);
  }
  loop_.run_for(milliseconds(20));
  EXPECT_THAT(keys(), ElementsAre("a", "b"));
}

TEST_F(MemoryStoreTest, WhatWasSentArrivesAlsoWhenTheClientIsGone) {
  auto session = std::make_unique<MemoryStore>(loop_, registry_, seconds(5));
  session->set_link({.delay = milliseconds(10)});
  write(*session, "a");
  session.reset();
  loop_.run_for(milliseconds(10));
  EXPECT_THAT(keys(), ElementsAre("a"));
}

TEST_F(MemoryStoreTest, AClientThatStandsStillHearsLaterOfWhatItDid) {
  LocalLoop process(loop_);
  MemoryStore session(process, registry_, seconds(5));
  session.set_link({.delay = milliseconds(10)});
  const auto outcome = write(session, "a");
  watch(session, "", 1);
  process.hold(/*clock_stops=*/false);
  loop_.run_for(seconds(1));
  EXPECT_THAT(keys(), ElementsAre("a"));
  EXPECT_FALSE(outcome->has_value());
  EXPECT_THAT(seen_, IsEmpty());
  process.go_on();
  loop_.run_ready();
  EXPECT_TRUE(outcome->has_value());
  EXPECT_THAT(seen_, ElementsAre("a"));
}

TEST_F(MemoryStoreTest, CallsOvertakeEachOtherOnAnUnsteadyLine) {
  store_.set_link({.jitter = milliseconds(50)});
  for (int i = 0; i < 20; ++i) write(store_, "k" + std::to_string(100 + i));
  loop_.run_for(milliseconds(100));
  const std::vector<KeyValue> values = registry_.read({.key = "", .prefix = true}, 0)->values;
  ASSERT_EQ(values.size(), 20U);
  EXPECT_FALSE(std::ranges::is_sorted(values, {}, &KeyValue::mod_revision));
}

TEST_F(MemoryStoreTest, EndsWatchesAsAStoreThatRefusesThem) {
  watch(store_, "", 1);
  loop_.run_ready();
  store_.end_watches({ErrorCode::denied, "no"});
  write(other_, "a");
  loop_.run_ready();
  EXPECT_THAT(ends_, ElementsAre(ErrorCode::denied));
  EXPECT_THAT(seen_, IsEmpty());
}

TEST_F(MemoryStoreTest, WatchesKeepTheirOrderWhenTheDelayShrinks) {
  watch(store_, "", 1);
  loop_.run_ready();
  store_.set_link({.delay = milliseconds(50)});
  write(other_, "a");
  loop_.run_ready();
  store_.set_link({});
  write(other_, "b");
  loop_.run_for(milliseconds(100));
  EXPECT_THAT(seen_, ElementsAre("a", "b"));
}

TEST_F(MemoryStoreTest, WatchesLoseAndRepeatNothingOnABadLine) {
  watch(store_, "", 1);
  for (int i = 0; i < 50; ++i) {
    // Connected, cut, deaf, and slow, in turn.
    store_.set_link({.connected = i % 4 != 1,
                     .replies_lost = i % 4 == 2,
                     .delay = milliseconds(i % 4 == 3 ? 7 : 0)});
    write(other_, "k" + std::to_string(100 + i));
    loop_.run_for(milliseconds(3));
  }
  store_.set_link({});
  loop_.run_for(milliseconds(20));
  EXPECT_EQ(seen_, keys());
  EXPECT_THAT(ends_, IsEmpty());
}

TEST_F(MemoryStoreTest, AWatchEndsIfItsLineIsCutForTooLong) {
  watch(store_, "", 1);
  loop_.run_ready();
  store_.set_link({.connected = false});
  write(other_, "a");
  loop_.run_ready();
  registry_.compact(registry_.revision());
  store_.set_link({});
  loop_.run_ready();
  EXPECT_THAT(seen_, IsEmpty());
  EXPECT_THAT(ends_, ElementsAre(ErrorCode::compacted));
}

TEST_F(MemoryStoreTest, ALeaseRunsOutOnACutLineAndIsLostWhenItIsWhole) {
  std::vector<ErrorCode> lost;
  const LeaseId lease = registry_.grant_lease(seconds(3));
  store_.keep_lease(lease, seconds(3), {.on_renewed = {}, .on_lost = [&](const Error& error) {
                                          lost.push_back(error.code);
                                        }});
  write(other_, "mine", lease);
  loop_.run_for(seconds(60));
  EXPECT_THAT(keys(), ElementsAre("mine"));
  store_.set_link({.connected = false});
  loop_.run_for(seconds(4));
  EXPECT_THAT(keys(), IsEmpty());
  EXPECT_THAT(lost, IsEmpty());
  store_.set_link({});
  loop_.run_for(seconds(1));
  EXPECT_THAT(lost, ElementsAre(ErrorCode::not_found));
}

}  // namespace
}  // namespace fleet
