// Replaces: behaviour document 3.3 with the fix of section 8, row 21: the new unit takes the old
// one's place, the old one moves on, and nothing ever flaps.

#include <gtest/gtest.h>

#include "base/sha1.h"
#include "engine/decide.h"
#include "engine/engine.h"
#include "tests/support/registry_builder.h"

namespace fleet {
namespace {

class ReplacesTest : public testing::Test {
 protected:
  ReplacesTest() {
    builder_.machine("m1");
    builder_.machine("m2");
    builder_.machine("m3");
  }

  Verdict verdict(const std::string& name) {
    const Registry& registry = builder_.registry();
    return decide(registry, placement_of(registry), name,
                  {.term = 7, .dead = {}, .held = Held::grace});
  }

  RegistryBuilder builder_;
};

TEST_F(ReplacesTest, TakesThePlaceOfTheOldUnitAndStartsAfterIt) {
  builder_.unit("old.service");
  builder_.schedule("m2", "old.service");
  builder_.unit("new.service", "Replaces=old.*");
  const Verdict it = verdict("new.service");
  ASSERT_EQ(it.decisions.size(), 1u);
  EXPECT_EQ(it.decisions[0].machine, "m2");
  EXPECT_EQ(it.decisions[0].record.reason, "it takes the place of old.service");
  EXPECT_EQ(it.decisions[0].record.after, std::vector<std::string>{"old.service"});
}

TEST_F(ReplacesTest, TheOldUnitLeavesAndIsPlacedElsewhere) {
  builder_.unit("old.service");
  builder_.schedule("m2", "old.service");
  builder_.unit("new.service", "Replaces=old.service");
  builder_.schedule("m2", "new.service");
  Verdict it = verdict("old.service");
  ASSERT_EQ(it.decisions.size(), 1u);
  EXPECT_EQ(it.decisions[0].record.state, UnitState::inactive);
  EXPECT_EQ(it.decisions[0].record.reason, "the machine runs new.service, which replaces it");

  builder_.remove(builder_.keys().schedule("m2", "old.service"));
  it = verdict("old.service");
  ASSERT_EQ(it.decisions.size(), 1u);
  EXPECT_EQ(it.decisions[0].machine, "m1");
  EXPECT_TRUE(verdict("new.service").decisions.empty()) << "the new unit stays where it is";
}

TEST_F(ReplacesTest, ANewFileWaitsOnlyForWhatItReplacesItself) {
  builder_.unit("new.service", "Replaces=old.service");
  ScheduleRecord record;
  record.state = UnitState::launched;
  record.text = "[Unit]\nDescription=the file before\n";
  record.hash = sha1_hex(record.text);
  record.after = {"old.service", "older.service"};
  builder_.put(builder_.keys().schedule("m2", "new.service"), encode(record));
  const Verdict it = verdict("new.service");
  ASSERT_EQ(it.decisions.size(), 1u);
  EXPECT_EQ(it.decisions[0].record.after, std::vector<std::string>{"old.service"});
}

TEST_F(ReplacesTest, GoesOnStartingAfterTheOldUnitWhateverElseIsDecided) {
  builder_.unit("old.service");
  builder_.schedule("m2", "old.service");
  builder_.unit("new.service", "Replaces=old.*");
  ScheduleRecord record = verdict("new.service").decisions.at(0).record;
  builder_.put(builder_.keys().schedule("m2", "new.service"), encode(record));
  builder_.want("new.service", UnitState::launched, 1);
  EXPECT_EQ(verdict("new.service").decisions.at(0).record.after,
            std::vector<std::string>{"old.service"});
  // Ordered away and wanted again before it had gone.
  builder_.schedule("m2", "new.service", UnitState::inactive);
  EXPECT_EQ(verdict("new.service").decisions.at(0).record.reason, "it is still there");
  EXPECT_EQ(verdict("new.service").decisions.at(0).record.after,
            std::vector<std::string>{"old.service"});
}

// 1.0 moved it to any machine whatever its requirements, or put it back at once.
TEST_F(ReplacesTest, TheOldUnitWaitsWithTheReasonIfItMayRunNowhereElse) {
  builder_.machine("m2", {{"disk", "ssd"}});
  builder_.unit("old.service", "MachineMetadata=disk=ssd");
  builder_.unit("new.service", "Replaces=old.service");
  builder_.schedule("m2", "new.service");
  EXPECT_TRUE(verdict("old.service").decisions.empty());
  EXPECT_EQ(verdict("old.service").waiting, "no machine may run it");
  const Registry& registry = builder_.registry();
  const auto reasons = refusals(registry, placement_of(registry), "old.service");
  ASSERT_EQ(reasons.size(), 3u);
  EXPECT_EQ(reasons[1].second, "runs new.service, which replaces it");
}

TEST_F(ReplacesTest, GoesElsewhereIfItMayNotRunWhereTheOldUnitIs) {
  builder_.machine("m3", {{"disk", "ssd"}});
  builder_.unit("old.service");
  builder_.schedule("m2", "old.service");
  builder_.unit("new.service", "Replaces=old.service\nMachineMetadata=disk=ssd");
  const Verdict it = verdict("new.service");
  ASSERT_EQ(it.decisions.size(), 1u);
  EXPECT_EQ(it.decisions[0].machine, "m3");
  EXPECT_TRUE(it.decisions[0].record.after.empty());
  EXPECT_TRUE(verdict("old.service").decisions.empty()) << "they are not on one machine";
}

// section 8, row 22: the API takes them, as 1.0 did; that they do not flap is row 21.
TEST_F(ReplacesTest, OfTwoThatReplaceEachOtherTheLaterStaysUnplaced) {
  builder_.unit("a.service", "Replaces=b.service");
  builder_.unit("b.service", "Replaces=a.service");
  EXPECT_EQ(verdict("a.service").decisions.size(), 1u) << "the first one is placed";
  builder_.schedule("m1", "a.service");
  const Verdict it = verdict("b.service");
  EXPECT_TRUE(it.decisions.empty());
  EXPECT_EQ(it.waiting,
            "it replaces units that replace it in a circle (b.service replaces a.service replaces "
            "b.service)");
  EXPECT_TRUE(verdict("a.service").decisions.empty()) << "and the first one stays";
}

// As after an import from 1.0, which ignored such a pair.
TEST_F(ReplacesTest, OfTwoThatReplaceEachOtherNeitherIsDrivenOffWhereBothAre) {
  builder_.unit("a.service", "Replaces=b.service");
  builder_.unit("b.service", "Replaces=a.service");
  builder_.schedule("m1", "a.service");
  builder_.schedule("m1", "b.service");
  for (const char* unit : {"a.service", "b.service"}) {
    EXPECT_TRUE(verdict(unit).decisions.empty()) << unit;
    EXPECT_EQ(verdict(unit).waiting, "") << unit;
  }
  builder_.lose("m1");
  const Registry& registry = builder_.registry();
  const Verdict lost = decide(registry, placement_of(registry), "a.service",
                              {.term = 7, .dead = {"m1"}, .held = Held::grace});
  EXPECT_EQ(lost.decisions.size(), 2u) << "nor does each wait for the other: " << lost.waiting;
}

TEST_F(ReplacesTest, ALongerCircleIsSeenToo) {
  builder_.unit("a.service", "Replaces=b.service");
  builder_.unit("b.service", "Replaces=c.service");
  builder_.unit("c.service", "Replaces=a.service");
  builder_.schedule("m1", "a.service");
  EXPECT_TRUE(verdict("c.service").decisions.empty());
  EXPECT_NE(verdict("c.service").waiting.find("circle"), std::string::npos);
  EXPECT_TRUE(verdict("a.service").decisions.empty());
}

// Each name is reached by one way first: that no unit on it has a place proves nothing.
TEST_F(ReplacesTest, ACircleIsSeenBesideAnotherThatDoesNoHarm) {
  builder_.unit("c.service", "Replaces=x.service");
  builder_.unit("d.service", "Replaces=x.service");
  builder_.unit("x.service", "Replaces=c.service\nReplaces=d.service");
  for (const std::string placed : {"c.service", "d.service"}) {
    builder_.schedule("m1", placed);
    const Verdict it = verdict("x.service");
    EXPECT_TRUE(it.decisions.empty());
    EXPECT_EQ(it.waiting, "it replaces units that replace it in a circle (x.service replaces " +
                              placed + " replaces x.service)");
    builder_.remove(builder_.keys().schedule("m1", placed));
  }
  EXPECT_EQ(verdict("x.service").decisions.size(), 1u);
}

TEST_F(ReplacesTest, ACircleIsSeenThroughAnyOfItsWays) {
  builder_.unit("a.service", "Replaces=b.service\nReplaces=c.service");
  builder_.unit("b.service", "Replaces=d.service");
  builder_.unit("c.service", "Replaces=d.service");
  builder_.unit("d.service", "Replaces=a.service");
  for (const std::string placed : {"b.service", "c.service", "d.service"}) {
    builder_.schedule("m1", placed);
    EXPECT_TRUE(verdict("a.service").decisions.empty()) << placed;
    EXPECT_NE(verdict("a.service").waiting.find(placed), std::string::npos);
    builder_.remove(builder_.keys().schedule("m1", placed));
  }
}

TEST_F(ReplacesTest, AUnitThatReplacesItselfByItsPatternIsNoCircle) {
  builder_.unit("a2.service", "Replaces=a*.service");
  EXPECT_EQ(verdict("a2.service").decisions.size(), 1u);
}

// It would drive off what it is to run beside, leave with it, and be placed beside it again.
TEST_F(ReplacesTest, AUnitThatReplacesWhatItFollowsStaysUnplaced) {
  builder_.unit("a.service", "Replaces=c.service\nMachineOf=b.service");
  builder_.unit("b.service", "MachineOf=c.service");
  builder_.unit("c.service");
  builder_.schedule("m1", "b.service");
  builder_.schedule("m1", "c.service");
  const Verdict it = verdict("a.service");
  EXPECT_TRUE(it.decisions.empty());
  EXPECT_EQ(it.waiting, "it replaces c.service, which it follows (MachineOf)");
  builder_.unit("a.service", "Global=true\nReplaces=c.service\nMachineOf=b.service");
  EXPECT_EQ(verdict("a.service").waiting, it.waiting);
  builder_.unit("a.service", "Replaces=*.service\nMachineOf=d.service");
  builder_.unit("d.service", "MachineOf=a.service");
  EXPECT_EQ(verdict("a.service").waiting, "it replaces d.service, which it follows (MachineOf)");
}

// What is not wanted anywhere makes no circle.
TEST_F(ReplacesTest, AnInactiveUnitReplacesNobody) {
  builder_.unit("a.service", "Replaces=b.service", UnitState::inactive);
  builder_.unit("b.service", "Replaces=a.service");
  EXPECT_EQ(verdict("b.service").decisions.size(), 1u);
}

}  // namespace
}  // namespace fleet
