// Units whose decisions depend on each other's, while those are on their way to the registry or
// stand before it.

#include "engine/engine_fixture.h"

namespace fleet {
namespace {

class TogetherTest : public EngineTest {};

// Two transactions may arrive in any order, and the first may be refused.
TEST_F(TogetherTest, AFollowerWaitsUntilTheRegistryShowsItsLeader) {
  begin();
  builder_.unit("leader.service");
  builder_.unit("follower.service", "MachineOf=leader.service");
  news();
  ASSERT_EQ(sent_.size(), 1u);
  builder_.want("leader.service", UnitState::inactive);  // so that the placement is refused
  settle();
  change();
  EXPECT_EQ(where("leader.service"), "");
  EXPECT_EQ(where("follower.service"), "");
  builder_.want("leader.service", UnitState::launched);
  change();
  EXPECT_NE(where("leader.service"), "");
  EXPECT_EQ(where("follower.service"), where("leader.service"));
}

// It was decided by its name before the one that it follows, which had a place still.
TEST_F(TogetherTest, AFollowerIsNotPutBesideWhatIsAboutToLeave) {
  begin();
  builder_.unit("leader.service");
  builder_.unit("a-follower.service", "MachineOf=leader.service", UnitState::inactive);
  change();
  ASSERT_NE(where("leader.service"), "");
  builder_.want("a-follower.service", UnitState::launched);
  builder_.want("leader.service", UnitState::inactive);
  change();
  EXPECT_EQ(builder_.registry().unit("a-follower.service")->schedule.size(), 0u);
  EXPECT_TRUE(said("waits: no machine may run it"));
}

// What it asked for when it was placed is not what it asks for now.
TEST_F(TogetherTest, WhatAUnitAsksForCountsWhileItsPlacementIsUnderWay) {
  begin({"m1"});
  builder_.unit("b.service");
  news();
  ASSERT_EQ(sent_.size(), 1u);
  builder_.unit("b.service", "Conflicts=c.service");
  builder_.unit("c.service");
  news();
  EXPECT_EQ(sent_.size(), 1u) << "c.service is put beside what it conflicts with";
  settle();
  change();
  EXPECT_EQ(where("b.service"), "m1");
  EXPECT_EQ(where("c.service"), "");
}

}  // namespace
}  // namespace fleet
