#include <gtest/gtest.h>

#include "node/cluster_fixture.h"

namespace fleet {
namespace {

using namespace std::chrono_literals;

const std::string kSleep = Cluster::body("launched", "/bin/sleep 1000000");
constexpr Duration kLost = kTtl + kTtl / 3 + 1s;

class ClusterTest : public testing::Test {
 protected:
  void begin(int units = 3) {
    cluster_.start();
    for (int i = 1; i <= units; ++i) {
      ASSERT_EQ(cluster_.put("m1", unit(i), kSleep), 201);
      cluster_.run(1s);
    }
    cluster_.run(5s);
    cluster_.clear_calls();
  }
  static std::string unit(int i) { return "u" + std::to_string(i) + ".service"; }
  std::string follower() {
    for (const auto& [id, machine] : cluster_.machines) {
      if (id != cluster_.leader()) return id;
    }
    return {};
  }
  std::string other_than(const std::string& one) {
    for (const auto& [id, machine] : cluster_.machines) {
      if (id != one && machine->is_up()) return id;
    }
    return {};
  }
  // The unit that runs on `id`.
  std::string unit_on(const std::string& id) {
    const auto active = cluster_.at(id).systemd.active_units();
    return active.empty() ? "" : active.front();
  }

  Cluster cluster_{3};
};

TEST_F(ClusterTest, RunsUnitsSpreadOverTheMachines) {
  begin(6);
  EXPECT_NE(cluster_.leader(), "");
  for (const auto& [id, machine] : cluster_.machines) {
    EXPECT_EQ(machine->systemd.active_units().size(), 2u) << id;
    EXPECT_EQ(machine->systemd.reloads(), 0u) << id;
  }
  cluster_.expect_at_rest();
}

TEST_F(ClusterTest, MovesTheUnitsOfAMachineThatDies) {
  begin();
  const std::string dead = follower();
  const std::string moved = unit_on(dead);
  cluster_.power_off(dead);
  cluster_.run(kLost);
  ASSERT_EQ(cluster_.running(moved).size(), 1u);
  EXPECT_EQ(cluster_.calls(), 1u) << "nothing else was touched";
  cluster_.expect_at_rest();
}

TEST_F(ClusterTest, MovesTheUnitsOfTheLeadersMachineAfterOneMoreTtl) {
  begin();
  const std::string dead = cluster_.leader();
  const std::string moved = unit_on(dead);
  cluster_.power_off(dead);
  cluster_.run(2 * kTtl + 1s);
  EXPECT_EQ(cluster_.running(moved).size(), 1u);
  EXPECT_EQ(cluster_.calls(), 1u);
  cluster_.expect_at_rest();
}

TEST_F(ClusterTest, AMachineThatReturnsFromTheDeadTakesNewWork) {
  begin();
  const std::string dead = follower();
  cluster_.power_off(dead);
  cluster_.run(kLost);
  cluster_.start(dead);
  cluster_.run(kTtl);
  cluster_.clear_calls();
  EXPECT_EQ(cluster_.put(dead, "new.service", kSleep), 201);
  cluster_.run(1s);
  EXPECT_EQ(cluster_.running("new.service"), std::vector<std::string>{dead});
  cluster_.expect_at_rest();
}

TEST_F(ClusterTest, HandsItsUnitsOverWhenItLeaves) {
  begin(6);
  for (const std::string& leaving : {follower(), cluster_.leader()}) {
    bool done = false;
    cluster_.at(leaving).node->leave([&] { done = true; });
    cluster_.run(5s);
    EXPECT_TRUE(done);
    EXPECT_TRUE(cluster_.at(leaving).systemd.active_units().empty());
    for (int i = 1; i <= 6; ++i) EXPECT_EQ(cluster_.running(unit(i)).size(), 1u) << unit(i);
    cluster_.kill(leaving);
    cluster_.expect_at_rest();
    cluster_.start(leaving);
    cluster_.run(kTtl);
    cluster_.expect_at_rest();
  }
}

TEST_F(ClusterTest, WaitsForSlowStopsWhenItLeavesEvenWithoutTheStore) {
  begin();
  const std::string id = follower();
  const std::string slow = unit_on(id);
  cluster_.at(id).systemd.set_script(slow, {.stop_takes = 20s});
  cluster_.at(id).systemd.stop_by_hand(slow);
  cluster_.run(21s);
  cluster_.at(id).systemd.start_by_hand(slow);
  cluster_.run(1s);
  cluster_.cut_off(id);
  bool done = false;
  cluster_.at(id).node->leave([&] { done = true; });
  cluster_.run(19s);
  EXPECT_FALSE(done) << "it is still stopping";
  cluster_.run(30s);
  EXPECT_TRUE(done);
  EXPECT_TRUE(cluster_.at(id).systemd.active_units().empty());
}

TEST_F(ClusterTest, ARestartOfFleetdTouchesNoUnit) {
  begin(6);
  for (int round = 0; round < 2; ++round) {
    for (const auto& [id, machine] : cluster_.machines) {
      cluster_.start(id);
      cluster_.run(7s);
    }
  }
  for (const auto& [id, machine] : cluster_.machines) cluster_.start(id);
  cluster_.run(5min);
  EXPECT_EQ(cluster_.calls(), 0u);
  cluster_.expect_at_rest();
}

TEST_F(ClusterTest, ACrashOfFleetdForLongerThanTheTtlMovesItsUnitsAndStopsThemOnReturn) {
  begin();
  const std::string id = follower();
  const std::string moved = unit_on(id);
  cluster_.kill(id);
  cluster_.run(kLost);
  EXPECT_EQ(cluster_.running(moved).size(), 2u) << "nobody is there to stop it";
  cluster_.start(id);
  cluster_.run(5s);
  ASSERT_EQ(cluster_.running(moved).size(), 1u);
  EXPECT_NE(cluster_.running(moved)[0], id);
  cluster_.expect_at_rest();
}

TEST_F(ClusterTest, AMachineThatIsCutOffGoesOnAndCeasesWhatWasMovedWhenItReturns) {
  begin();
  const std::string id = follower();
  const std::string moved = unit_on(id);
  cluster_.cut_off(id);
  cluster_.run(kLost);
  EXPECT_EQ(cluster_.running(moved).size(), 2u);
  cluster_.rejoin(id);
  cluster_.run(20s);
  EXPECT_EQ(cluster_.running(moved).size(), 1u);
  EXPECT_EQ(cluster_.calls(), 2u) << "one start there, one stop here";
  cluster_.expect_at_rest();
}

TEST_F(ClusterTest, AMachineThatReturnsBeginsNothingFromAnOldSchedule) {
  begin();
  const std::string id = follower();
  const std::string flaky = "flaky.service";
  // It fails wherever it runs first, so that its start is always about to be tried again.
  for (const auto& [each, machine] : cluster_.machines) {
    if (each == id) machine->systemd.set_script(flaky, {.start_fails = true});
  }
  ASSERT_EQ(
      cluster_.put("m1", flaky,
                   Cluster::body("launched", "/bin/sleep 1000000", {{"MachineOf", unit_on(id)}})),
      201);
  cluster_.run(10s);
  ASSERT_EQ(cluster_.assigned(flaky), id);
  cluster_.cut_off(id);
  cluster_.run(kLost + 70s);
  ASSERT_EQ(cluster_.running(flaky).size(), 1u);
  cluster_.at(id).systemd.clear_script(flaky);
  cluster_.at(id).systemd.clear_calls();
  cluster_.rejoin(id);
  cluster_.run(1min);
  for (const FakeCall& call : cluster_.at(id).systemd.calls()) {
    EXPECT_NE(call.verb, FakeCall::Verb::start) << call.name;
  }
  cluster_.expect_at_rest();
}

TEST_F(ClusterTest, AnOutageOfTheStoreRestartsNothingAndMovesNothing) {
  begin(6);
  const Revision before = cluster_.last_decision;
  for (const auto& [id, machine] : cluster_.machines) cluster_.cut_off(id);
  cluster_.run(3 * kTtl);
  EXPECT_EQ(cluster_.ask("m1", "GET", "/units"), 503);
  for (const auto& [id, machine] : cluster_.machines) {
    cluster_.rejoin(id);
    cluster_.run(3s);
  }
  cluster_.run(5min);
  EXPECT_EQ(cluster_.calls(), 0u);
  EXPECT_EQ(cluster_.last_decision, before);
  EXPECT_EQ(cluster_.ask("m1", "GET", "/units"), 200);
  cluster_.expect_at_rest();
}

TEST_F(ClusterTest, AllMachinesButOneCutOffSetsTheBrake) {
  begin(6);
  const Revision before = cluster_.last_decision;
  for (const auto& [id, machine] : cluster_.machines) {
    if (id != cluster_.leader()) cluster_.cut_off(id);
    cluster_.run(3s);
  }
  cluster_.run(1h);
  EXPECT_TRUE(cluster_.said("this looks like an outage"));
  for (const auto& [id, machine] : cluster_.machines) {
    cluster_.rejoin(id);
    cluster_.run(3s);
  }
  cluster_.run(5min);
  EXPECT_EQ(cluster_.calls(), 0u);
  EXPECT_EQ(cluster_.last_decision, before);
  cluster_.expect_at_rest();
}

TEST_F(ClusterTest, DestroysUnits) {
  begin();
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(cluster_.ask("m2", "DELETE", "/units/" + unit(i)), 204);
  }
  cluster_.run(2s);
  EXPECT_TRUE(cluster_.mirror.units().empty());
  for (const auto& [id, machine] : cluster_.machines) {
    EXPECT_TRUE(machine->systemd.active_units().empty());
    EXPECT_FALSE(machine->systemd.file(unit(1)));
  }
}

TEST_F(ClusterTest, AUnitDestroyedAndMadeAnewWhileItStillStopsRunsAgain) {
  begin();
  const std::string name = unit(1);
  const std::string id = cluster_.assigned(name);
  cluster_.at(id).systemd.set_script(name, {.stop_takes = 10s});
  ASSERT_EQ(cluster_.put("m1", name, Cluster::body("inactive", "/bin/sleep 1000000")), 204);
  cluster_.run(1s);
  ASSERT_EQ(cluster_.put("m1", name, kSleep), 204);
  cluster_.run(15s);
  cluster_.expect_at_rest();
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(cluster_.ask("m1", "DELETE", "/units/" + name), 204);
    cluster_.run(i * 4s);
    ASSERT_EQ(cluster_.put("m2", name, kSleep), 201) << i;
    cluster_.run(40s);
    EXPECT_EQ(cluster_.running(name).size(), 1u) << i;
    cluster_.expect_at_rest();
  }
}

TEST_F(ClusterTest, ReplacesAUnitWhereItRuns) {
  begin();
  const std::string id = cluster_.assigned(unit(1));
  ASSERT_EQ(cluster_.put("m1", unit(1), Cluster::body("launched", "/bin/sleep 7")), 201);
  cluster_.run(1s);
  EXPECT_EQ(cluster_.assigned(unit(1)), id);
  const auto text = cluster_.at(id).systemd.running_text(unit(1));
  ASSERT_TRUE(text);
  EXPECT_NE(text->find("sleep 7"), std::string::npos);
}

TEST_F(ClusterTest, StopsALaunchThatNeverEnds) {
  begin();
  ASSERT_EQ(cluster_.put("m1", "hangs.service", kSleep), 201);
  const std::string name = "hang2.service";
  for (const auto& [id, machine] : cluster_.machines) {
    machine->systemd.set_script(name, {.start_hangs = true});
  }
  ASSERT_EQ(cluster_.put("m1", name, kSleep), 201);
  cluster_.run(10s);
  ASSERT_EQ(cluster_.running(name).size(), 1u);
  ASSERT_EQ(cluster_.ask("m1", "DELETE", "/units/" + name), 204);
  cluster_.run(2s);
  EXPECT_TRUE(cluster_.running(name).empty());
  cluster_.expect_at_rest();
}

TEST_F(ClusterTest, AnIdleClusterSaysNothingToTheStore) {
  begin(6);
  ASSERT_EQ(cluster_.put("m1", "g.service",
                         Cluster::body("launched", "/bin/sleep 1000000", {{"Global", "true"}})),
            201);
  cluster_.run(5min);
  const Revision before = cluster_.etcd.revision();
  for (const auto& [id, machine] : cluster_.machines) machine->store->calls = 0;
  cluster_.run(2h);
  for (const auto& [id, machine] : cluster_.machines) EXPECT_EQ(machine->store->calls, 0) << id;
  EXPECT_EQ(cluster_.etcd.revision(), before);
}

TEST_F(ClusterTest, LosesNothingWhereRepliesAreLost) {
  cluster_.start();
  for (const auto& [id, machine] : cluster_.machines) {
    cluster_.set_link(id, {.connected = true, .replies_lost = true});
  }
  cluster_.run(10s);
  for (const auto& [id, machine] : cluster_.machines) cluster_.rejoin(id);
  cluster_.run(10s);
  for (int i = 1; i <= 6; ++i) ASSERT_EQ(cluster_.put("m1", unit(i), kSleep), 201);
  for (int round = 0; round < 10; ++round) {
    for (const auto& [id, machine] : cluster_.machines) {
      cluster_.set_link(id, {.connected = true, .replies_lost = round % 2 == 0});
      cluster_.run(700ms);
    }
  }
  for (const auto& [id, machine] : cluster_.machines) cluster_.rejoin(id);
  cluster_.run(2min);
  cluster_.expect_at_rest();
  for (int i = 1; i <= 6; ++i) EXPECT_EQ(cluster_.running(unit(i)).size(), 1u);
}

}  // namespace
}  // namespace fleet
