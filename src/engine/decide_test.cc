#include "engine/decide.h"

#include <gtest/gtest.h>

#include "engine/engine.h"
#include "tests/support/registry_builder.h"

namespace fleet {
namespace {

constexpr const char* kA = "a.service";

class DecideTest : public testing::Test {
 protected:
  Verdict verdict(const std::string& name = kA) {
    const Registry& registry = builder_.registry();
    return decide(registry, placement_of(registry), name, context_);
  }

  // "machine state: reason; ..." and then, if it waits, "| why".
  std::string words(const std::string& name = kA) {
    const Verdict it = verdict(name);
    std::string text;
    for (const Decision& decision : it.decisions) {
      if (!text.empty()) text += "; ";
      if (decision.forget_target) {
        text += "forget";
        continue;
      }
      text += decision.machine + " " + std::string(to_string(decision.record.state)) + ": " +
              decision.record.reason;
    }
    return it.waiting.empty() ? text : text + "| " + it.waiting;
  }

  void machines(std::initializer_list<const char*> ids) {
    for (const char* id : ids) builder_.machine(id);
  }

  RegistryBuilder builder_;
  DecideContext context_{.term = 7, .dead = {}, .held = Held::grace};
};

TEST_F(DecideTest, PlacesOnTheLeastLoadedMachineThenTheLowestId) {
  machines({"m3", "m2", "m1"});
  builder_.unit(kA);
  EXPECT_EQ(words(), "m1 launched: the least loaded machine that may run it");
  builder_.unit("b.service");
  builder_.schedule("m1", "b.service");
  EXPECT_EQ(words(), "m2 launched: the least loaded machine that may run it");
}

TEST_F(DecideTest, WritesACompleteDecision) {
  machines({"m1"});
  builder_.unit(kA, "", UnitState::loaded);
  builder_.want(kA, UnitState::loaded, 4);
  const Verdict it = verdict();
  ASSERT_EQ(it.decisions.size(), 1u);
  const ScheduleRecord& record = it.decisions[0].record;
  EXPECT_EQ(record.state, UnitState::loaded);
  EXPECT_EQ(record.text, RegistryBuilder::record(kA).text);
  EXPECT_EQ(record.hash, RegistryBuilder::record(kA).hash);
  EXPECT_EQ(record.restarts, 4u);
  EXPECT_EQ(record.term, 7);
}

TEST_F(DecideTest, DecidesTheSameEveryTime) {
  machines({"m1", "m2", "m3"});
  builder_.unit(kA, "MachineMetadata=x=y");
  builder_.unit("g.service", "Global=true");
  EXPECT_EQ(verdict(), verdict());
  EXPECT_EQ(verdict("g.service"), verdict("g.service"));
}

TEST_F(DecideTest, AUnitStaysWhereItIsHoweverLoadedThatIs) {
  machines({"m1", "m2"});
  builder_.unit(kA);
  builder_.unit("b.service");
  builder_.schedule("m2", kA);
  builder_.schedule("m2", "b.service");
  EXPECT_EQ(words(), "");
}

TEST_F(DecideTest, BringsTheDecisionUpToWhatIsWanted) {
  machines({"m1"});
  builder_.unit(kA);
  builder_.schedule("m1", kA);
  builder_.want(kA, UnitState::loaded);
  EXPECT_EQ(words(), "m1 loaded: its desired state is loaded");
  builder_.want(kA, UnitState::launched, 1);
  EXPECT_EQ(words(), "m1 launched: a restart was asked for");
  builder_.unit(kA, "", UnitState::launched, "/bin/other");
  EXPECT_EQ(words(), "m1 launched: its unit file was replaced");
}

TEST_F(DecideTest, AUnitThatMayNoLongerRunThereLeavesFirstAndIsPlacedAfter) {
  builder_.machine("m1", {{"region", "eu"}});
  builder_.machine("m2", {{"region", "us"}});
  builder_.unit(kA, "MachineMetadata=region=us");
  builder_.schedule("m1", kA);
  const std::string why = "has metadata region=eu (wanted: region=us)";
  EXPECT_EQ(words(), "m1 inactive: the machine " + why + "| machine m1 " + why +
                         "; it moves once it has stopped there");
  builder_.schedule("m1", kA, UnitState::inactive);
  builder_.state("m1", kA);
  EXPECT_EQ(words(), "| it moves once machine m1 has stopped it");
  builder_.let_go("m1", kA);
  EXPECT_EQ(words(), "m2 launched: the least loaded machine that may run it");
}

TEST_F(DecideTest, AUnitThatMayRunThereAgainBeforeItHasStoppedStaysThere) {
  machines({"m1", "m2"});
  builder_.unit(kA);
  builder_.schedule("m2", kA, UnitState::inactive);
  EXPECT_EQ(words(), "m2 launched: it is still there");
}

TEST_F(DecideTest, OfManyMachinesThatHaveAUnitOneThatMayRunItKeepsIt) {
  builder_.machine("m2", {{"disk", "hdd"}});
  builder_.machine("m3", {{"disk", "ssd"}});
  builder_.unit(kA, "Global=true");
  builder_.schedule("m1", kA);  // is away
  builder_.schedule("m2", kA);
  builder_.schedule("m3", kA);
  builder_.unit(kA, "MachineMetadata=disk=ssd");
  EXPECT_EQ(words(),
            "m1 inactive: it is assigned to m3; m2 inactive: it is assigned to m3; "
            "m3 launched: its unit file was replaced");
}

// As after a global unit that was destroyed and is wanted anew, on one machine.
TEST_F(DecideTest, AUnitThatSeveralMachinesAreToLetGoOfWaitsForAllButOne) {
  machines({"m1", "m2", "m3"});
  builder_.unit(kA);
  builder_.schedule("m2", kA, UnitState::inactive);
  builder_.schedule("m3", kA, UnitState::inactive);
  EXPECT_EQ(words(), "| it moves once machine m2 has stopped it");
  builder_.let_go("m2", kA);
  EXPECT_EQ(words(), "m3 launched: it is still there");
}

TEST_F(DecideTest, TemplatesAreNeverPlaced) {
  machines({"m1"});
  builder_.unit("t@.service");
  EXPECT_EQ(words("t@.service"),
            "| it is a template: start an instance of it, such as t@1.service");
  builder_.schedule("m1", "t@.service");
  EXPECT_EQ(words("t@.service"),
            "m1 inactive: it is a template| it is a template: start an instance of it, such as "
            "t@1.service");
  builder_.unit("t@1.service");
  EXPECT_EQ(words("t@1.service"), "m1 launched: the least loaded machine that may run it");
}

TEST_F(DecideTest, AnInactiveUnitIsWithdrawnEverywhereAndOnlyOnce) {
  machines({"m1", "m2"});
  builder_.unit(kA, "", UnitState::inactive);
  builder_.schedule("m1", kA);
  builder_.state("m2", kA);
  EXPECT_EQ(words(),
            "m1 inactive: its desired state is inactive; "
            "m2 inactive: its desired state is inactive");
  builder_.schedule("m1", kA, UnitState::inactive);
  builder_.let_go("m2", kA);
  EXPECT_EQ(words(), "");
}

TEST_F(DecideTest, AGlobalUnitRunsOnEveryMachineThatMayRunIt) {
  builder_.machine("m1", {{"disk", "ssd"}});
  builder_.machine("m2");
  builder_.machine("m3", {{"disk", "ssd"}}, /*leaving=*/true);
  builder_.unit("g.service", "Global=true\nMachineMetadata=disk=ssd");
  EXPECT_EQ(words("g.service"), "m1 launched: it is global");
  builder_.schedule("m1", "g.service");
  EXPECT_EQ(words("g.service"), "");
  builder_.metadata("m1", "disk", "hdd");
  EXPECT_EQ(words("g.service"),
            "m1 inactive: the machine has metadata disk=hdd (wanted: disk=ssd)");
}

TEST_F(DecideTest, AGlobalUnitThatNoMachineMayRunSaysSo) {
  machines({"m1"});
  builder_.unit("g.service", "Global=true\nMachineMetadata=disk=ssd");
  EXPECT_EQ(words("g.service"), "| it is global and no machine may run it");
}

// What it may run by now is known when it is back.
TEST_F(DecideTest, AMachineThatIsAwayKeepsItsGlobalUnitsAsTheyAre) {
  machines({"m1", "m2"});
  builder_.unit("g.service", "Global=true");
  builder_.schedule("m1", "g.service");
  builder_.schedule("m2", "g.service");
  builder_.lose("m2");
  EXPECT_EQ(words("g.service"), "");
  context_.dead = {"m2"};
  EXPECT_EQ(words("g.service"), "");
  builder_.unit("g.service", "Global=true", UnitState::launched, "/bin/other");
  EXPECT_EQ(words("g.service"), "m1 launched: its unit file was replaced");
  builder_.schedule("m1", "g.service");
  builder_.machine("m2");
  EXPECT_EQ(words("g.service"), "m2 launched: its unit file was replaced");
}

// section 8, row 23, and section 8, row 25: Conflicts of a global unit are honoured.
TEST_F(DecideTest, AGlobalUnitIsNotPlacedBesideWhatItConflictsWithAndDoesNotEvictIt) {
  machines({"m1", "m2"});
  builder_.unit("x.service");
  builder_.schedule("m1", "x.service");
  builder_.unit("g.service", "Global=true\nConflicts=x.service");
  EXPECT_EQ(words("g.service"), "m2 launched: it is global");
  EXPECT_EQ(words("x.service"), "");
}

// section 8, row 24: a unit that nobody wants to run is neither in the way nor a load.
TEST_F(DecideTest, InactiveUnitsDoNotMatter) {
  machines({"m1", "m2"});
  builder_.unit("g.service", "Global=true\nConflicts=a.service", UnitState::inactive);
  builder_.unit("s.service", "Conflicts=*", UnitState::inactive);
  builder_.unit("t@.service", "Global=true\nConflicts=*");
  builder_.unit(kA);
  EXPECT_EQ(words(), "m1 launched: the least loaded machine that may run it");

  builder_.machine("m1", {{"disk", "ssd"}});
  builder_.unit("h.service", "Global=true\nMachineMetadata=disk=ssd", UnitState::inactive);
  EXPECT_EQ(words(), "m1 launched: the least loaded machine that may run it");
}

TEST_F(DecideTest, OfTwoThatHaveComeIntoConflictOnlyOneLeaves) {
  machines({"m1", "m2"});
  builder_.unit("x.service", "Conflicts=y.service");
  builder_.unit("y.service");
  builder_.schedule("m1", "x.service");
  builder_.schedule("m1", "y.service");
  EXPECT_EQ(words("x.service"),
            "m1 inactive: the machine conflicts with y.service, which runs there| machine m1 "
            "conflicts with y.service, which runs there; it moves once it has stopped there");
  builder_.schedule("m1", "x.service", UnitState::inactive);
  EXPECT_EQ(words("y.service"), "");
}

TEST_F(DecideTest, UnitsOfAnAbsentMachineWaitUntilItIsCalledDead) {
  machines({"m1", "m2"});
  builder_.unit(kA);
  builder_.schedule("m1", kA);
  builder_.lose("m1");
  EXPECT_EQ(words(), "| its machine m1 is away; it is moved if the machine does not return");
  context_.held = Held::brake;
  EXPECT_EQ(words(),
            "| its machine m1 is away together with so many others that it looks like an outage: "
            "nothing is moved until some return (engine_mass_loss_percent)");
  context_ = {.term = 7, .dead = {"m1"}, .held = Held::grace};
  EXPECT_EQ(words(),
            "m1 inactive: the machine was lost; it moves to m2; "
            "m2 launched: machine m1 was lost");
}

TEST_F(DecideTest, WhatFindsNoOtherPlaceStaysAssignedToItsLostMachine) {
  machines({"m1", "m2"});
  builder_.unit(kA, "MachineID=m1");
  builder_.schedule("m1", kA);
  builder_.lose("m1");
  context_.dead = {"m1"};
  EXPECT_EQ(words(), "| its machine m1 is away and no machine may run it");
}

TEST_F(DecideTest, WhatAnAbsentMachineMayNotHaveStoppedYetIsNotStartedElsewhereInGrace) {
  machines({"m1", "m2"});
  builder_.unit(kA);
  builder_.schedule("m1", kA, UnitState::inactive);
  builder_.lose("m1");
  EXPECT_EQ(words(), "| machine m1 is away and may not have stopped it yet");
  context_.dead = {"m1"};
  EXPECT_EQ(words(), "m2 launched: the least loaded machine that may run it");
}

TEST_F(DecideTest, AMachineThatLeavesHandsItsUnitsOverByItself) {
  machines({"m2"});
  builder_.machine("m1", {}, /*leaving=*/true);
  builder_.unit(kA);
  builder_.schedule("m1", kA);
  EXPECT_EQ(words(), "| its machine m1 is being stopped and hands it over");
  builder_.let_go("m1", kA);
  EXPECT_EQ(words(), "m2 launched: the least loaded machine that may run it");
}

// Its record is lost, so that it does not know that it is to stop the unit.
TEST_F(DecideTest, AMachineThatLeavesIsToldToStopAUnitWhoseRecordIsLost) {
  machines({"m2"});
  builder_.machine("m1", {}, /*leaving=*/true);
  builder_.unit(kA);
  builder_.state("m1", kA);
  EXPECT_EQ(words(),
            "m1 inactive: the machine its fleetd is being stopped| it moves once machine m1 has "
            "stopped it");
}

TEST_F(DecideTest, AdoptsAnOrphanWhereItRuns) {
  machines({"m1", "m2"});
  builder_.unit(kA);
  builder_.state("m2", kA);
  EXPECT_EQ(words(), "m2 launched: it runs there already");
}

TEST_F(DecideTest, AnOrphanThatMayNotRunWhereItRunsIsStoppedThereFirst) {
  builder_.machine("m1", {{"disk", "ssd"}});
  builder_.machine("m2");
  builder_.unit(kA, "MachineMetadata=disk=ssd");
  builder_.state("m2", kA);
  EXPECT_EQ(words(),
            "m2 inactive: the machine has no metadata disk (wanted: disk=ssd)"
            "| it moves once machine m2 has stopped it");
}

TEST_F(DecideTest, NothingRunsTwiceWhereAMachineReportsAUnitThatIsAssignedToAnother) {
  machines({"m1", "m2"});
  builder_.unit(kA);
  builder_.schedule("m1", kA);
  builder_.state("m1", kA);
  builder_.state("m2", kA);
  EXPECT_EQ(words(), "m2 inactive: it is assigned to m1");
}

TEST_F(DecideTest, OfTwoAssignmentsTheOneOfAMachineThatIsThereStands) {
  machines({"m1", "m2", "m3"});
  builder_.unit(kA);
  for (const char* id : {"m1", "m2", "m3"}) builder_.schedule(id, kA);
  builder_.lose("m1");
  EXPECT_EQ(words(), "m1 inactive: it is assigned to m2; m3 inactive: it is assigned to m2");
}

TEST_F(DecideTest, ADestroyedUnitIsWithdrawnEverywhereThenForgotten) {
  machines({"m1"});
  builder_.unit(kA);
  builder_.schedule("m1", kA);
  builder_.destroy(kA);
  EXPECT_EQ(words(), "m1 inactive: it was destroyed");
  builder_.schedule("m1", kA, UnitState::inactive);
  EXPECT_EQ(words(), "forget");
}

TEST_F(DecideTest, AVanishedUnitRecordLeavesThingsRunning) {
  machines({"m1"});
  builder_.unit(kA);
  builder_.schedule("m1", kA);
  builder_.remove(builder_.keys().unit(kA));
  const std::string left =
      "| left as it is: its unit file has vanished from the registry without a destroy";
  EXPECT_EQ(words(), left);
  builder_.remove(builder_.keys().target(kA));
  EXPECT_EQ(words(), left);
}

TEST_F(DecideTest, AnUnreadableRecordFreezesItsUnitAndNoOther) {
  machines({"m1", "m2"});
  builder_.unit("b.service");
  const Keys& keys = builder_.keys();
  for (const std::string& key :
       {keys.unit(kA), keys.target(kA), keys.schedule("m1", kA), keys.state("m1", kA)}) {
    builder_.unit(kA, "", UnitState::inactive);
    builder_.schedule("m1", kA);
    builder_.put(key, "{\"v\":99}");
    EXPECT_TRUE(words().starts_with("| left as it is, because a record of it cannot be read: "))
        << words();
    EXPECT_NE(words("b.service"), "");
    builder_.remove(key);
  }
}

TEST_F(DecideTest, AMachineWhoseRecordsCannotBeReadKeepsWhatItHas) {
  machines({"m1", "m2"});
  builder_.unit(kA);
  builder_.unit("g.service", "Global=true");
  builder_.unit("n.service");
  builder_.schedule("m1", kA);
  builder_.schedule("m1", "g.service");
  builder_.schedule("m2", "g.service");
  builder_.put(builder_.keys().machine("m1"), "{\"v\":2}");
  EXPECT_TRUE(words().starts_with("| left as it is on machine m1, because")) << words();
  EXPECT_EQ(words("g.service"), "");
  EXPECT_EQ(words("n.service"), "m2 launched: the least loaded machine that may run it");
}

TEST_F(DecideTest, UnreadableMetadataEvictsNothing) {
  builder_.machine("m1", {{"disk", "ssd"}});
  builder_.unit(kA, "MachineMetadata=disk=hdd");
  builder_.schedule("m1", kA);
  builder_.metadata("m1", "disk", std::string(5000, 'x'));
  EXPECT_TRUE(words().starts_with("| left as it is on machine m1, because")) << words();
}

TEST_F(DecideTest, SaysNothingOfNamesThatNobodyKnows) {
  EXPECT_EQ(verdict("nobody.service"), Verdict{});
}

TEST_F(DecideTest, CountsAnOutageOnlyFromTwoMachinesAndOverTheShare) {
  machines({"m1", "m2", "m3", "m4"});
  for (const char* id : {"m1", "m2", "m3"}) {
    const std::string name = std::string("u-") + id + ".service";
    builder_.unit(name);
    builder_.schedule(id, name);
  }
  builder_.lose("m1");
  EXPECT_EQ(missing_machines(builder_.registry(), {}, 0).outage, false);
  builder_.lose("m2");
  EXPECT_EQ(missing_machines(builder_.registry(), {}, 50).outage, false) << "2 of 4 is not over";
  EXPECT_EQ(missing_machines(builder_.registry(), {}, 49).outage, true);
  builder_.lose("m3");
  EXPECT_EQ(missing_machines(builder_.registry(), {}, 50).outage, true);
  EXPECT_EQ(missing_machines(builder_.registry(), {}, 100).outage, false);
  EXPECT_EQ(missing_machines(builder_.registry(), {"m1", "m2"}, 50).outage, false);
  EXPECT_EQ(missing_machines(builder_.registry(), {"m1"}, 50).machines,
            (std::set<std::string>{"m2", "m3"}));
}

TEST_F(DecideTest, DoesNotMissMachinesWithNothingButGlobalUnits) {
  machines({"m1", "m2"});
  builder_.unit("g.service", "Global=true");
  builder_.schedule("m2", "g.service");
  builder_.lose("m2");
  const MissingMachines missing = missing_machines(builder_.registry(), {}, 50);
  EXPECT_TRUE(missing.machines.empty());
  EXPECT_TRUE(missing.emptied.empty());
}

TEST_F(DecideTest, SeesAnOutageComingOnlyWhereThereAreEnoughMachines) {
  machines({"m1", "m2"});
  builder_.unit(kA);
  builder_.schedule("m2", kA);
  builder_.lose("m2");
  EXPECT_FALSE(missing_machines(builder_.registry(), {}, 50).could_become_outage(1, 50));
  builder_.machine("m3");
  EXPECT_TRUE(missing_machines(builder_.registry(), {}, 50).could_become_outage(1, 50));
  EXPECT_FALSE(missing_machines(builder_.registry(), {}, 100).could_become_outage(1, 100));
}

}  // namespace
}  // namespace fleet
