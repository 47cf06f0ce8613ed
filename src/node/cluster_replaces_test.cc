// Replaces in a whole cluster (behaviour document 3.3, section 8, row 21): the new unit takes the
// old one's place, and then nothing moves any more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "tests/sim/cluster.h"

namespace fleet {
namespace {

using namespace std::chrono_literals;
using Fleet = std::vector<std::pair<std::string, std::string>>;

class ClusterReplacesTest : public testing::Test {
 protected:
  ClusterReplacesTest() { cluster_.start(); }

  void launch(const std::string& unit, const Fleet& fleet = {}) {
    ASSERT_EQ(cluster_.put("m1", unit, Cluster::body("launched", "/bin/sleep 1000000", fleet)),
              201);
    cluster_.run(2s);
  }
  std::string only_machine_of(const std::string& unit) {
    const auto on = cluster_.running(unit);
    return on.size() == 1 ? on.front() : "";
  }
  std::string why(const std::string& unit) { return why_waiting(cluster_.mirror, unit, 50); }
  // Half an hour in which no systemd is asked for anything and the registry stands still.
  void expect_rest() {
    cluster_.run(10s);
    cluster_.clear_calls();
    const Revision revision = cluster_.etcd.revision();
    cluster_.run(30min);
    EXPECT_EQ(cluster_.calls(), 0u);
    EXPECT_EQ(cluster_.etcd.revision(), revision);
    EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
  }

  Cluster cluster_{3};
};

TEST_F(ClusterReplacesTest, TheNewUnitTakesTheOldOnesPlaceAndTheOldOneMovesOn) {
  launch("a-side.service");
  launch("old.service");
  const std::string place = only_machine_of("old.service");
  launch("new.service", {{"Replaces", "old.service"}});
  EXPECT_EQ(only_machine_of("new.service"), place);
  EXPECT_NE(only_machine_of("old.service"), "");
  EXPECT_NE(only_machine_of("old.service"), place);
  EXPECT_EQ(cluster_.at(place).systemd.invocations("new.service"), 1u);
  expect_rest();
}

TEST_F(ClusterReplacesTest, TheOldUnitWaitsIfItMayRunNowhereElse) {
  launch("old.service", {{"MachineID", "m2"}});
  launch("new.service", {{"Replaces", "old.service"}});
  EXPECT_EQ(only_machine_of("new.service"), "m2");
  EXPECT_TRUE(cluster_.running("old.service").empty());
  EXPECT_EQ(why("old.service"), "no machine may run it");
  expect_rest();
  ASSERT_EQ(cluster_.ask("m3", "DELETE", "/units/new.service"), 204);
  cluster_.run(2s);
  EXPECT_EQ(only_machine_of("old.service"), "m2");
}

// 1.0 flapped about once a second, for ever.
TEST_F(ClusterReplacesTest, TwoThatMayRunOnOneMachineOnlyDoNotFlap) {
  cluster_.at("m2").metadata = {{"disk", "ssd"}};
  cluster_.start("m2");
  cluster_.run(5s);
  launch("old.service", {{"MachineMetadata", "disk=ssd"}});
  launch("new.service", {{"Replaces", "old.service"}, {"MachineMetadata", "disk=ssd"}});
  EXPECT_EQ(only_machine_of("new.service"), "m2");
  EXPECT_TRUE(cluster_.running("old.service").empty());
  expect_rest();
  EXPECT_EQ(cluster_.at("m2").systemd.invocations("new.service"), 1u);
}

// section 8, row 22.
TEST_F(ClusterReplacesTest, OfACircleTheLastStaysUnplacedUntilSomebodyBreaksIt) {
  launch("a.service", {{"Replaces", "b.service"}});
  launch("b.service", {{"Replaces", "c.service"}, {"MachineMetadata", "disk=none"}});
  launch("c.service", {{"Replaces", "a.service"}});
  EXPECT_TRUE(cluster_.running("b.service").empty());
  EXPECT_TRUE(cluster_.running("c.service").empty());
  EXPECT_NE(why("c.service").find("circle"), std::string::npos) << why("c.service");
  expect_rest();
  // It has no place to give up and is none of those that the waiting unit replaces.
  ASSERT_EQ(cluster_.ask("m1", "DELETE", "/units/b.service"), 204);
  cluster_.run(2s);
  EXPECT_NE(only_machine_of("c.service"), "");
  expect_rest();
}

TEST_F(ClusterReplacesTest, ACircleIsBrokenByAnotherContentToo) {
  launch("a.service", {{"Replaces", "b.service"}});
  launch("b.service", {{"Replaces", "c.service"}});
  launch("c.service", {{"Replaces", "a.service"}});
  EXPECT_TRUE(cluster_.running("c.service").empty());
  launch("b.service");
  EXPECT_NE(only_machine_of("c.service"), "");
  expect_rest();
}

}  // namespace
}  // namespace fleet
