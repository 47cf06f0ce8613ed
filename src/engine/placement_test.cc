#include "engine/placement.h"

#include <gtest/gtest.h>

#include "engine/engine.h"
#include "tests/support/registry_builder.h"

namespace fleet {
namespace {

constexpr const char* kId = "0123456789abcdef0123456789abcdef";

// Why `name` with this [X-Fleet] section cannot run on the one machine.
class RefusalTest : public testing::Test {
 protected:
  std::optional<std::string> why(const std::string& fleet, const std::string& name = "a.service",
                                 Stay stay = Stay::arriving) {
    const Requirements requirements = RegistryBuilder::record(name, fleet).requirements;
    const Registry& registry = builder_.registry();
    return refusal(name, requirements, kId, *registry.machine(kId), placement_of(registry).on(kId),
                   stay);
  }

  RegistryBuilder builder_;
};

TEST_F(RefusalTest, TakesAUnitWithoutWishes) {
  builder_.machine(kId);
  EXPECT_EQ(why(""), std::nullopt);
}

TEST_F(RefusalTest, MatchesTheMachineIdWholeOrByItsFirstEightCharacters) {
  builder_.machine(kId);
  EXPECT_EQ(why(std::string("MachineID=") + kId), std::nullopt);
  EXPECT_EQ(why("MachineID=01234567"), std::nullopt);
  EXPECT_EQ(why("MachineID=0123456"), "is not the machine that MachineID=0123456 names");
  EXPECT_EQ(why("MachineID=012345678"), "is not the machine that MachineID=012345678 names");
  EXPECT_EQ(why("MachineID="), "is not the machine that MachineID= names");
}

TEST_F(RefusalTest, TakesAnyValueOfOneMetadataKeyButNeedsEveryKey) {
  builder_.machine(kId, {{"region", "eu"}, {"disk", "ssd"}});
  EXPECT_EQ(why("MachineMetadata=region=us\nMachineMetadata=region=eu"), std::nullopt);
  EXPECT_EQ(why("MachineMetadata=region=eu\nMachineMetadata=disk=ssd"), std::nullopt);
  EXPECT_EQ(why("MachineMetadata=\"region=us\" \"region=asia\""),
            "has metadata region=eu (wanted: region=us or asia)");
  EXPECT_EQ(why("MachineMetadata=region=eu\nMachineMetadata=disk=hdd"),
            "has metadata disk=ssd (wanted: disk=hdd)");
  EXPECT_EQ(why("MachineMetadata=gpu=yes"), "has no metadata gpu (wanted: gpu=yes)");
}

TEST_F(RefusalTest, GoesByMetadataAsSetThroughTheApi) {
  builder_.machine(kId, {{"region", "eu"}});
  builder_.metadata(kId, "region", "us");
  EXPECT_EQ(why("MachineMetadata=region=us"), std::nullopt);
  builder_.metadata(kId, "region", "");
  EXPECT_EQ(why("MachineMetadata=region=eu"), "has no metadata region (wanted: region=eu)");
}

TEST_F(RefusalTest, NeedsEveryUnitOfMachineOfAssignedThere) {
  builder_.machine(kId);
  builder_.unit("x.service");
  builder_.unit("y.service");
  builder_.schedule(kId, "x.service");
  EXPECT_EQ(why("MachineOf=x.service"), std::nullopt);
  EXPECT_EQ(why("MachineOf=x.service\nMachineOf=y.service"), "y.service (MachineOf) is not on it");
  builder_.schedule(kId, "x.service", UnitState::inactive);
  EXPECT_EQ(why("MachineOf=x.service"), "x.service (MachineOf) is not on it");
}

TEST_F(RefusalTest, AGlobalUnitThatIsThereCountsForMachineOf) {
  builder_.machine(kId);
  builder_.unit("g.service", "Global=true");
  EXPECT_EQ(why("MachineOf=g.service"), "g.service (MachineOf) is not on it");
  builder_.schedule(kId, "g.service");
  EXPECT_EQ(why("MachineOf=g.service"), std::nullopt);
}

TEST_F(RefusalTest, ConflictsCountBothWays) {
  builder_.machine(kId);
  builder_.unit("x.service", "Conflicts=b*.service");
  builder_.schedule(kId, "x.service");
  EXPECT_EQ(why("Conflicts=x*", "a.service"), "conflicts with x.service, which runs there");
  EXPECT_EQ(why("", "b1.service"), "conflicts with x.service, which runs there");
  EXPECT_EQ(why("", "c.service"), std::nullopt);
}

TEST_F(RefusalTest, AUnitDoesNotConflictWithItself) {
  builder_.machine(kId);
  builder_.unit("a.service", "Conflicts=*");
  builder_.schedule(kId, "a.service");
  EXPECT_EQ(why("Conflicts=*"), std::nullopt);
}

TEST_F(RefusalTest, WhatHasNotStoppedYetKeepsOthersFromComingButDoesNotDriveThemAway) {
  builder_.machine(kId);
  builder_.unit("x.service", "Conflicts=a.service");
  builder_.schedule(kId, "x.service", UnitState::inactive);
  EXPECT_EQ(why(""), "conflicts with x.service, which has not stopped there yet");
  EXPECT_EQ(why("", "a.service", Stay::staying), std::nullopt);
}

TEST_F(RefusalTest, RefusesOnMachinesThatLeaveOrCannotBeReadOrAreNotThere) {
  builder_.machine(kId, {}, true);
  EXPECT_EQ(why(""), "its fleetd is being stopped");
  builder_.put(builder_.keys().machine(kId), "{\"v\":2}");
  ASSERT_TRUE(why(""));
  EXPECT_TRUE(why("")->starts_with("its record cannot be read: ")) << *why("");
  builder_.metadata(kId, "a", "b");
  builder_.lose(kId);
  EXPECT_EQ(why(""), "is not there");
}

using Loads = std::vector<std::pair<std::string, std::size_t>>;

Loads open_machines(const Placement& placement) {
  Loads loads;
  for (const OpenMachine& open : placement.open_machines()) loads.emplace_back(*open.id, open.load);
  return loads;
}

TEST(Placement, OrdersOpenMachinesByLoadThenById) {
  Placement placement;
  for (const char* id : {"m3", "m1", "m2"}) placement.open(id, {});
  placement.put("m1", "a", {});
  placement.put("m1", "b", {});
  placement.put("m2", "c", {});
  placement.put("m2", "d", {.assigned = false, .conflicts = {}});
  EXPECT_EQ(open_machines(placement), (Loads{{"m3", 0}, {"m2", 1}, {"m1", 2}}));
  placement.erase("m1", "a");
  placement.erase("m1", "b");
  placement.close("m3");
  placement.put("m3", "e", {});
  EXPECT_EQ(open_machines(placement), (Loads{{"m1", 0}, {"m2", 1}}));
  placement.open("m3", {});
  EXPECT_EQ(open_machines(placement), (Loads{{"m1", 0}, {"m2", 1}, {"m3", 1}}));
}

TEST(Placement, KnowsWhereAUnitIs) {
  Placement placement;
  placement.put("m1", "a", {});
  placement.put("m2", "a", {.assigned = false, .conflicts = {}});
  EXPECT_EQ(placement.machines_of("a"), (std::set<std::string>{"m1", "m2"}));
  placement.erase("m1", "a");
  placement.erase("m1", "a");
  EXPECT_EQ(placement.machines_of("a"), std::set<std::string>{"m2"});
  placement.erase("m2", "a");
  EXPECT_TRUE(placement.machines_of("a").empty());
}

// The machines that are asked about, in order, when none is accepted.
std::vector<std::string> asked(const Placement& placement, const std::string& fleet) {
  std::vector<std::string> asked;
  const auto record = RegistryBuilder::record("x.service", fleet);
  EXPECT_EQ(placement.first_open(record.requirements,
                                 [&](const std::string& id) {
                                   asked.push_back(id);
                                   return false;
                                 }),
            nullptr);
  return asked;
}

TEST(Placement, AsksOnlyMachinesThatComeIntoQuestion) {
  const std::string one(32, '1');
  Placement placement;
  placement.open("m1", {{"disk", "ssd"}, {"zone", "a"}});
  placement.open("m2", {{"disk", "ssd"}, {"zone", "b"}});
  placement.open("m3", {{"disk", "hdd"}, {"zone", "b"}});
  placement.open(one, {});
  placement.put("m2", "leader.service", {});
  placement.put("m1", "a", {});
  placement.put("m1", "b", {});
  placement.put("closed", "leader.service", {});
  using Machines = std::vector<std::string>;
  EXPECT_EQ(asked(placement, ""), (Machines{one, "m3", "m2", "m1"}));
  EXPECT_EQ(asked(placement, "MachineID=11111111"), Machines{one});
  EXPECT_EQ(asked(placement, "MachineID=" + one), Machines{one});
  EXPECT_EQ(asked(placement, "MachineID=22222222"), Machines{});
  EXPECT_EQ(asked(placement, "MachineID="), Machines{});
  EXPECT_EQ(asked(placement, "MachineOf=leader.service"), Machines{"m2"});
  EXPECT_EQ(asked(placement, "MachineOf=nowhere.service"), Machines{});
  EXPECT_EQ(asked(placement, "MachineMetadata=disk=ssd"), (Machines{"m2", "m1"}));
  EXPECT_EQ(asked(placement, "MachineMetadata=disk=ssd\nMachineMetadata=zone=a"), Machines{"m1"});
  EXPECT_EQ(asked(placement, "MachineMetadata=disk=tape"), Machines{});
  // Its metadata have changed.
  placement.open("m3", {{"disk", "ssd"}});
  EXPECT_EQ(asked(placement, "MachineMetadata=disk=hdd"), Machines{});
  EXPECT_EQ(asked(placement, "MachineMetadata=disk=ssd"), (Machines{"m3", "m2", "m1"}));
}

TEST(Placement, FindsTheLeastLoadedAmongAllValuesOfAKey) {
  Placement placement;
  placement.open("m1", {{"zone", "a"}});
  placement.open("m2", {{"zone", "b"}});
  placement.open("m3", {{"zone", "b"}});
  placement.put("m1", "u", {});
  placement.put("m2", "v", {});
  const auto record = RegistryBuilder::record(
      "x.service", "MachineMetadata=zone=a\nMachineMetadata=zone=b\nMachineMetadata=zone=c");
  const auto first = [&](const std::string& without) {
    const std::string* found = placement.first_open(
        record.requirements, [&](const std::string& id) { return id != without; });
    return found == nullptr ? std::string() : *found;
  };
  EXPECT_EQ(first(""), "m3");
  EXPECT_EQ(first("m3"), "m1");
}

TEST(Placement, CountsAUnitOnceHoweverOftenItIsPut) {
  Placement placement;
  placement.open("m", {});
  placement.put("m", "a", {.assigned = true, .conflicts = {"x"}});
  placement.put("m", "a", {});
  EXPECT_EQ(placement.on("m").assigned(), 1u);
  placement.put("m", "a", {.assigned = false, .conflicts = {}});
  EXPECT_EQ(placement.on("m").assigned(), 0u);
  EXPECT_FALSE(placement.on("m").has_assigned("a"));
  EXPECT_TRUE(placement.on("nowhere").occupants().empty());
}

}  // namespace
}  // namespace fleet
