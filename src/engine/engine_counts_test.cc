// What the engine counts for the metrics (EngineCounts). section 8, row 14.

#include <deque>

#include <gtest/gtest.h>

#include "engine/engine.h"
#include "tests/support/registry_builder.h"

namespace fleet {
namespace {

using namespace std::chrono_literals;
namespace event = engine_event;
using Tasks = EngineCounts::Tasks;

class EngineCountsTest : public testing::Test {
 protected:
  EngineCountsTest() {
    builder_.machine("m1");
    builder_.machine("m2");
    step(event::LeadershipGained{builder_.lead("me")});
    pass(30s);
  }

  void step(const EngineEvent& what) {
    builder_.sync();
    for (EngineEffect& it : engine_.step(what, builder_.seen(), now_)) {
      if (auto* commit = std::get_if<CommitEffect>(&it)) sent_.push_back(std::move(*commit));
    }
  }
  void news() {
    const Registry::Changes changes = builder_.take_changes();
    step(event::RegistryChanged{changes});
  }
  void pass(Duration time) {
    now_ += time;
    step(event::TimePassed{});
  }
  // Answers what has been sent, and tells the engine what came of it, until it is at rest.
  void settle() {
    while (!sent_.empty()) {
      const CommitEffect effect = std::move(sent_.front());
      sent_.pop_front();
      step(event::Committed{effect.id, builder_.commit(effect.transaction)});
      news();
    }
  }
  void change() {
    news();
    settle();
  }
  void answer(Result<TransactionResult> result) {
    ASSERT_FALSE(sent_.empty());
    const std::uint64_t id = sent_.front().id;
    sent_.pop_front();
    step(event::Committed{id, std::move(result)});
  }
  const EngineCounts& counts() const { return engine_.counts(); }

  RegistryBuilder builder_;
  Engine engine_{EngineOptions{30s, 50}};
  Time now_{};
  std::deque<CommitEffect> sent_;
};

TEST_F(EngineCountsTest, CountsOrdersToTakeAUnitAndToLetGoOfIt) {
  builder_.unit("a.service");
  builder_.unit("g.service", "Global=true");
  change();
  EXPECT_EQ(counts().tried, (Tasks{3, 0}));
  builder_.want("a.service", UnitState::loaded);
  builder_.want("g.service", UnitState::launched, /*restarts=*/1);
  change();
  EXPECT_EQ(counts().tried, (Tasks{3, 0})) << "they stay where they are";
  builder_.want("a.service", UnitState::inactive);
  builder_.destroy("g.service");
  change();
  EXPECT_EQ(counts().tried, (Tasks{3, 3}));
  EXPECT_EQ(counts().failed, (Tasks{}));
}

TEST_F(EngineCountsTest, ARoundIsOneThatDecides) {
  const std::uint64_t before = counts().rounds;
  builder_.unit("a.service");
  news();
  EXPECT_EQ(counts().rounds, before + 1);
  settle();
  const std::uint64_t after = counts().rounds;
  for (int i = 0; i < 5; ++i) pass(60s);
  EXPECT_EQ(counts().rounds, after) << "nothing to decide";
}

TEST_F(EngineCountsTest, CountsEveryTryThatTheStoreDoesNotConfirm) {
  builder_.unit("a.service");
  news();
  answer(fail(ErrorCode::unavailable, "no answer"));
  EXPECT_EQ(counts().tried, (Tasks{1, 0}));
  EXPECT_EQ(counts().failed, (Tasks{1, 0}));
  pass(1s);  // it is sent again
  EXPECT_EQ(counts().tried, (Tasks{2, 0}));
  answer(TransactionResult{false, builder_.registry().revision()});
  EXPECT_EQ(counts().failed, (Tasks{2, 0}));
  // The barrier that follows is no task; once it shows, the unit is decided anew.
  settle();
  EXPECT_EQ(counts().tried, (Tasks{3, 0}));
  EXPECT_EQ(counts().failed, (Tasks{2, 0}));

  builder_.want("a.service", UnitState::inactive);
  news();
  answer(fail(ErrorCode::denied, "no permission"));
  EXPECT_EQ(counts().tried, (Tasks{3, 1}));
  EXPECT_EQ(counts().failed, (Tasks{2, 1}));
  pass(10s);  // a permission comes back without a word
  EXPECT_EQ(counts().tried, (Tasks{3, 2}));
}

TEST_F(EngineCountsTest, CountsUnitsThatLoseTheirPlaceAndThoseThatHaveNone) {
  builder_.metadata("m1", "disk", "ssd");
  builder_.metadata("m2", "disk", "ssd");
  builder_.unit("a.service", "MachineMetadata=disk=ssd");
  builder_.unit("b.service");
  change();
  EXPECT_EQ(counts().machine_refuses + counts().machine_away + counts().no_machine, 0u)
      << "healthy units count for nothing";

  builder_.metadata("m1", "disk", "hdd");
  change();
  EXPECT_EQ(counts().machine_refuses, 1u);
  builder_.let_go("m1", "a.service");
  change();
  EXPECT_EQ(counts().no_machine, 0u) << "it went to m2";

  builder_.metadata("m2", "disk", "hdd");
  change();
  EXPECT_EQ(counts().machine_refuses, 2u);
  builder_.let_go("m2", "a.service");
  change();
  EXPECT_EQ(counts().no_machine, 1u);
  builder_.unit("g.service", "Global=true\nMachineMetadata=disk=tape");
  change();
  EXPECT_EQ(counts().no_machine, 2u);

  EXPECT_EQ(counts().machine_away, 0u);
  builder_.lose("m2");
  news();
  pass(60s);
  settle();
  EXPECT_EQ(counts().machine_away, 1u) << "b.service moved";
}

TEST_F(EngineCountsTest, GoesOnCountingAfterAnotherHasLed) {
  builder_.unit("a.service");
  change();
  step(event::LeadershipLost{});
  EXPECT_EQ(counts().tried, (Tasks{1, 0}));
  step(event::LeadershipGained{builder_.lead("me")});
  builder_.unit("b.service");
  change();
  EXPECT_EQ(counts().tried, (Tasks{2, 0}));
}

}  // namespace
}  // namespace fleet
