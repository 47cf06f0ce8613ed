#include "engine/engine_fixture.h"

namespace fleet {
namespace {

constexpr const char* kA = "a.service";

TEST_F(EngineTest, DoesNothingBeforeItLeads) {
  builder_.machine("m1");
  builder_.unit(kA);
  change();
  EXPECT_EQ(commits_, 0);
}

// section 8, row 26.
TEST_F(EngineTest, SpreadsUnitsOverTheMachinesInAFixedOrder) {
  for (const char* id : {"m3", "m1", "m2"}) builder_.machine(id);
  for (int i = 0; i < 6; ++i) builder_.unit("u" + std::to_string(i) + ".service");
  lead();
  settle();
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(where("u" + std::to_string(i) + ".service"), "m" + std::to_string(i % 3 + 1));
  }
}

// What has not been copied into a registry yet is not missing from the cluster.
TEST_F(EngineTest, DecidesNothingWhileTheRegistryIsBeingFilled) {
  builder_.put(builder_.keys().incomplete(), "by fleetd registry move");
  begin({"m1", "m2"});
  builder_.unit(kA);
  builder_.unit("b.service");
  builder_.schedule("m3", "b.service");  // a machine that has not joined yet
  change();
  pass(1h);
  EXPECT_EQ(commits_, 0);
  EXPECT_TRUE(said("the registry is incomplete (by fleetd registry move)"));
  EXPECT_EQ(why_waiting(builder_.registry(), kA, 50),
            "the registry is incomplete (by fleetd registry move): nothing is decided until that "
            "is done");

  builder_.remove(builder_.keys().incomplete());
  change();
  EXPECT_EQ(where(kA), "m1");
  EXPECT_EQ(where("b.service"), "m3") << "its machine has the whole grace to join";
  pass(29s);
  EXPECT_EQ(where("b.service"), "m3");
  builder_.machine("m3");
  change();
  pass(1h);
  EXPECT_EQ(where("b.service"), "m3");
}

TEST_F(EngineTest, IsAtRestOnceAllIsDecided) {
  begin();
  builder_.unit(kA);
  builder_.unit("g.service", "Global=true");
  builder_.unit("w.service", "MachineMetadata=a=b");
  change();
  const int before = commits_;
  wake_.reset();
  for (int i = 0; i < 5; ++i) pass(60s);
  builder_.state("m1", kA);
  change();
  EXPECT_EQ(commits_, before);
  EXPECT_FALSE(wake_);
}

TEST_F(EngineTest, ConflictingUnitsThatComeAtOnceAreKeptApart) {
  begin({"m1", "m2"});
  for (const char* name : {"c1.service", "c2.service", "c3.service"}) {
    builder_.unit(name, "Conflicts=c*");
  }
  change();
  EXPECT_EQ(where("c1.service"), "m1");
  EXPECT_EQ(where("c2.service"), "m2");
  EXPECT_EQ(where("c3.service"), "");
}

TEST_F(EngineTest, WhatWaitedForRoomIsPlacedWhenAConflictingUnitHasGone) {
  begin({"m1"});
  builder_.unit("x.service", "Conflicts=y.service");
  builder_.unit("z.service");
  change();
  builder_.unit("y.service");
  change();
  EXPECT_EQ(where("y.service"), "");
  builder_.destroy("x.service");
  change();
  EXPECT_EQ(where("y.service"), "") << "it has not stopped yet, and its conflicts still count";
  builder_.let_go("m1", "x.service");
  change();
  EXPECT_EQ(where("y.service"), "m1");
}

TEST_F(EngineTest, WhatWaitedForRoomIsPlacedWhenTheOtherNoLongerConflicts) {
  begin({"m1"});
  builder_.unit("x.service", "Conflicts=y.service");
  change();
  builder_.unit("y.service");
  change();
  EXPECT_EQ(where("y.service"), "");
  builder_.unit("x.service");
  change();
  EXPECT_EQ(where("y.service"), "m1");
}

TEST_F(EngineTest, AGlobalUnitTakesTheMachineThatAConflictingUnitHasLeft) {
  begin({"m1", "m2"});
  builder_.unit("x.service");
  change();
  builder_.unit("g.service", "Global=true\nConflicts=x.service");
  change();
  ASSERT_EQ(where("x.service"), "m1");
  ASSERT_FALSE(builder_.registry().unit("g.service")->schedule.contains("m1"));
  builder_.want("x.service", UnitState::inactive);
  change();
  builder_.let_go("m1", "x.service");
  change();
  EXPECT_EQ(order("m1", "g.service"), UnitState::launched);
}

TEST_F(EngineTest, AFollowerIsPlacedWithItsLeaderWhateverTheirNames) {
  begin();
  builder_.unit("a-follower.service", "MachineOf=b-leader.service");
  builder_.unit("b-leader.service");
  builder_.unit("c-follower.service", "MachineOf=a-follower.service");
  change();
  EXPECT_EQ(where("b-leader.service"), "m1");
  EXPECT_EQ(where("a-follower.service"), "m1");
  EXPECT_EQ(where("c-follower.service"), "m1");
}

TEST_F(EngineTest, AFollowerFollowsWhenItsLeaderMoves) {
  begin({"m1", "m2"});
  builder_.metadata("m1", "disk", "ssd");
  builder_.unit("leader.service", "MachineMetadata=disk=ssd");
  builder_.unit("follower.service", "MachineOf=leader.service");
  change();
  ASSERT_EQ(where("follower.service"), "m1");
  builder_.metadata("m1", "disk", "");
  builder_.metadata("m2", "disk", "ssd");
  change();
  EXPECT_EQ(order("m1", "leader.service"), UnitState::inactive);
  EXPECT_EQ(order("m1", "follower.service"), UnitState::inactive);
  builder_.let_go("m1", "leader.service");
  change();
  EXPECT_EQ(where("leader.service"), "m2");
  EXPECT_EQ(where("follower.service"), "") << "it has not stopped on the old machine yet";
  builder_.let_go("m1", "follower.service");
  change();
  EXPECT_EQ(where("follower.service"), "m2");
}

TEST_F(EngineTest, MovesFollowersWithTheirLeaderWhenTheMachineIsLost) {
  begin({"m1", "m2"});
  builder_.unit("a-follower.service", "MachineOf=b-leader.service");
  builder_.unit("b-leader.service");
  change();
  builder_.lose("m1");
  change();
  EXPECT_EQ(where("b-leader.service"), "m2");
  EXPECT_EQ(where("a-follower.service"), "m2");
}

TEST_F(EngineTest, AUnitThatWasDestroyedAndMadeAnewIsNotLost) {
  begin({"m1"});
  builder_.unit(kA);
  change();
  builder_.destroy(kA);
  news();
  builder_.unit(kA);  // before the order to leave is committed
  settle();
  change();
  EXPECT_EQ(where(kA), "m1");
  builder_.destroy(kA);
  builder_.unit(kA);  // in one go
  change();
  EXPECT_EQ(where(kA), "m1");
  EXPECT_FALSE(builder_.registry().unit(kA)->target->destroyed);
}

TEST_F(EngineTest, ForgetsADestroyedUnit) {
  begin({"m1"});
  builder_.unit(kA);
  change();
  builder_.destroy(kA);
  change();
  builder_.let_go("m1", kA);
  change();
  EXPECT_EQ(builder_.registry().unit(kA), nullptr);
}

// --- Machines that vanish.

class LossTest : public EngineTest {
 protected:
  // Five machines with a unit each: u1 on m1 ...
  void five() {
    begin({"m1", "m2", "m3", "m4", "m5"});
    for (int i = 1; i <= 5; ++i) builder_.unit("u" + std::to_string(i) + ".service");
    change();
  }
  void lose(std::initializer_list<const char*> ids) {
    for (const char* id : ids) {
      builder_.lose(id);
      change();  // one by one, as their leases run out
    }
  }
  void answer_leases(std::map<std::string, Duration> remaining) {
    ASSERT_FALSE(asked_.empty()) << "no leases were asked for";
    const std::uint64_t id = asked_.front().id;
    asked_.pop_front();
    send(event::LeasesSeen{id, std::move(remaining)});
    settle();
  }
  std::string u(int i) { return where("u" + std::to_string(i) + ".service"); }
};

TEST_F(LossTest, AMachineIsLostAThirdOfTheTtlAfterItWasMissed) {
  five();
  lose({"m2"});
  pass(9s);
  EXPECT_EQ(u(2), "m2");
  EXPECT_EQ(wake_, now_ + 1s);
  pass(1s);
  EXPECT_EQ(u(2), "m1");
  EXPECT_EQ(order("m2", "u2.service"), UnitState::inactive);
}

TEST_F(LossTest, AMachineIsLostAtOnceWhenTheOthersAreHeard) {
  five();
  lose({"m2"});
  answer_leases({{"m1", 25s}, {"m3", 20s}, {"m4", 15s}, {"m5", 30s}});
  EXPECT_EQ(u(2), "m1");
  EXPECT_TRUE(asked_.empty());
}

TEST_F(LossTest, AMachineIsLostAtOnceWhenEnoughOfTheOthersAreHeard) {
  five();
  lose({"m2"});
  answer_leases({{"m1", 25s}, {"m3", 20s}, {"m4", 25s}});  // m5 alone makes it no outage
  EXPECT_EQ(u(2), "m1");
}

TEST_F(LossTest, WhileTooManyAreSilentTheThirdIsWaitedFor) {
  five();
  lose({"m2"});
  answer_leases({{"m1", 25s}, {"m3", 9s}, {"m4", 5s}, {"m5", 0s}});
  pass(9s);
  EXPECT_EQ(u(2), "m2");
  pass(1s);
  EXPECT_EQ(u(2), "m1");
}

TEST_F(LossTest, LeasesThatTheStoreCannotTellOfCountAsSilent) {
  five();
  lose({"m2"});
  answer_leases({{"m1", 25s}});
  pass(9s);
  EXPECT_EQ(u(2), "m2");
  pass(1s);
  EXPECT_EQ(u(2), "m1");
}

TEST_F(LossTest, AMachineThatIsMissedLaterIsAskedAboutAnew) {
  five();
  lose({"m2"});
  ASSERT_EQ(asked_.size(), 1u);
  now_ += 500ms;
  lose({"m3"});
  answer_leases({{"m1", 25s}, {"m4", 25s}, {"m5", 25s}});  // from before m3 was missed
  EXPECT_EQ(u(2), "m2");
  EXPECT_EQ(u(3), "m3");
  EXPECT_TRUE(asked_.empty()) << "not more often than once in a second";
  pass(500ms);
  answer_leases({{"m1", 25s}, {"m4", 25s}, {"m5", 25s}});
  EXPECT_NE(u(2), "m2");
  EXPECT_NE(u(3), "m3");
}

TEST_F(LossTest, AMachineThatReturnsInTimeKeepsItsUnits) {
  five();
  lose({"m2"});
  pass(5s);
  builder_.machine("m2");
  change();
  pass(60s);
  EXPECT_EQ(u(2), "m2");
  lose({"m2"});
  pass(9s);
  EXPECT_EQ(u(2), "m2") << "it was missed anew";
}

TEST_F(LossTest, WithTwoMachinesOneIsLostAtOnce) {
  begin({"m1", "m2"});
  builder_.unit(kA);
  builder_.unit("b.service");
  change();
  lose({"m2"});
  EXPECT_EQ(where("b.service"), "m1");
}

TEST_F(LossTest, ManyThatVanishOneSoonAfterTheOtherAreAnOutage) {
  five();
  lose({"m2"});
  pass(4s);
  lose({"m3"});
  pass(4s);
  lose({"m4"});
  EXPECT_TRUE(said("this looks like an outage"));
  pass(24h);
  for (int i = 1; i <= 5; ++i) EXPECT_EQ(u(i), "m" + std::to_string(i));
}

TEST_F(LossTest, AfterAnOutageTheLastOnesGetTimeToReturn) {
  five();
  lose({"m2", "m3", "m4"});
  pass(1h);
  builder_.machine("m2");
  change();
  EXPECT_EQ(u(3), "m3");
  pass(10s);
  builder_.machine("m3");
  change();
  builder_.machine("m4");
  change();
  pass(60s);
  for (int i = 1; i <= 5; ++i) EXPECT_EQ(u(i), "m" + std::to_string(i));
}

TEST_F(LossTest, WhoDoesNotReturnAfterAnOutageIsLost) {
  five();
  lose({"m2", "m3", "m4"});
  pass(1h);
  builder_.machine("m2");
  change();
  pass(29s);
  EXPECT_EQ(u(3), "m3");
  pass(1s);
  EXPECT_EQ(u(3), "m1");
}

TEST_F(LossTest, TheBrakeCanBeReleasedByTheOperator) {
  five();
  lose({"m2", "m3", "m4"});
  pass(1h);
  engine_.set_options({30s, 100});
  pass(0s);
  pass(30s);
  EXPECT_NE(u(3), "m3");
}

TEST_F(LossTest, TwoLossesFarApartAreNoOutage) {
  begin();
  for (int i = 1; i <= 3; ++i) builder_.unit("u" + std::to_string(i) + ".service");
  change();
  lose({"m2"});
  pass(10s);
  EXPECT_NE(u(2), "m2");
  lose({"m3"});
  pass(10s);
  EXPECT_EQ(u(1), "m1");
  EXPECT_EQ(u(2), "m1");
  EXPECT_EQ(u(3), "m1");
}

TEST_F(LossTest, ANewLeaderWaitsOneTtl) {
  five();
  builder_.lose("m2");
  builder_.sync();
  send(event::LeadershipLost{});
  lead();
  settle();
  pass(29s);
  EXPECT_EQ(u(2), "m2");
  EXPECT_EQ(wake_, now_ + 1s);
  pass(1s);
  EXPECT_EQ(u(2), "m1");
}

TEST_F(LossTest, WithoutContactNobodyIsCalledDeadNorForOneTtlAfter) {
  five();
  send(event::ContactLost{});
  lose({"m2"});
  pass(1h);
  EXPECT_EQ(u(2), "m2");
  send(event::ContactRegained{});
  pass(29s);
  EXPECT_EQ(u(2), "m2");
  pass(1s);
  EXPECT_EQ(u(2), "m1");
}

TEST_F(LossTest, AfterAReloadNobodyIsCalledDeadForOneTtl) {
  five();
  builder_.lose("m2");
  builder_.reload();
  send(event::RegistryReloaded{});
  pass(29s);
  EXPECT_EQ(u(2), "m2");
  pass(1s);
  EXPECT_EQ(u(2), "m1");
}

TEST_F(LossTest, WhatFindsNoPlaceElsewhereIsKeptByTheMachineThatReturns) {
  five();
  builder_.unit("pinned.service", "MachineID=m2");
  change();
  lose({"m2"});
  pass(60s);
  EXPECT_EQ(where("pinned.service"), "m2");
  builder_.machine("m2");
  change();
  EXPECT_EQ(where("pinned.service"), "m2");
  EXPECT_EQ(order("m2", "pinned.service"), UnitState::launched);
}

TEST_F(LossTest, WhatFoundNoPlaceElsewhereMovesWhenOneAppears) {
  five();
  builder_.metadata("m2", "disk", "ssd");
  builder_.unit("picky.service", "MachineMetadata=disk=ssd");
  change();
  ASSERT_EQ(where("picky.service"), "m2");
  lose({"m2"});
  pass(60s);
  builder_.metadata("m4", "disk", "ssd");
  change();
  EXPECT_EQ(where("picky.service"), "m4");
}

TEST_F(LossTest, AMachineThatComesBackWhileItsMoveIsCommittedKeepsItsUnits) {
  five();
  lose({"m2"});
  now_ += 10s;
  send(event::TimePassed{});
  ASSERT_EQ(sent_.size(), 1u);
  builder_.machine("m2");  // the engine does not know of it yet
  settle();
  change();
  EXPECT_EQ(u(2), "m2");
  EXPECT_EQ(order("m2", "u2.service"), UnitState::launched);
}

TEST_F(LossTest, ARestartedUnitIsHeldBackInGraceWhileItsOldMachineIsAway) {
  five();
  builder_.want("u2.service", UnitState::inactive);
  change();
  send(event::LeadershipLost{});
  builder_.lose("m2");
  lead();
  builder_.want("u2.service", UnitState::launched);
  change();
  EXPECT_EQ(u(2), "") << "m2 may still be running it";
  pass(30s);
  EXPECT_EQ(u(2), "m1");
}

TEST_F(LossTest, AGlobalUnitOnAMachineThatIsLostAndReturnsIsNotTouched) {
  begin();
  builder_.unit("g.service", "Global=true");
  builder_.unit(kA);
  change();
  const int before = commits_;
  lose({"m2"});
  pass(60s);
  builder_.machine("m2");
  change();
  EXPECT_EQ(commits_, before);
}

// --- Transactions whose outcome is not as hoped.

class CommitTest : public EngineTest {};

TEST_F(CommitTest, SendsAgainWhatMayOrMayNotHaveBeenCommitted) {
  begin();
  builder_.unit(kA);
  news();
  ASSERT_EQ(sent_.size(), 1u);
  const CommitEffect first = sent_.front();
  sent_.clear();
  send(event::Committed{first.id, fail(ErrorCode::unavailable, "no answer")});
  EXPECT_TRUE(sent_.empty());
  EXPECT_EQ(wake_, now_ + 1s);
  now_ += 1s;
  send(event::TimePassed{});
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_.front().id, first.id);
  EXPECT_EQ(sent_.front().transaction, first.transaction);
  settle();
  EXPECT_EQ(where(kA), "m1");
}

TEST_F(CommitTest, IsNotConfusedIfItHadBeenCommitted) {
  begin();
  builder_.unit(kA);
  news();
  ASSERT_EQ(sent_.size(), 1u);
  ASSERT_TRUE(builder_.commit(sent_.front().transaction)->committed);
  send(event::Committed{sent_.front().id, fail(ErrorCode::unavailable, "no answer")});
  sent_.clear();
  pass(1s);
  EXPECT_EQ(where(kA), "m1");
  const int before = commits_;
  pass(60s);
  EXPECT_EQ(commits_, before);
}

TEST_F(CommitTest, DecidesAgainOnceItSeesWhatItsDecisionWasRefusedFor) {
  begin();
  builder_.unit(kA);
  news();
  builder_.want(kA, UnitState::loaded);  // the engine does not see that yet
  ASSERT_EQ(sent_.size(), 1u);
  const CommitEffect effect = sent_.front();
  sent_.clear();
  const auto refused = builder_.commit(effect.transaction);
  ASSERT_FALSE(refused->committed);
  for (EngineEffect& it :
       engine_.step(event::Committed{effect.id, refused}, builder_.seen(), now_)) {
    take(it);
  }
  ASSERT_EQ(sent_.size(), 1u) << "the barrier alone: it would decide from what is old";
  EXPECT_EQ(sent_.front().transaction.operations.size(), 1u);
  settle();
  EXPECT_EQ(order("m1", kA), UnitState::loaded);
}

TEST_F(CommitTest, DoesNotGoOnForEverWhereTheStoreRefuses) {
  begin({"m1"});
  builder_.unit("x.service", "Conflicts=y.service");
  news();
  ASSERT_EQ(sent_.size(), 1u);
  send(event::Committed{sent_.front().id, fail(ErrorCode::too_large, "too large")});
  sent_.clear();
  pass(1h);
  EXPECT_EQ(where("x.service"), "");
  builder_.unit("y.service");
  change();
  EXPECT_EQ(where("y.service"), "m1") << "what was refused holds no place";
}

TEST_F(CommitTest, ADeposedLeaderForgetsAndItsTransactionsTakeNoEffect) {
  begin();
  builder_.unit(kA);
  news();
  ASSERT_EQ(sent_.size(), 1u);
  const CommitEffect late = sent_.front();
  sent_.clear();
  builder_.lead("other");
  send(event::LeadershipLost{});
  EXPECT_FALSE(engine_.is_leading());
  const auto result = builder_.commit(late.transaction);
  EXPECT_FALSE(result->committed);
  send(event::Committed{late.id, result});
  pass(60s);
  EXPECT_TRUE(sent_.empty());
  EXPECT_EQ(where(kA), "");
}

TEST_F(CommitTest, KeepsFewTransactionsUnderWayAndDoesTheRestAfter) {
  begin();
  for (int i = 0; i < 3000; ++i) builder_.unit("u" + std::to_string(i) + ".service");
  news();
  EXPECT_LE(sent_.size(), 12u);
  std::size_t most = 0;
  while (!sent_.empty()) {
    most = std::max(most, sent_.size());
    const CommitEffect effect = std::move(sent_.front());
    sent_.pop_front();
    const auto result = builder_.commit(effect.transaction);
    ASSERT_TRUE(result->committed);
    send(event::Committed{effect.id, result});
  }
  EXPECT_LE(most, 12u);
  for (int i = 0; i < 3000; ++i) {
    ASSERT_NE(where("u" + std::to_string(i) + ".service"), "") << i;
  }
}

TEST_F(CommitTest, PlacesAGlobalUnitOnAThousandMachines) {
  for (int i = 0; i < 1000; ++i) builder_.machine("m" + std::to_string(i));
  lead();
  builder_.unit("g.service", "Global=true");
  change();
  EXPECT_EQ(builder_.registry().unit("g.service")->schedule.size(), 1000u);
  EXPECT_LE(commits_, 40);
}

}  // namespace
}  // namespace fleet
