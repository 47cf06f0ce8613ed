// Leases: what hangs on them, how they are kept, how they end.
#include <thread>

#include <gmock/gmock.h>

#include "tests/contract/store_contract.h"

namespace fleet {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr LeaseId kNoSuchLease = 424'242;

TEST_P(StoreContract, LeasesAreDistinctAndNotZero) {
  const LeaseId first = lease(seconds(30));
  const LeaseId second = lease(seconds(30));
  EXPECT_NE(first, 0);
  EXPECT_NE(second, 0);
  EXPECT_NE(first, second);
}

TEST_P(StoreContract, KeysHangOnTheLeaseOfTheirLastPut) {
  const LeaseId first = lease(seconds(30));
  const LeaseId second = lease(seconds(30));
  put("moved", "", first);
  put("detached", "", first);
  put("attached", "");
  put("deleted", "", first);
  put("stays", "", first);
  put("moved", "", second);
  put("detached", "");
  put("attached", "", first);
  remove(one("deleted"));
  put("deleted", "");
  EXPECT_EQ(values(one("moved")).at(0).lease, second);
  EXPECT_EQ(values(one("detached")).at(0).lease, 0);
  EXPECT_EQ(values(one("attached")).at(0).lease, first);
  ASSERT_TRUE(revoke(store_, first).has_value());
  EXPECT_THAT(keys(under("")), ElementsAre("deleted", "detached", "moved"));
  ASSERT_TRUE(revoke(store_, second).has_value());
  EXPECT_THAT(keys(under("")), ElementsAre("deleted", "detached"));
}

TEST_P(StoreContract, TellsHowLongALeaseLives) {
  const auto remaining = [this](LeaseId id) {
    return wait<seconds>([&](auto done) { store_.remaining_time(id, std::move(done)); });
  };
  const LeaseId id = lease(seconds(30));
  const Result<seconds> left = remaining(id);
  ASSERT_TRUE(left) << left.error().message;
  EXPECT_LE(*left, seconds(30));
  EXPECT_GE(*left, seconds(20)) << "it was granted a moment ago";
  ASSERT_TRUE(revoke(store_, id).has_value());
  EXPECT_EQ(remaining(id), seconds(0));
  EXPECT_EQ(remaining(kNoSuchLease), seconds(0));
}

TEST_P(StoreContract, ARevokedLeaseTakesItsKeysAtOneRevision) {
  const LeaseId id = lease(seconds(30));
  put("l/1", "", id);
  put("l/2", "", id);
  const Revision before = put("l/3", "", id);
  Watched watched;
  store_.watch(under("l/"), before + 1, watched.callbacks());
  ASSERT_TRUE(revoke(store_, id).has_value());
  EXPECT_THAT(keys(under("l/")), IsEmpty());
  ASSERT_TRUE(loop_.run_until([&] { return watched.events.size() == 3; }));
  ASSERT_EQ(watched.batches.size(), 1U);
  EXPECT_EQ(watched.batches.at(0).revision, before + 1);
  for (const WatchEvent& event : watched.events) {
    EXPECT_EQ(event.kind, WatchEvent::Kind::removed);
    EXPECT_EQ(event.value.mod_revision, before + 1);
  }
}

TEST_P(StoreContract, AnExpiredLeaseTakesItsKeysAtOneRevision) {
  const LeaseId id = lease(seconds(1));
  put("l/1", "", id);
  const Revision before = put("l/2", "", id);
  Watched watched;
  store_.watch(under("l/"), before + 1, watched.callbacks());
  ASSERT_TRUE(loop_.run_until([&] { return watched.events.size() == 2; }));
  ASSERT_EQ(watched.batches.size(), 1U);
  EXPECT_EQ(watched.batches.at(0).revision, before + 1);
  EXPECT_THAT(keys(under("l/")), IsEmpty());
}

TEST_P(StoreContract, ALeaseThatDoesNotExistCountsAsRevoked) {
  EXPECT_TRUE(revoke(store_, kNoSuchLease).has_value());
  const LeaseId id = lease(seconds(30));
  EXPECT_TRUE(revoke(store_, id).has_value());
  EXPECT_TRUE(revoke(store_, id).has_value());
}

TEST_P(StoreContract, APutWithALeaseThatDoesNotExistWritesNothing) {
  const Revision before = revision();
  const std::vector<Operation> operations = {
      Put{.key = "a", .value = "", .lease = 0},
      Put{.key = "b", .value = "", .lease = kNoSuchLease},
  };
  const auto result = commit(store_, {.compares = {}, .operations = operations});
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::not_found) << result.error().message;
  EXPECT_THAT(keys(under("")), IsEmpty());
  EXPECT_EQ(revision(), before);
  // Comparisons come first: where they fail nothing is looked at.
  const auto refused = commit(store_, {.compares = {{.range = one("a"),
                                                     .field = Compare::Field::mod_revision,
                                                     .relation = Compare::Relation::greater,
                                                     .operand = 0}},
                                       .operations = operations});
  ASSERT_TRUE(refused.has_value()) << refused.error().message;
  EXPECT_FALSE(refused->committed);
}

TEST_P(StoreContract, AKeptLeaseLivesAndAForgottenOneRunsOut) {
  const LeaseId id = lease(seconds(1));
  put("l", "", id);
  Kept kept;
  store_.keep_lease(id, seconds(1), kept.callbacks());
  EXPECT_EQ(kept.renewed, 0) << "a callback ran from within the call";
  const Time begin = loop_.now();
  // Renewals are at most a third of the TTL apart.
  ASSERT_TRUE(loop_.run_until([&] { return kept.renewed >= 9; }));
  EXPECT_GT(loop_.now() - begin, seconds(1)) << "renewed needlessly often";
  EXPECT_LT(loop_.now() - begin, seconds(5));
  EXPECT_THAT(keys(one("l")), ElementsAre("l"));
  store_.forget_lease(id);
  store_.forget_lease(id);
  store_.forget_lease(kNoSuchLease);
  const int renewed = kept.renewed;
  EXPECT_THAT(keys(one("l")), ElementsAre("l")) << "it is left to run out";
  EXPECT_TRUE(wait_until_gone(one("l")));
  EXPECT_EQ(kept.renewed, renewed);
  EXPECT_THAT(kept.lost, IsEmpty());
}

TEST_P(StoreContract, ARevokedLeaseIsNoLongerKept) {
  const LeaseId id = lease(seconds(1));
  Kept kept;
  store_.keep_lease(id, seconds(1), kept.callbacks());
  ASSERT_TRUE(loop_.run_until([&] { return kept.renewed > 0; }));
  ASSERT_TRUE(revoke(store_, id).has_value());
  const int renewed = kept.renewed;
  loop_.run_for(milliseconds(600));
  EXPECT_EQ(kept.renewed, renewed);
  EXPECT_THAT(kept.lost, IsEmpty()) << "whoever revokes a lease knows that it is gone";
}

TEST_P(StoreContract, ALeaseThatTheStoreDoesNotKnowIsLost) {
  Kept never;
  store_.keep_lease(kNoSuchLease, seconds(30), never.callbacks());
  Kept revoked;
  const LeaseId id = lease(seconds(1));
  store_.keep_lease(id, seconds(1), revoked.callbacks());
  ASSERT_TRUE(loop_.run_until([&] { return revoked.renewed > 0; }));
  ASSERT_TRUE(revoke(world_->session(), id).has_value());
  ASSERT_TRUE(loop_.run_until([&] { return !never.lost.empty() && !revoked.lost.empty(); }));
  const int renewed = revoked.renewed;
  loop_.run_for(milliseconds(600));
  EXPECT_EQ(never.lost.size(), 1U);
  EXPECT_EQ(revoked.lost.size(), 1U);
  EXPECT_EQ(never.renewed, 0);
  EXPECT_EQ(revoked.renewed, renewed);
  EXPECT_EQ(revoked.lost.at(0).code, ErrorCode::not_found);
}

TEST_P(StoreContract, ALossOfContactIsNotTheLossOfALease) {
  const LeaseId id = lease(seconds(30));
  put("l", "", id);
  Kept kept;
  store_.keep_lease(id, seconds(3), kept.callbacks());
  ASSERT_TRUE(loop_.run_until([&] { return kept.renewed > 0; }));
  world_->freeze();
  loop_.run_for(seconds(2));
  world_->thaw();
  int renewed = kept.renewed;
  ASSERT_TRUE(loop_.run_until([&] { return kept.renewed > renewed; }));
  world_->kill();
  loop_.run_for(seconds(1));
  world_->restart();
  renewed = kept.renewed;
  ASSERT_TRUE(loop_.run_until([&] { return kept.renewed > renewed; }));
  EXPECT_THAT(kept.lost, IsEmpty());
  EXPECT_THAT(keys(one("l")), ElementsAre("l"));
}

TEST_P(StoreContract, ALeaseIsKeptWhileTheLoopIsBusy) {
  const LeaseId id = lease(seconds(1));
  put("l", "", id);
  Kept kept;
  store_.keep_lease(id, seconds(1), kept.callbacks());
  ASSERT_TRUE(loop_.run_until([&] { return kept.renewed > 0; }));
  std::this_thread::sleep_for(seconds(4));  // this is the loop being busy
  EXPECT_THAT(keys(one("l")), ElementsAre("l"));
  EXPECT_THAT(kept.lost, IsEmpty());
  const int renewed = kept.renewed;
  ASSERT_TRUE(loop_.run_until([&] { return kept.renewed > renewed; }));
}

TEST_P(StoreContract, ASessionThatEndsLeavesItsLeaseToRunOut) {
  Store& doomed = world_->session();
  const LeaseId id = lease(seconds(1));
  put("l", "", id);
  Kept kept;
  doomed.keep_lease(id, seconds(1), kept.callbacks());
  ASSERT_TRUE(loop_.run_until([&] { return kept.renewed > 4; }));
  world_->end_session(doomed);
  EXPECT_THAT(keys(one("l")), ElementsAre("l"));
  EXPECT_TRUE(wait_until_gone(one("l")));
}

TEST_P(StoreContract, ManyLeasesAreKeptAtOnce) {
  std::vector<std::unique_ptr<Kept>> kept;
  for (int i = 0; i < 20; ++i) {
    const LeaseId id = lease(seconds(1));
    put("l/" + std::to_string(i), "", id);
    kept.push_back(std::make_unique<Kept>());
    store_.keep_lease(id, seconds(1), kept.back()->callbacks());
  }
  loop_.run_for(seconds(3));
  EXPECT_EQ(keys(under("l/")).size(), 20U);
  for (const auto& each : kept) EXPECT_THAT(each->lost, IsEmpty());
}

}  // namespace
}  // namespace fleet
