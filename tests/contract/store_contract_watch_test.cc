// Watches: from where, in what order, through what.
#include <set>

#include <gmock/gmock.h>

#include "base/limits.h"
#include "tests/contract/store_contract.h"

namespace fleet {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> event_values(const Watched& watched) {
  std::vector<std::string> found;
  for (const WatchEvent& event : watched.events) {
    found.push_back(event.kind == WatchEvent::Kind::put ? event.value.key + "=" + event.value.value
                                                        : event.value.key + " removed");
  }
  return found;
}

// The batches must be ordered, whole, and say the revision of their last event.
void expect_well_formed(const Watched& watched) {
  Revision last = 0;
  for (const WatchBatch& batch : watched.batches) {
    ASSERT_FALSE(batch.events.empty());
    EXPECT_GT(batch.events.front().value.mod_revision, last) << "a revision was split or repeated";
    last = batch.events.front().value.mod_revision;
    for (const WatchEvent& event : batch.events) {
      EXPECT_GE(event.value.mod_revision, last);
      last = event.value.mod_revision;
    }
    EXPECT_EQ(batch.revision, last);
  }
}

TEST_P(StoreContract, WatchesDeliverWhatHappensInTheirRange) {
  Watched prefix;
  Watched single;
  const Revision from = revision() + 1;
  const WatchId first = store_.watch(under("a/"), from, prefix.callbacks());
  const WatchId second = store_.watch(one("a/1"), from, single.callbacks());
  EXPECT_NE(first, 0U);
  EXPECT_NE(second, 0U);
  EXPECT_NE(first, second);
  put("a", "not in it");
  const Revision created = put("a/1", "x");
  const Revision changed = put("a/1", "y");
  put("a/2", "z");
  put("b/1", "not in it");
  const Revision removed = remove(under("a/"));
  ASSERT_TRUE(
      loop_.run_until([&] { return prefix.events.size() == 5 && single.events.size() == 3; }));
  EXPECT_THAT(event_values(prefix),
              ElementsAre("a/1=x", "a/1=y", "a/2=z", "a/1 removed", "a/2 removed"));
  EXPECT_THAT(single.events, ElementsAre(WatchEvent{.kind = WatchEvent::Kind::put,
                                                    .value = {.key = "a/1",
                                                              .value = "x",
                                                              .create_revision = created,
                                                              .mod_revision = created,
                                                              .lease = 0}},
                                         WatchEvent{.kind = WatchEvent::Kind::put,
                                                    .value = {.key = "a/1",
                                                              .value = "y",
                                                              .create_revision = created,
                                                              .mod_revision = changed,
                                                              .lease = 0}},
                                         WatchEvent{.kind = WatchEvent::Kind::removed,
                                                    .value = {.key = "a/1",
                                                              .value = "",
                                                              .create_revision = 0,
                                                              .mod_revision = removed,
                                                              .lease = 0}}));
  expect_well_formed(prefix);
  expect_well_formed(single);
}

TEST_P(StoreContract, WatchesBeginAtAnyRevision) {
  put("a", "1");
  const Revision second = put("a", "2");
  put("b", "1");
  put("a", "3");
  const Revision future = revision() + 2;
  Watched past;
  Watched ahead;
  Watched all;
  store_.watch(one("a"), second, past.callbacks());
  store_.watch(one("a"), future, ahead.callbacks());
  store_.watch(under(""), 1, all.callbacks());
  put("a", "4");
  put("a", "5");
  ASSERT_TRUE(loop_.run_until([&] {
    return past.events.size() == 4 && ahead.events.size() == 1 && all.events.size() == 6;
  }));
  EXPECT_THAT(event_values(past), ElementsAre("a=2", "a=3", "a=4", "a=5"));
  EXPECT_THAT(event_values(ahead), ElementsAre("a=5"));
  expect_well_formed(all);
}

TEST_P(StoreContract, AWatchBeginsAtRevisionOneOrLater) {
  Watched watched;
  store_.watch(one("a"), 0, watched.callbacks());
  EXPECT_THAT(watched.ends, IsEmpty()) << "a callback ran from within the call";
  ASSERT_TRUE(loop_.run_until([&] { return !watched.ends.empty(); }));
  EXPECT_EQ(watched.ends.at(0).code, ErrorCode::invalid);
  Watched keyless;
  store_.watch(one(""), 1, keyless.callbacks());
  ASSERT_TRUE(loop_.run_until([&] { return !keyless.ends.empty(); }));
  EXPECT_EQ(keyless.ends.at(0).code, ErrorCode::invalid);
}

TEST_P(StoreContract, WatchesDeliverWholeRevisions) {
  // Revisions of many and of large events, so that a store which splits its answers by size would.
  Watched live;
  const Revision from = revision() + 1;
  store_.watch(under("w/"), from, live.callbacks());
  const std::string large(60'000, 'x');
  for (int round = 0; round < 4; ++round) {
    Transaction many;
    Transaction big;
    for (std::size_t i = 0; i < limits::kTransactionOperations; ++i) {
      many.operations.push_back(Put{.key = "w/" + std::to_string(i), .value = "v", .lease = 0});
    }
    for (int i = 0; i < 16; ++i) {
      big.operations.push_back(Put{.key = "w/big" + std::to_string(i), .value = large, .lease = 0});
    }
    ASSERT_TRUE(commit(store_, many).has_value());
    ASSERT_TRUE(commit(store_, big).has_value());
  }
  remove(under("w/"));
  Watched later;
  store_.watch(under("w/"), from, later.callbacks());
  constexpr std::size_t kEvents = 5 * (limits::kTransactionOperations + 16);
  ASSERT_TRUE(loop_.run_until(
      [&] { return live.events.size() == kEvents && later.events.size() == kEvents; }));
  EXPECT_EQ(live.events, later.events);
  expect_well_formed(live);
  expect_well_formed(later);
}

TEST_P(StoreContract, WatchesShowTheLeaseOfAPut) {
  const LeaseId id = lease(std::chrono::seconds(30));
  Watched watched;
  store_.watch(one("a"), put("a", "1", id), watched.callbacks());
  ASSERT_TRUE(loop_.run_until([&] { return !watched.events.empty(); }));
  EXPECT_EQ(watched.events.at(0).value.lease, id);
}

TEST_P(StoreContract, CancelledWatchesAreSilent) {
  Watched cancelled;
  Watched kept;
  const Revision from = revision() + 1;
  const WatchId id = store_.watch(one("a"), from, cancelled.callbacks());
  store_.watch(one("a"), from, kept.callbacks());
  put("a", "1");
  ASSERT_TRUE(loop_.run_until([&] { return !cancelled.events.empty() && !kept.events.empty(); }));
  store_.cancel_watch(id);
  store_.cancel_watch(id);
  store_.cancel_watch(0);
  store_.cancel_watch(4711);
  put("a", "2");
  ASSERT_TRUE(loop_.run_until([&] { return kept.events.size() == 2; }));
  loop_.run_for(std::chrono::milliseconds(50));
  EXPECT_EQ(cancelled.events.size(), 1U);
  EXPECT_THAT(cancelled.ends, IsEmpty());
}

TEST_P(StoreContract, AWatchMayBeCancelledWithinItsOwnCallback) {
  put("a", "1");
  put("a", "2");
  int batches = 0;
  WatchId id = 0;
  id = store_.watch(one("a"), 1,
                    {.on_batch =
                         [&](const WatchBatch&) {
                           ++batches;
                           store_.cancel_watch(id);
                         },
                     .on_end = {}});
  ASSERT_TRUE(loop_.run_until([&] { return batches > 0; }));
  put("a", "3");
  loop_.run_for(std::chrono::milliseconds(50));
  EXPECT_EQ(batches, 1);
}

TEST_P(StoreContract, AWatchOfACompactedRevisionEnds) {
  const Revision first = put("a", "1");
  put("a", "2");
  const Revision third = remove(one("a"));
  put("a", "4");
  world_->compact(third);
  Watched before;
  Watched at;
  Watched after;
  store_.watch(one("a"), first, before.callbacks());
  // The removal at the compacted revision itself is gone from etcd, though it takes such a watch.
  store_.watch(one("a"), third, at.callbacks());
  store_.watch(one("a"), third + 1, after.callbacks());
  ASSERT_TRUE(loop_.run_until(
      [&] { return !before.ends.empty() && !at.ends.empty() && !after.events.empty(); }));
  EXPECT_EQ(before.ends.at(0).code, ErrorCode::compacted);
  EXPECT_EQ(at.ends.at(0).code, ErrorCode::compacted);
  EXPECT_THAT(event_values(after), ElementsAre("a=4"));
  put("a", "5");
  ASSERT_TRUE(loop_.run_until([&] { return after.events.size() == 2; }));
  EXPECT_THAT(before.events, IsEmpty());
  EXPECT_THAT(at.events, IsEmpty());
  EXPECT_EQ(before.ends.size(), 1U);
  EXPECT_THAT(after.ends, IsEmpty());
}

TEST_P(StoreContract, ALiveWatchOutlivesCompaction) {
  Watched watched;
  store_.watch(one("a"), revision() + 1, watched.callbacks());
  put("a", "1");
  ASSERT_TRUE(loop_.run_until([&] { return watched.events.size() == 1; }));
  put("b", "1");
  world_->compact(put("b", "2"));
  put("a", "2");
  ASSERT_TRUE(loop_.run_until([&] { return watched.events.size() == 2; }));
  EXPECT_THAT(watched.ends, IsEmpty());
}

TEST_P(StoreContract, WatchesLoseAndRepeatNothingWhenTheStoreIsKilled) {
  Watched watched;
  Store& writer = world_->session();
  store_.watch(under("n/"), revision() + 1, watched.callbacks());
  std::vector<std::string> acknowledged;
  int number = 0;
  const auto write = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const std::string key = "n/" + std::to_string(++number);
      const auto result = commit(
          writer, {.compares = {}, .operations = {Put{.key = key, .value = "", .lease = 0}}});
      if (result) acknowledged.push_back(key);
    }
  };
  write(50);
  for (int round = 0; round < 2; ++round) {
    world_->kill();
    world_->restart();
    // Written before the watch is whole again, most likely.
    ASSERT_TRUE(loop_.run_until([&] {
      const std::size_t before = acknowledged.size();
      write(1);
      return acknowledged.size() > before;
    }));
    write(50);
  }
  put("n/last", "");
  ASSERT_TRUE(loop_.run_until(
      [&] { return !watched.events.empty() && watched.events.back().value.key == "n/last"; }));
  expect_well_formed(watched);
  std::set<std::string> seen;
  for (const WatchEvent& event : watched.events) {
    EXPECT_TRUE(seen.insert(event.value.key).second) << event.value.key << " came twice";
  }
  for (const std::string& key : acknowledged) EXPECT_TRUE(seen.contains(key)) << key;
  EXPECT_THAT(watched.ends, IsEmpty());
}

TEST_P(StoreContract, AWatchThatWasCutOffForLongerThanHistoryIsKeptEnds) {
  Watched watched;
  put("a", "1");
  store_.watch(one("a"), 1, watched.callbacks());
  ASSERT_TRUE(loop_.run_until([&] { return watched.events.size() == 1; }));
  world_->kill();
  world_->restart_compacted("a");
  ASSERT_TRUE(loop_.run_until([&] { return !watched.ends.empty() || watched.events.size() > 1; }));
  ASSERT_EQ(watched.ends.size(), 1U);
  EXPECT_EQ(watched.ends.at(0).code, ErrorCode::compacted);
  EXPECT_EQ(watched.events.size(), 1U);
}

}  // namespace
}  // namespace fleet
