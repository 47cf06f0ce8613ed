#include <gtest/gtest.h>

#include "engine/engine.h"
#include "tests/support/registry_builder.h"

namespace fleet {
namespace {

constexpr const char* kA = "a.service";

class ExplainTest : public testing::Test {
 protected:
  std::string why(const std::string& name = kA) {
    const Registry& registry = builder_.registry();
    const std::string reason = why_waiting(registry, name, 50);
    EXPECT_EQ(why_waiting(registry, placement_of(registry), name, 50), reason);
    return reason;
  }
  std::vector<std::pair<std::string, std::string>> each(const std::string& name = kA) {
    const Registry& registry = builder_.registry();
    return refusals(registry, placement_of(registry), name);
  }
  void place(const std::string& id, const std::string& name, const std::string& fleet = {}) {
    builder_.unit(name, fleet);
    builder_.schedule(id, name);
  }

  RegistryBuilder builder_;
};

TEST_F(ExplainTest, HasNothingToSayOfWhatIsWhereItShouldBe) {
  builder_.machine("m1");
  place("m1", kA);
  builder_.unit("i.service", "", UnitState::inactive);
  EXPECT_EQ(why(), "");
  EXPECT_EQ(why("i.service"), "");
  EXPECT_EQ(why("nobody.service"), "");
  EXPECT_TRUE(each().empty());
  EXPECT_TRUE(each("i.service").empty());
}

TEST_F(ExplainTest, SaysWhetherAnybodyIsThereToAct) {
  builder_.machine("m1");
  builder_.unit(kA);
  EXPECT_EQ(why(), "no engine leads at the moment");
  builder_.lead("m1");
  EXPECT_EQ(why(), "the leader is about to act on it");
}

TEST_F(ExplainTest, GivesEachMachinesOwnReason) {
  builder_.machine("m1", {{"disk", "hdd"}});
  builder_.machine("m2", {}, /*leaving=*/true);
  builder_.machine("m3");
  builder_.lead("m1");
  builder_.unit(kA, "MachineMetadata=disk=ssd");
  EXPECT_EQ(why(), "no machine may run it");
  const std::vector<std::pair<std::string, std::string>> expected{
      {"m1", "has metadata disk=hdd (wanted: disk=ssd)"},
      {"m2", "its fleetd is being stopped"},
      {"m3", "has no metadata disk (wanted: disk=ssd)"}};
  EXPECT_EQ(each(), expected);
}

TEST_F(ExplainTest, GivesTheReasonsOfTheMachinesThatAGlobalUnitIsNotOn) {
  builder_.machine("m1", {{"disk", "ssd"}});
  builder_.machine("m2");
  builder_.lead("m1");
  builder_.unit(kA, "Global=true\nMachineMetadata=disk=ssd");
  builder_.schedule("m1", kA);
  EXPECT_EQ(why(), "");
  const std::vector<std::pair<std::string, std::string>> expected{
      {"m2", "has no metadata disk (wanted: disk=ssd)"}};
  EXPECT_EQ(each(), expected);
}

TEST_F(ExplainTest, SaysThatThereIsNoMachineAtAll) {
  builder_.unit(kA);
  EXPECT_EQ(why(), "there is no machine to run it");
}

TEST_F(ExplainTest, TellsAnOutageFromALoneLoss) {
  for (const char* id : {"m1", "m2", "m3"}) builder_.machine(id);
  place("m1", kA);
  place("m2", "b.service");
  builder_.lose("m1");
  EXPECT_EQ(why(), "its machine m1 is away; it is moved if the machine does not return");
  builder_.lose("m2");
  EXPECT_EQ(why(),
            "its machine m1 is away together with so many others that it looks like an outage: "
            "nothing is moved until some return (engine_mass_loss_percent)");
}

TEST_F(ExplainTest, DoesNotPromiseAMoveThatCannotBe) {
  for (const char* id : {"m1", "m2", "m3"}) builder_.machine(id);
  place("m1", kA, "MachineID=m1");
  place("m2", "b.service", "MachineID=m2");
  builder_.lose("m1");
  EXPECT_EQ(why(), "its machine m1 is away and no machine may run it");
  EXPECT_EQ(each().size(), 2u);
  builder_.lose("m2");
  EXPECT_EQ(why(), "its machine m1 is away and no machine may run it");
}

TEST_F(ExplainTest, DoesNotWaitForAMachineThatOnlyHasOrdersLeft) {
  builder_.machine("m1");
  builder_.machine("m2");
  builder_.unit(kA, "MachineMetadata=disk=ssd");
  builder_.schedule("m1", kA, UnitState::inactive);
  builder_.lose("m1");
  EXPECT_EQ(why(), "no machine may run it");
}

TEST_F(ExplainTest, SaysWhatCannotBeRead) {
  builder_.machine("m1");
  place("m1", kA);
  builder_.put(builder_.keys().target(kA), "{\"v\":2}");
  EXPECT_TRUE(why().starts_with("left as it is, because a record of it cannot be read: "));
  EXPECT_TRUE(each().empty());
}

}  // namespace
}  // namespace fleet
