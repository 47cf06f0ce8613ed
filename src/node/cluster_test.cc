#include "tests/sim/cluster.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
  EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
}

// section 8, row 27: within a blink, and nothing is polled.
TEST_F(ClusterTest, ChangesActAtOnce) {
  begin(1);
  const std::string machine = cluster_.running(unit(1)).at(0);
  ASSERT_EQ(cluster_.put("m1", unit(1), R"({"desiredState":"loaded"})"), 204);
  cluster_.run(100ms);
  EXPECT_TRUE(cluster_.running(unit(1)).empty());
  ASSERT_EQ(cluster_.put("m2", unit(1), R"({"desiredState":"launched"})"), 204);
  cluster_.run(100ms);
  EXPECT_EQ(cluster_.running(unit(1)), std::vector<std::string>{machine});
  ASSERT_EQ(cluster_.ask("m3", "DELETE", "/units/" + unit(1)), 204);
  cluster_.run(100ms);
  EXPECT_TRUE(cluster_.running(unit(1)).empty());
  EXPECT_EQ(cluster_.mirror.unit(unit(1)), nullptr);
}

TEST_F(ClusterTest, ARequestRightAfterTheStartWaitsUntilTheMachineHasJoined) {
  begin(1);
  const auto ask = [this](int& status) {
    cluster_.request("m1", "GET", "/machines", "",
                     [&status](const ApiResponse& response) { status = response.status; });
  };
  int status = 0;
  cluster_.set_link("m1", {.delay = 100ms});
  cluster_.start("m1");
  ask(status);
  int ready = 0;
  cluster_.at("m1").node->handle({"GET", "/readyz", {}, "", "test"},
                                 [&](const ApiResponse& response) { ready = response.status; });
  EXPECT_EQ(ready, 503) << "told at once";
  cluster_.run(100ms);
  EXPECT_EQ(status, 0);
  cluster_.run(1s);
  EXPECT_EQ(status, 200);

  status = 0;
  cluster_.cut_off("m1");
  cluster_.start("m1");
  ask(status);
  cluster_.run(1'999ms);
  EXPECT_EQ(status, 0);
  cluster_.run(1ms);
  EXPECT_EQ(status, 503) << "nor longer than that";
  ask(status = 0);
  cluster_.run(1ms);
  EXPECT_EQ(status, 503);
}

TEST_F(ClusterTest, DumpsWhatAMachineKnowsOfItsUnits) {
  begin(1);
  const SimMachine& machine = cluster_.at(cluster_.running(unit(1)).at(0));
  const std::string hash = cluster_.mirror.unit(unit(1))->unit->hash;
  EXPECT_EQ(machine.node->dump(),
            R"({"Agent":{"Cache":{"TargetStates":{"u1.service":"launched"}}},)"
            R"("UnitStatePublisher":{"Cache":{"u1.service":{"LoadState":"loaded",)"
            R"("ActiveState":"active","SubState":"running","MachineID":")" +
                machine.id + R"(","UnitHash":")" + hash +
                R"(","UnitName":"u1.service"}},"ToPublish":{}},)"
                R"("UnitStateGenerator":{"Subscribed":["u1.service"]}})");
}

// section 8, row 29.
TEST_F(ClusterTest, AUnitThatSystemdCannotLoadHoldsUpNothing) {
  begin(1);
  const std::string bad = R"({"desiredState":"launched","options":[{"section":"Service",)"
                          R"("name":"Type","value":"simple"}]})";
  ASSERT_EQ(cluster_.put("m1", "bad.service", bad), 201);
  cluster_.run(30s);
  const std::string machine = cluster_.assigned("bad.service");
  ASSERT_EQ(cluster_.at(machine).systemd.status("bad.service").load_state, "bad-setting");
  ASSERT_EQ(cluster_.put("m1", unit(2), kSleep), 201);
  cluster_.run(1s);
  EXPECT_EQ(cluster_.running(unit(2)).size(), 1u);

  const auto left = cluster_.leave(machine);
  cluster_.run(5s);
  EXPECT_TRUE(*left) << "the machine is given up with it";
  cluster_.kill(machine);
  cluster_.run(1s);
  const std::string next = cluster_.assigned("bad.service");
  EXPECT_NE(next, machine);
  ASSERT_EQ(cluster_.ask(next, "DELETE", "/units/bad.service"), 204);
  cluster_.run(1s);
  EXPECT_EQ(cluster_.mirror.unit("bad.service"), nullptr);
  EXPECT_FALSE(cluster_.at(next).systemd.file("bad.service"));
}

// section 8, rows 20 and 29: names that the API takes, as 1.0 did, and that systemd cannot have.
TEST_F(ClusterTest, AUnitThatSystemdCouldNotHaveHoldsUpNothing) {
  begin(1);
  const std::string longest = std::string(248, 'x') + ".service";
  for (const std::string& name :
       {std::string("a.busname"), std::string("a.snapshot"), std::string(".service"), longest}) {
    SCOPED_TRACE(name);
    ASSERT_EQ(cluster_.put("m1", name, kSleep), 201);
    cluster_.run(10s);
    const std::string machine = cluster_.assigned(name);
    ASSERT_NE(machine, "");
    ASSERT_TRUE(cluster_.mirror.unit(name)->states.contains(machine));
    EXPECT_NE(cluster_.mirror.unit(name)->states.at(machine)->problem, "");

    const auto left = cluster_.leave(machine);
    cluster_.run(5s);
    EXPECT_TRUE(*left) << "the machine is given up with it";
    cluster_.start(machine);
    cluster_.run(5s);
    ASSERT_EQ(cluster_.ask(machine, "DELETE", "/units/" + name), 204);
    cluster_.run(5s);
    EXPECT_EQ(cluster_.mirror.unit(name), nullptr);
  }
}

TEST_F(ClusterTest, MovesTheUnitsOfAMachineThatDies) {
  begin();
  const std::string dead = follower();
  const std::string moved = unit_on(dead);
  cluster_.power_off(dead);
  cluster_.run(kLost);
  ASSERT_EQ(cluster_.running(moved).size(), 1u);
  EXPECT_EQ(cluster_.calls(), 1u) << "nothing else was touched";
  EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
}

TEST_F(ClusterTest, MovesTheUnitsOfTheLeadersMachineAfterOneMoreTtl) {
  begin();
  const std::string dead = cluster_.leader();
  const std::string moved = unit_on(dead);
  cluster_.power_off(dead);
  cluster_.run(2 * kTtl + 1s);
  EXPECT_EQ(cluster_.running(moved).size(), 1u);
  EXPECT_EQ(cluster_.calls(), 1u);
  EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
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
  EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
}

// section 8, row 34. section 8, row 28: 1.0 took a second for each.
TEST_F(ClusterTest, HandsItsUnitsOverWhenItLeaves) {
  begin(18);
  for (const std::string& leaving : {follower(), cluster_.leader()}) {
    bool done = false;
    cluster_.at(leaving).node->leave([&] { done = true; });
    cluster_.run(5s);
    EXPECT_TRUE(done);
    EXPECT_TRUE(cluster_.at(leaving).systemd.active_units().empty());
    for (int i = 1; i <= 18; ++i) {
      EXPECT_EQ(cluster_.running(unit(i)).size(), 1u) << unit(i);
      EXPECT_FALSE(cluster_.at(leaving).systemd.file(unit(i))) << unit(i);
    }
    cluster_.kill(leaving);
    EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
    cluster_.start(leaving);
    cluster_.run(kTtl);
    EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
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

// Nothing is known of what is wanted of them: they are left as they are, and that is said.
TEST_F(ClusterTest, LeavesRunningWhatItKnowsNoDecisionAboutAndSaysSo) {
  begin();
  const std::string id = follower();
  const std::string name = unit_on(id);
  cluster_.cut_off(id);
  cluster_.start(id);
  cluster_.run(1s);
  bool done = false;
  cluster_.at(id).node->leave([&] { done = true; });
  cluster_.run(10s);
  EXPECT_TRUE(done);
  EXPECT_THAT(cluster_.at(id).systemd.active_units(), testing::Contains(name));
  EXPECT_TRUE(cluster_.said(name + ": not handed over"));
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
  EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
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
  EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
}

TEST_F(ClusterTest, AMachineThatIsCutOffGoesOnAndCeasesWhatWasMovedWhenItReturns) {
  begin();
  const std::string id = follower();
  const std::string moved = unit_on(id);
  cluster_.cut_off(id);
  cluster_.run(kTtl * 2 / 3 - 1s);
  EXPECT_EQ(cluster_.running(moved).size(), 1u) << "its lease lives at least for so long";
  cluster_.run(kLost);
  EXPECT_EQ(cluster_.running(moved).size(), 2u);
  cluster_.rejoin(id);
  cluster_.run(kTtl / 3 + 1s);  // the bound of docs/reliability.md, when nothing else is wrong
  EXPECT_EQ(cluster_.running(moved).size(), 1u);
  EXPECT_EQ(cluster_.calls(), 2u) << "one start there, one stop here";
  EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
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
  EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
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
  EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
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
  EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
}

// section 8, row 36: 1.0 left the content and empty directories behind; here nothing is left.
TEST_F(ClusterTest, DestroysUnits) {
  begin();
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(cluster_.ask("m2", "DELETE", "/units/" + unit(i)), 204);
    // They all have the same content.
    if (i < 3) EXPECT_EQ(cluster_.ask("m2", "GET", "/units/" + unit(3)), 200);
  }
  cluster_.run(2s);
  EXPECT_TRUE(cluster_.mirror.units().empty());
  const Result<ReadResult> left = cluster_.etcd.read(Keys().everything(), 0);
  for (const KeyValue& value : left->values) {
    EXPECT_EQ(value.key.find(".service"), std::string::npos) << value.key;
  }
  for (const auto& [id, machine] : cluster_.machines) {
    EXPECT_TRUE(machine->systemd.active_units().empty());
    EXPECT_FALSE(machine->systemd.file(unit(1)));
  }
}

// section 8, row 30: a machine that lets go of a unit takes back what it said itself, and no more.
TEST_F(ClusterTest, TheStatesOfOtherMachinesStayWhenOneLetsGo) {
  cluster_.start();
  const auto patch = [this](const std::string& id, const std::string& value) {
    return cluster_.ask(
        "m1", "PATCH", "/machines",
        fmt::format(R"([{{"op":"add","path":"/{}/metadata/disk","value":"{}"}}])", id, value));
  };
  for (const char* id : {"m1", "m2", "m3"}) ASSERT_EQ(patch(id, "ssd"), 204);
  ASSERT_EQ(cluster_.put("m1", "g.service",
                         Cluster::body("launched", "/bin/sleep 1000",
                                       {{"Global", "true"}, {"MachineMetadata", "disk=ssd"}})),
            201);
  cluster_.run(5s);
  const auto& states = cluster_.mirror.unit("g.service")->states;
  ASSERT_EQ(states.size(), 3u);
  const Revision m1 = states.at("m1").create_revision;
  const Revision m3 = states.at("m3").create_revision;
  ASSERT_EQ(patch("m2", "hdd"), 204);
  cluster_.run(5s);
  ASSERT_EQ(states.size(), 2u);
  EXPECT_EQ(states.at("m1").create_revision, m1) << "it was never away";
  EXPECT_EQ(states.at("m3").create_revision, m3);
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
  EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(cluster_.ask("m1", "DELETE", "/units/" + name), 204);
    cluster_.run(i * 4s);
    ASSERT_EQ(cluster_.put("m2", name, kSleep), 201) << i;
    cluster_.run(40s);
    EXPECT_EQ(cluster_.running(name).size(), 1u) << i;
    EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
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

TEST_F(ClusterTest, RestartsAUnitOnceForEachTimeItIsAskedTo) {
  begin(2);
  ASSERT_EQ(cluster_.put("m1", "g.service",
                         Cluster::body("launched", "/bin/sleep 1000000", {{"Global", "true"}})),
            201);
  cluster_.run(5s);
  cluster_.clear_calls();
  const auto restarts = [this](const std::string& name) {
    std::map<std::string, int> made;  // by machine
    for (const auto& [id, machine] : cluster_.machines) {
      for (const FakeCall& call : machine->systemd.calls()) {
        EXPECT_EQ(call.verb, FakeCall::Verb::restart) << call.name << " on " << id;
        if (call.name == name) ++made[id];
      }
    }
    return made;
  };
  const auto carried_out = [this](const std::string& name, const std::string& id) {
    return cluster_.mirror.unit(name)->states.at(id)->restarts;
  };
  const std::string machine = cluster_.running(unit(1)).at(0);
  ASSERT_EQ(cluster_.ask("m2", "POST", "/units/" + unit(1) + "/restart"), 200);
  ASSERT_EQ(cluster_.ask("m3", "POST", "/units/g.service/restart"), 200);
  cluster_.run(5s);
  using Made = std::map<std::string, int>;
  EXPECT_EQ(restarts(unit(1)), (Made{{machine, 1}}));
  EXPECT_EQ(restarts("g.service"), (Made{{"m1", 1}, {"m2", 1}, {"m3", 1}}));
  EXPECT_EQ(restarts(unit(2)), (Made{}));
  EXPECT_EQ(carried_out(unit(1), machine), 1u);
  EXPECT_EQ(carried_out("g.service", "m1"), 1u);
  EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());

  // Read again, by a new fleetd and a new leader, it is not carried out again.
  cluster_.clear_calls();
  cluster_.cut_off(machine);
  cluster_.run(5s);
  cluster_.rejoin(machine);
  for (const auto& [id, there] : cluster_.machines) cluster_.start(id);
  cluster_.run(5min);
  EXPECT_EQ(cluster_.calls(), 0u);
  EXPECT_EQ(carried_out(unit(1), machine), 1u) << "the note beside the file says so";

  // Asked for while its machine's fleetd is away, it is carried out on its return; several at once
  // are one.
  cluster_.kill(machine);
  const std::string other = other_than(machine);
  cluster_.run(1s);
  ASSERT_EQ(cluster_.ask(other, "POST", "/units/" + unit(1) + "/restart"), 200);
  ASSERT_EQ(cluster_.ask(other, "POST", "/units/" + unit(1) + "/restart"), 200);
  cluster_.run(1s);
  cluster_.start(machine);
  cluster_.run(5min);
  EXPECT_EQ(restarts(unit(1)), (Made{{machine, 1}}));
  EXPECT_EQ(carried_out(unit(1), machine), 3u);
  EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
}

TEST_F(ClusterTest, AUnitThatMovesIsNotRestartedWhereItCameTo) {
  begin(1);
  ASSERT_EQ(cluster_.ask("m1", "POST", "/units/" + unit(1) + "/restart"), 200);
  cluster_.run(1s);
  const std::string left = cluster_.running(unit(1)).at(0);
  bool done = false;
  cluster_.at(left).node->leave([&] { done = true; });
  cluster_.run(5s);
  EXPECT_TRUE(done);
  const std::string machine = cluster_.running(unit(1)).at(0);
  EXPECT_NE(machine, left);
  ASSERT_EQ(cluster_.at(machine).systemd.calls().size(), 1u);
  EXPECT_EQ(cluster_.at(machine).systemd.calls().at(0).verb, FakeCall::Verb::start);
  EXPECT_EQ(cluster_.mirror.unit(unit(1))->states.at(machine)->restarts, 1u);
}

TEST_F(ClusterTest, LeavesOnceHoweverOftenItIsToldTo) {
  begin();
  const std::string id = cluster_.running(unit(1)).at(0);
  int left = 0;
  for (int i = 0; i < 3; ++i) cluster_.at(id).node->leave([&] { ++left; });
  cluster_.kill(id);  // in the middle of it
  cluster_.run(10s);
  EXPECT_EQ(left, 0);
  cluster_.start(id);
  cluster_.run(5s);
  for (int i = 0; i < 3; ++i) cluster_.at(id).node->leave([&] { ++left; });
  cluster_.run(10s);
  EXPECT_EQ(left, 1);
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
  EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
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
  EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());
  for (int i = 1; i <= 6; ++i) EXPECT_EQ(cluster_.running(unit(i)).size(), 1u);
}

}  // namespace
}  // namespace fleet
