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

TEST(Placement, OrdersOpenMachinesByLoadThenById) {
  Placement placement;
  for (const char* id : {"m3", "m1", "m2"}) placement.set_open(id, true);
  placement.put("m1", "a", {});
  placement.put("m1", "b", {});
  placement.put("m2", "c", {});
  placement.put("m2", "d", {.assigned = false, .conflicts = {}});
  const Placement::ByLoad expected{{0, "m3"}, {1, "m2"}, {2, "m1"}};
  EXPECT_EQ(placement.open_machines(), expected);
  placement.erase("m1", "a");
  placement.erase("m1", "b");
  placement.set_open("m3", false);
  placement.put("m3", "e", {});
  const Placement::ByLoad then{{0, "m1"}, {1, "m2"}};
  EXPECT_EQ(placement.open_machines(), then);
  placement.set_open("m3", true);
  EXPECT_TRUE(placement.open_machines().contains({1, "m3"}));
}

TEST(Placement, CountsAUnitOnceHoweverOftenItIsPut) {
  Placement placement;
  placement.set_open("m", true);
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
