#include "engine/transactions.h"

#include <functional>
#include <memory>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "engine/engine.h"
#include "tests/support/registry_builder.h"

namespace fleet {
namespace {

class TransactionsTest : public testing::Test {
 protected:
  std::vector<PlannedTransaction> plan(const std::vector<std::string>& names) {
    const Registry& registry = builder_.get().registry();
    std::vector<std::vector<Decision>> groups;
    Placement placement = placement_of(registry);
    for (const auto& name : names) {
      groups.push_back(decide(registry, placement, name, context_).decisions);
    }
    return plan_transactions(registry, term_, groups);
  }

  void begin() {
    builder_.get().machine("m1");
    builder_.get().machine("m2");
    builder_.get().unit("a.service");
    term_ = builder_.get().lead("me");
    context_.term = term_;
  }

  std::unique_ptr<RegistryBuilder> held_ = std::make_unique<RegistryBuilder>();
  std::reference_wrapper<RegistryBuilder> builder_{*held_};
  Revision term_ = 0;
  DecideContext context_;
};

TEST_F(TransactionsTest, TakeEffectIfNothingHasChanged) {
  begin();
  const auto planned = plan({"a.service"});
  ASSERT_EQ(planned.size(), 1u);
  EXPECT_EQ(planned[0].units, std::set<std::string>{"a.service"});
  EXPECT_TRUE(builder_.get().commit(planned[0].transaction)->committed);
}

// Each of the keys that a decision is made from, when it changes, keeps it from taking effect.
TEST_F(TransactionsTest, AreFencedByEveryKeyThatTheyWereDecidedFrom) {
  const Keys keys;
  const std::vector<std::pair<const char*, std::function<void(RegistryBuilder&)>>> changes{
      {"leader", [&](RegistryBuilder& it) { it.lead("other"); }},
      {"no leader", [&](RegistryBuilder& it) { it.remove(keys.leader()); }},
      {"unit",
       [](RegistryBuilder& it) {
         it.put(it.keys().unit("a.service"), encode(RegistryBuilder::record("a.service")));
       }},
      {"unit gone", [&](RegistryBuilder& it) { it.remove(keys.unit("a.service")); }},
      {"target", [](RegistryBuilder& it) { it.want("a.service", UnitState::launched); }},
      {"destroyed", [](RegistryBuilder& it) { it.destroy("a.service"); }},
      {"record", [](RegistryBuilder& it) { it.schedule("m1", "a.service"); }},
      {"machine", [](RegistryBuilder& it) { it.machine("m1"); }},
      {"machine gone", [&](RegistryBuilder& it) { it.remove(keys.machine("m1")); }},
      {"metadata", [](RegistryBuilder& it) { it.metadata("m1", "a", "b"); }},
      {"metadata gone", [](RegistryBuilder& it) { it.metadata("m1", "a", ""); }},
      {"requirements", [&](RegistryBuilder& it) { it.put(keys.requirements(), R"({"v":1})"); }},
  };
  for (const auto& [what, change] : changes) {
    held_ = std::make_unique<RegistryBuilder>();
    builder_ = *held_;
    begin();
    const auto planned = plan({"a.service"});
    ASSERT_EQ(planned.size(), 1u);
    change(builder_);
    EXPECT_FALSE(builder_.get().commit(planned[0].transaction)->committed) << what;
  }
}

TEST_F(TransactionsTest, ForgetATombstoneOnlyIfTheUnitWasNotMadeAnew) {
  begin();
  builder_.get().destroy("a.service");
  const auto planned = plan({"a.service"});
  ASSERT_EQ(planned.size(), 1u);
  builder_.get().unit("a.service");
  EXPECT_FALSE(builder_.get().commit(planned[0].transaction)->committed);
  EXPECT_TRUE(builder_.get().registry().unit("a.service")->is_known());
}

TEST_F(TransactionsTest, MoveALostMachinesUnitInOnePieceAndOnlyIfItIsStillAway) {
  begin();
  builder_.get().schedule("m1", "a.service");
  builder_.get().lose("m1");
  context_.dead = {"m1"};
  const auto planned = plan({"a.service"});
  ASSERT_EQ(planned.size(), 1u);
  EXPECT_EQ(planned[0].transaction.operations.size(), 2u);
  builder_.get().machine("m1");
  EXPECT_FALSE(builder_.get().commit(planned[0].transaction)->committed);
}

// A lost machine that was ordered to let go of the unit holds up nothing; one that is back does.
TEST_F(TransactionsTest, PlaceAUnitOnlyWhileWhoWasToLetGoOfItIsStillAway) {
  begin();
  builder_.get().schedule("m1", "a.service", UnitState::inactive);
  builder_.get().lose("m1");
  context_.dead = {"m1"};
  const auto planned = plan({"a.service"});
  ASSERT_EQ(planned.size(), 1u);
  builder_.get().machine("m1");
  EXPECT_FALSE(builder_.get().commit(planned[0].transaction)->committed);
}

// Each leaves a record behind: the comparisons must fit into a transaction all the same.
TEST_F(TransactionsTest, PlaceAUnitThatManyMachinesHadThatNeverReturned) {
  begin();
  for (int i = 0; i < 200; ++i) {
    const std::string machine = "gone" + std::to_string(i);
    builder_.get().schedule(machine, "a.service", UnitState::inactive);
    context_.dead.insert(machine);
  }
  auto planned = plan({"a.service"});
  ASSERT_EQ(planned.size(), 1u);
  EXPECT_LE(planned[0].transaction.compares.size(), limits::kTransactionOperations);
  builder_.get().machine("gone7");
  EXPECT_FALSE(builder_.get().commit(planned[0].transaction)->committed) << "it lets go first";
  builder_.get().lose("gone7");
  planned = plan({"a.service"});
  EXPECT_TRUE(builder_.get().commit(planned[0].transaction)->committed);
}

// In one transaction it would be given a place beside what leaves it in the same moment.
TEST_F(TransactionsTest, KeepAUnitApartFromAChangeOfWhatItFollows) {
  begin();
  builder_.get().unit("a.service", "MachineOf=l.service");
  builder_.get().unit("l.service", "", UnitState::inactive);
  builder_.get().schedule("m1", "l.service");
  const auto planned = plan({"a.service", "l.service"});
  ASSERT_EQ(planned.size(), 2u);
  EXPECT_EQ(planned[0].units, std::set<std::string>{"a.service"});
  EXPECT_EQ(planned[1].units, std::set<std::string>{"l.service"});
}

TEST_F(TransactionsTest, StayWithinTheLimitsAndLoseNothing) {
  begin();
  std::vector<std::string> names;
  for (int i = 0; i < 500; ++i) {
    names.push_back("u" + std::to_string(i) + ".service");
    builder_.get().unit(names.back(), "# " + std::string(i % 7 == 0 ? 1900 : 10, 'x'));
  }
  std::size_t operations = 0;
  for (const auto& planned : plan(names)) {
    EXPECT_LE(planned.transaction.compares.size(), limits::kTransactionOperations);
    EXPECT_LE(planned.transaction.operations.size(), limits::kTransactionOperations);
    EXPECT_EQ(planned.decisions.size(), planned.units.size());
    operations += planned.transaction.operations.size();
    EXPECT_TRUE(builder_.get().commit(planned.transaction)->committed);
  }
  EXPECT_EQ(operations, names.size());
}

TEST_F(TransactionsTest, StayWithinTheSizeThatTheStoreTakes) {
  begin();
  std::vector<std::string> names;
  std::string big;
  for (int i = 0; i < 200; ++i)
    big += "X" + std::to_string(i) + "=" + std::string(1800, 'y') + "\n";
  for (int i = 0; i < 8; ++i) {
    names.push_back("u" + std::to_string(i) + ".service");
    builder_.get().unit(names.back(), big);
  }
  const auto planned = plan(names);
  EXPECT_GE(planned.size(), 3u);
  for (const auto& it : planned) {
    std::size_t bytes = 0;
    for (const auto& operation : it.transaction.operations) {
      bytes += std::get<Put>(operation).key.size() + std::get<Put>(operation).value.size();
    }
    EXPECT_LE(bytes, limits::kTransactionBytes);
  }
}

TEST_F(TransactionsTest, CutAGlobalUnitOfAThousandMachinesWhereTheyMust) {
  for (int i = 0; i < 1000; ++i) builder_.get().machine("m" + std::to_string(i));
  builder_.get().unit("g.service", "Global=true");
  term_ = builder_.get().lead("me");
  std::size_t operations = 0;
  for (const auto& planned : plan({"g.service"})) {
    EXPECT_LE(planned.transaction.compares.size(), limits::kTransactionOperations);
    operations += planned.transaction.operations.size();
    EXPECT_TRUE(builder_.get().commit(planned.transaction)->committed);
  }
  EXPECT_EQ(operations, 1000u);
}

TEST_F(TransactionsTest, OfNothingAreNone) {
  begin();
  EXPECT_TRUE(plan_transactions(builder_.get().registry(), term_, {}).empty());
  EXPECT_TRUE(plan_transactions(builder_.get().registry(), term_, {{}}).empty());
}

}  // namespace
}  // namespace fleet
