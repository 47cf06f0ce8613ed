// Revisions, reads and transactions.
#include <algorithm>
#include <limits>

#include <gmock/gmock.h>

#include "base/limits.h"
#include "tests/contract/store_contract.h"

namespace fleet {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Field = Compare::Field;
using Relation = Compare::Relation;

TEST_P(StoreContract, RevisionsGrowByOneWithEachChange) {
  const Revision before = revision();
  EXPECT_GT(before, 0);
  EXPECT_EQ(put("a", "1"), before + 1);
  EXPECT_EQ(put("b", "1"), before + 2);
  EXPECT_EQ(remove(one("a")), before + 3);
  EXPECT_EQ(revision(), before + 3);
}

TEST_P(StoreContract, WhatChangesNothingMakesNoRevision) {
  const Revision before = put("a", "1");
  EXPECT_EQ(remove(one("missing")), before);
  EXPECT_TRUE(holds({.range = one("a"),
                     .field = Field::mod_revision,
                     .relation = Relation::equal,
                     .operand = before}));
  EXPECT_EQ(revision(), before);
  EXPECT_GT(put("a", "1"), before) << "a put of the same value is a change";
}

TEST_P(StoreContract, KeyValuesCarryTheirRevisions) {
  const Revision first = put("a", "1");
  const Revision second = put("a", "2");
  EXPECT_THAT(
      values(one("a")),
      ElementsAre(KeyValue{
          .key = "a", .value = "2", .create_revision = first, .mod_revision = second, .lease = 0}));
  remove(one("a"));
  const Revision again = put("a", "3");
  EXPECT_THAT(
      values(one("a")),
      ElementsAre(KeyValue{
          .key = "a", .value = "3", .create_revision = again, .mod_revision = again, .lease = 0}));
}

TEST_P(StoreContract, ReadsByBytesAscending) {
  const std::string zero("p\0z", 3);
  put("p", "");
  put("p\xff\xff", "");
  put("p\xffz", "");
  put("pa", "");
  put(zero, "");
  put("pB", "");
  put("o", "");
  put("q", "");
  EXPECT_THAT(keys(under("p")), ElementsAre("p", zero, "pB", "pa", "p\xffz", "p\xff\xff"));
  EXPECT_THAT(keys(under("p\xff")), ElementsAre("p\xffz", "p\xff\xff"));
  EXPECT_THAT(keys(under("p\xff\xff")), ElementsAre("p\xff\xff"));
  EXPECT_THAT(keys(one("p")), ElementsAre("p"));
  EXPECT_THAT(keys(under("")), testing::SizeIs(8));
}

TEST_P(StoreContract, HoldsAnyBytesAndEmptyValues) {
  std::string every;
  for (int byte = 0; byte < 256; ++byte) every.push_back(static_cast<char>(byte));
  put(every, every);
  put("empty", "");
  EXPECT_EQ(values(one(every)).at(0).value, every);
  EXPECT_EQ(values(one("empty")).at(0).value, "");
}

TEST_P(StoreContract, ReadsWhatIsNotThereAsNothing) {
  EXPECT_THAT(values(one("missing")), IsEmpty());
  EXPECT_THAT(values(under("missing/")), IsEmpty());
  EXPECT_EQ(read(store_, one("missing"))->revision, revision());
}

TEST_P(StoreContract, ReadsAreLinearizableAcrossSessions) {
  Store& other = world_->session();
  for (int i = 0; i < 50; ++i) {
    const Revision written = put("a", std::to_string(i));
    const auto result = read(other, one("a"));
    ASSERT_TRUE(result.has_value()) << result.error().message;
    EXPECT_GE(result->revision, written);
    EXPECT_EQ(result->values.at(0).value, std::to_string(i));
  }
}

TEST_P(StoreContract, ReadsAsOfAnOldRevision) {
  const Revision first = put("a/1", "one");
  const Revision second = put("a/2", "two");
  const Revision third = put("a/1", "changed");
  const Revision fourth = remove(under("a/"));
  put("a/2", "anew");
  EXPECT_THAT(keys(under("a/"), first), ElementsAre("a/1"));
  EXPECT_THAT(keys(under("a/"), second), ElementsAre("a/1", "a/2"));
  EXPECT_EQ(values(one("a/1"), second).at(0).value, "one");
  EXPECT_EQ(values(one("a/1"), third).at(0).value, "changed");
  EXPECT_EQ(values(one("a/1"), third).at(0).create_revision, first);
  EXPECT_THAT(keys(under("a/"), fourth), IsEmpty());
  EXPECT_THAT(keys(under("a/")), ElementsAre("a/2"));
  EXPECT_EQ(read(store_, under("a/"), second)->revision, second);
}

TEST_P(StoreContract, ReadsLargeRangesWhole) {
  // Many keys, and values so large that a page of as many keys as that would not pass.
  constexpr int kKeys = 2500;
  for (int i = 0; i < kKeys;) {
    Transaction transaction;
    for (; i < kKeys && transaction.operations.size() < limits::kTransactionOperations; ++i) {
      transaction.operations.push_back(
          Put{.key = "many/" + std::to_string(10'000 + i), .value = std::to_string(i), .lease = 0});
    }
    ASSERT_TRUE(commit(store_, std::move(transaction)).has_value());
  }
  const std::string large(900 * 1024, 'x');
  for (int i = 0; i < 22; ++i) put("many/9" + std::to_string(10 + i), large);
  const auto result = read(store_, under("many/"));
  ASSERT_TRUE(result.has_value()) << result.error().message;
  ASSERT_EQ(result->values.size(), kKeys + 22U);
  EXPECT_TRUE(std::ranges::is_sorted(result->values, {}, &KeyValue::key));
  EXPECT_EQ(result->values.at(1234).value, "1234");
  EXPECT_EQ(result->values.back().value, large);
}

TEST_P(StoreContract, ReadsOfCompactedRevisionsFail) {
  const Revision first = put("a", "1");
  const Revision second = put("a", "2");
  put("a", "3");
  world_->compact(second);
  const auto gone = read(store_, one("a"), first);
  ASSERT_FALSE(gone.has_value());
  EXPECT_EQ(gone.error().code, ErrorCode::compacted);
  EXPECT_EQ(values(one("a"), second).at(0).value, "2");
  EXPECT_EQ(values(one("a")).at(0).value, "3");
}

TEST_P(StoreContract, ReadsOfRevisionsToComeAreInvalid) {
  const auto result = read(store_, one("a"), revision() + 10);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::invalid);
}

TEST_P(StoreContract, TheEmptyKeyIsInvalid) {
  EXPECT_EQ(read(store_, one("")).error().code, ErrorCode::invalid);
  EXPECT_EQ(
      commit(store_, {.compares = {}, .operations = {Put{.key = "", .value = "", .lease = 0}}})
          .error()
          .code,
      ErrorCode::invalid);
}

TEST_P(StoreContract, TransactionsWriteAtOneRevisionOrNotAtAll) {
  put("old/1", "");
  put("old/2", "");
  Transaction transaction{.compares = {{.range = one("leader"),
                                        .field = Field::create_revision,
                                        .relation = Relation::equal,
                                        .operand = 0}},
                          .operations = {Put{.key = "a", .value = "1", .lease = 0},
                                         Put{.key = "leader", .value = "me", .lease = 0},
                                         Delete{.range = under("old/")}}};
  const auto done = commit(store_, transaction);
  ASSERT_TRUE(done.has_value()) << done.error().message;
  EXPECT_TRUE(done->committed);
  EXPECT_EQ(values(one("a")).at(0).mod_revision, done->revision);
  EXPECT_EQ(values(one("leader")).at(0).mod_revision, done->revision);
  EXPECT_THAT(keys(under("old/")), IsEmpty());
  EXPECT_THAT(keys(under("old/"), done->revision - 1), ElementsAre("old/1", "old/2"));

  transaction.operations = {Put{.key = "a", .value = "2", .lease = 0}};
  const auto refused = commit(store_, transaction);
  ASSERT_TRUE(refused.has_value()) << refused.error().message;
  EXPECT_FALSE(refused->committed);
  EXPECT_EQ(refused->revision, done->revision);
  EXPECT_EQ(values(one("a")).at(0).value, "1");
}

TEST_P(StoreContract, ComparesOneKeyInEveryWay) {
  const Revision created = put("a", "1");
  const Revision changed = put("a", "2");
  const auto check = [&](Field field, Revision actual) {
    for (const Revision operand : {actual - 1, actual, actual + 1}) {
      const auto with = [&](Relation relation) {
        return holds({.range = one("a"), .field = field, .relation = relation, .operand = operand});
      };
      EXPECT_EQ(with(Relation::equal), actual == operand);
      EXPECT_EQ(with(Relation::less), actual < operand);
      EXPECT_EQ(with(Relation::greater), actual > operand);
    }
  };
  check(Field::create_revision, created);
  check(Field::mod_revision, changed);
}

TEST_P(StoreContract, ComparesEveryKeyUnderAPrefix) {
  const Revision first = put("p/1", "");
  const Revision second = put("p/2", "");
  put("q", "");
  const auto with = [&](Field field, Relation relation, Revision operand) {
    return holds({.range = under("p/"), .field = field, .relation = relation, .operand = operand});
  };
  EXPECT_TRUE(with(Field::mod_revision, Relation::less, second + 1));
  EXPECT_FALSE(with(Field::mod_revision, Relation::less, second));
  EXPECT_TRUE(with(Field::mod_revision, Relation::greater, first - 1));
  EXPECT_FALSE(with(Field::mod_revision, Relation::greater, first));
  EXPECT_FALSE(with(Field::mod_revision, Relation::equal, first));
  const Revision changed = put("p/1", "again");
  EXPECT_FALSE(with(Field::mod_revision, Relation::less, changed));
  EXPECT_TRUE(with(Field::create_revision, Relation::less, second + 1));
  EXPECT_FALSE(with(Field::create_revision, Relation::less, second));
  EXPECT_FALSE(with(Field::create_revision, Relation::equal, 0));
}

TEST_P(StoreContract, WhatDoesNotExistComparesAsRevisionsOfZero) {
  const Revision now = put("other", "");
  for (const KeyRange& range : {one("missing"), under("missing/")}) {
    for (const Field field : {Field::create_revision, Field::mod_revision}) {
      const auto with = [&](Relation relation, Revision operand) {
        return holds({.range = range, .field = field, .relation = relation, .operand = operand});
      };
      EXPECT_TRUE(with(Relation::equal, 0));
      EXPECT_FALSE(with(Relation::equal, now));
      EXPECT_TRUE(with(Relation::less, 1));
      EXPECT_TRUE(with(Relation::less, now));
      EXPECT_FALSE(with(Relation::less, 0));
      EXPECT_FALSE(with(Relation::greater, 0));
      EXPECT_FALSE(with(Relation::greater, now));
    }
  }
}

TEST_P(StoreContract, EveryComparisonMustHold) {
  const Compare yes{.range = one("a"),
                    .field = Field::create_revision,
                    .relation = Relation::equal,
                    .operand = 0};
  const Compare no{.range = one("a"),
                   .field = Field::create_revision,
                   .relation = Relation::greater,
                   .operand = 0};
  const Put write{.key = "b", .value = "", .lease = 0};
  EXPECT_FALSE(commit(store_, {.compares = {yes, no}, .operations = {write}})->committed);
  EXPECT_FALSE(commit(store_, {.compares = {no, yes}, .operations = {write}})->committed);
  EXPECT_TRUE(commit(store_, {.compares = {yes, yes}, .operations = {write}})->committed);
}

TEST_P(StoreContract, OnlyOneOfTwoRivalsWins) {
  Store& other = world_->session();
  int won = 0;
  int ended = 0;
  const auto count = [&](const Result<TransactionResult>& result) {
    ASSERT_TRUE(result.has_value()) << result.error().message;
    won += result->committed ? 1 : 0;
    ++ended;
  };
  for (Store* store : {&store_, &other, &store_, &other}) {
    store->commit({.compares = {{.range = one("leader"),
                                 .field = Field::create_revision,
                                 .relation = Relation::equal,
                                 .operand = 0}},
                   .operations = {Put{.key = "leader", .value = "", .lease = 0}}},
                  count);
  }
  ASSERT_TRUE(loop_.run_until([&] { return ended == 4; }));
  EXPECT_EQ(won, 1);
}

TEST_P(StoreContract, TransactionsAsLargeAsTheLimitsPass) {
  Transaction transaction;
  for (std::size_t i = 0; i < limits::kTransactionOperations; ++i) {
    const std::string key = "k" + std::to_string(i);
    transaction.compares.push_back({.range = one(key),
                                    .field = Field::mod_revision,
                                    .relation = Relation::equal,
                                    .operand = 0});
    transaction.operations.push_back(Put{.key = key, .value = std::string(8'000, 'v'), .lease = 0});
  }
  const auto result = commit(store_, std::move(transaction));
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_TRUE(result->committed);
}

TEST_P(StoreContract, TransactionsPastTheLimitsAreRefused) {
  const Revision before = revision();
  const auto refusal = [&](Transaction transaction) {
    const auto result = commit(store_, std::move(transaction));
    EXPECT_FALSE(result.has_value());
    return result ? ErrorCode::failed : result.error().code;
  };
  Transaction operations;
  Transaction compares;
  Transaction bytes;
  for (std::size_t i = 0; i <= limits::kTransactionOperations; ++i) {
    const std::string key = "k" + std::to_string(i);
    operations.operations.push_back(Put{.key = key, .value = "", .lease = 0});
    compares.compares.push_back({.range = one(key),
                                 .field = Field::mod_revision,
                                 .relation = Relation::equal,
                                 .operand = 0});
  }
  for (int i = 0; i < 3; ++i) {
    bytes.operations.push_back(Put{.key = std::to_string(i),
                                   .value = std::string(limits::kTransactionBytes / 3, 'v'),
                                   .lease = 0});
  }
  EXPECT_EQ(refusal(operations), ErrorCode::invalid);
  EXPECT_EQ(refusal(compares), ErrorCode::invalid);
  EXPECT_EQ(refusal(bytes), ErrorCode::too_large);
  EXPECT_EQ(refusal({.compares = {},
                     .operations = {Put{.key = "a",
                                        .value = std::string(limits::kRegistryValueBytes + 1, 'v'),
                                        .lease = 0}}}),
            ErrorCode::too_large);
  EXPECT_EQ(revision(), before);
}

TEST_P(StoreContract, NoKeyMayBeWrittenTwice) {
  const Revision before = revision();
  const Put put_one{.key = "a/1", .value = "", .lease = 0};
  const Delete remove_one{.range = one("a/1")};
  const Delete remove_all{.range = under("a/")};
  const std::vector<std::vector<Operation>> cases = {
      {put_one, put_one},       {put_one, remove_one},    {remove_one, put_one},
      {remove_all, put_one},    {put_one, remove_all},    {remove_one, remove_all},
      {remove_all, remove_all}, {remove_one, remove_one},
  };
  for (const auto& operations : cases) {
    const auto result = commit(store_, {.compares = {}, .operations = operations});
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, ErrorCode::invalid);
  }
  EXPECT_EQ(revision(), before);
}

TEST_P(StoreContract, CallsFailWithinTheTimeoutWhenTheStoreGivesNoAnswer) {
  put("a", "1");
  world_->freeze();
  const Time begin = loop_.now();
  int ended = 0;
  const auto check = [&](const auto& result) {
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, ErrorCode::unavailable) << result.error().message;
    ++ended;
  };
  store_.read(one("a"), 0, check);
  store_.commit({.compares = {}, .operations = {Put{.key = "a", .value = "2", .lease = 0}}}, check);
  store_.grant_lease(std::chrono::seconds(5), check);
  store_.revoke_lease(1, check);
  EXPECT_TRUE(loop_.run_until([&] { return ended == 4; }));
  EXPECT_LT(loop_.now() - begin, StoreWorld::kRequestTimeout + std::chrono::seconds(1));
  world_->thaw();
  EXPECT_EQ(values(one("a")).size(), 1U) << "the session goes on by itself";
}

TEST_P(StoreContract, CallsFailWithinTheTimeoutWhenThereIsNoStore) {
  put("a", "1");
  world_->kill();
  const Time begin = loop_.now();
  int ended = 0;
  const auto check = [&](const auto& result) {
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, ErrorCode::unavailable) << result.error().message;
    ++ended;
  };
  store_.read(one("a"), 0, check);
  store_.commit({.compares = {}, .operations = {Put{.key = "b", .value = "", .lease = 0}}}, check);
  store_.grant_lease(std::chrono::seconds(5), check);
  store_.revoke_lease(1, check);
  EXPECT_TRUE(loop_.run_until([&] { return ended == 4; }));
  EXPECT_LT(loop_.now() - begin, StoreWorld::kRequestTimeout + std::chrono::seconds(1));
  world_->restart();
  Result<ReadResult> result = read(store_, one("a"));
  const Time deadline = loop_.now() + std::chrono::seconds(15);
  while (!result && loop_.now() < deadline) result = read(store_, one("a"));
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_EQ(result->values.at(0).value, "1");
}

TEST_P(StoreContract, NoCallbackAfterTheSessionHasEnded) {
  put("a", "1");
  const LeaseId id = lease(std::chrono::seconds(30));
  Store& doomed = world_->session();
  int called = 0;
  const auto count = [&](const auto&...) { ++called; };
  doomed.watch(under(""), 1, {.on_batch = count, .on_end = count});
  doomed.keep_lease(id, std::chrono::seconds(30), {.on_renewed = count, .on_lost = count});
  doomed.read(under(""), 0, count);
  doomed.commit({.compares = {}, .operations = {Put{.key = "a", .value = "2", .lease = 0}}}, count);
  doomed.grant_lease(std::chrono::seconds(5), count);
  doomed.revoke_lease(id, count);
  world_->end_session(doomed);
  put("a", "3");
  loop_.run_for(std::chrono::milliseconds(100));
  EXPECT_EQ(called, 0);
}

TEST_P(StoreContract, ASessionMayEndWithinItsOwnCallback) {
  put("a", "1");
  for (int kind = 0; kind < 3; ++kind) {
    Store& doomed = world_->session();
    int called = 0;
    const auto end = [&](const auto&...) {
      ++called;
      world_->end_session(doomed);
    };
    if (kind == 0) doomed.read(one("a"), 0, end);
    if (kind == 1) doomed.watch(one("a"), 1, {.on_batch = end, .on_end = end});
    if (kind == 2) {
      doomed.keep_lease(12'345, std::chrono::seconds(30), {.on_renewed = end, .on_lost = end});
    }
    EXPECT_TRUE(loop_.run_until([&] { return called == 1; }));
  }
  loop_.run_for(std::chrono::milliseconds(50));
}

}  // namespace
}  // namespace fleet
