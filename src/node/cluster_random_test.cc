// Short random lives of a small cluster. What must hold at every moment is checked as it happens;
// what must hold in the end, after everything has healed.
#include <cstdlib>
#include <random>

#include <gtest/gtest.h>

#include "node/cluster_fixture.h"

namespace fleet {
namespace {

using namespace std::chrono_literals;

class RandomLife {
 public:
  explicit RandomLife(unsigned seed)
      : random_(seed), cluster_(2 + static_cast<int>(seed % 4)), slow_(seed % 3 == 0) {
    int i = 0;
    for (auto& [id, machine] : cluster_.machines) {
      ids_.push_back(id);
      machine->metadata = {{"odd", i++ % 2 == 0 ? "yes" : "no"}};
      machine->link = healthy();
      if (slow_) machine->systemd.set_latency(3ms);
    }
  }

  void live() {
    cluster_.start();
    for (int i = 0; i < 150; ++i) {
      act();
      cluster_.run(std::chrono::milliseconds(pick(3) == 0 ? pick(60'000) : pick(1'500)));
      cluster_.check_stops();
    }
  }

  void heal() {
    for (const auto& id : ids_) {
      TestMachine& machine = cluster_.at(id);
      cluster_.set_link(id, healthy());
      for (int i = 0; i < kUnits; ++i) machine.systemd.clear_script(unit(i));
      machine.systemd.connect();
      if (!machine.is_up()) cluster_.start(id);
      cluster_.run(std::chrono::milliseconds(pick(3000)));
    }
    cluster_.run(10min);
    cluster_.check_stops();
  }

  Cluster& cluster() { return cluster_; }

 private:
  static constexpr int kUnits = 7;

  unsigned pick(unsigned below) { return static_cast<unsigned>(random_() % below); }
  static std::string unit(int i) { return "u" + std::to_string(i) + ".service"; }
  const std::string& machine() { return ids_[pick(static_cast<unsigned>(ids_.size()))]; }
  MemoryLink healthy() { return {.delay = slow_ ? Duration(7ms) : 0ms}; }

  // Each unit has its own wishes; what it runs may change.
  std::string body(int i, const std::string& desired) {
    std::vector<std::pair<std::string, std::string>> fleet;
    if (i == 0) fleet = {{"Replaces", "u2.service"}};
    if (i == 1) fleet = {{"Conflicts", "u2.service"}};
    if (i == 3) fleet = {{"MachineOf", "u2.service"}};
    if (i == 4) fleet = {{"Global", "true"}, {"Conflicts", "u5.service"}};
    if (i == 5) fleet = {{"MachineMetadata", "odd=yes"}};
    if (i == 6) fleet = {{"Global", "true"}, {"MachineMetadata", "odd=yes"}};
    return Cluster::body(desired, "/bin/sleep 1000000" + std::to_string(pick(2)), fleet);
  }

  void act() {
    const unsigned kind = pick(30);
    if (kind < 15) return use();
    const std::string& id = machine();
    switch (kind) {
      case 15:
        return cluster_.power_off(id);
      case 16:
      case 17:
        return cluster_.kill(id);
      case 18:
      case 19:
        return start_what_is_down();
      case 20:
        return cluster_.cut_off(id);
      case 21:
      case 22:
      case 23:
        for (const auto& each : ids_) cluster_.set_link(each, healthy());
        return;
      case 24:
        return cluster_.set_link(id, {.connected = true, .replies_lost = true});
      case 25:
        if (pick(4) != 0) return;
        for (const auto& each : ids_) cluster_.cut_off(each);
        return;
      case 26:
        return cluster_.start(id);
      case 27:
        return leave(id);
      case 28:
        cluster_.at(id).systemd.clear_script(unit(static_cast<int>(pick(kUnits))));
        return;
      default: {
        FakeScript script;
        if (pick(2) == 0) script.stop_takes = std::chrono::seconds(pick(20));
        if (pick(2) == 0) script.start_takes = std::chrono::seconds(pick(20));
        script.start_fails = pick(4) == 0;
        script.loses_signals = pick(4) == 0;
        return cluster_.at(id).systemd.set_script(unit(static_cast<int>(pick(kUnits))), script);
      }
    }
  }

  void start_what_is_down() {
    for (const auto& id : ids_) {
      if (!cluster_.at(id).is_up()) cluster_.start(id);
    }
  }

  void leave(const std::string& id) {
    TestMachine& there = cluster_.at(id);
    if (!there.is_up()) return;
    auto done = std::make_shared<bool>(false);
    cluster_.leaving.insert(id);
    there.node->leave([done] { *done = true; });
    cluster_.run(std::chrono::seconds(pick(20)));
    cluster_.check_stops();
    cluster_.kill(id);
    if (pick(2) == 0) cluster_.start(id);
  }

  void use() {
    const std::string& id = machine();
    if (!cluster_.at(id).is_up()) return start_what_is_down();
    const int i = static_cast<int>(pick(kUnits));
    switch (pick(6)) {
      case 0:
        cluster_.ask(id, "DELETE", "/units/" + unit(i));
        return;
      case 1:
        cluster_.put(id, unit(i), body(i, "inactive"));
        return;
      case 2:
        cluster_.put(id, unit(i), body(i, "loaded"));
        return;
      case 3:
        // In quick succession.
        cluster_.ask(id, "DELETE", "/units/" + unit(i));
        cluster_.put(id, unit(i), body(i, "launched"));
        return;
      default:
        cluster_.put(id, unit(i), body(i, "launched"));
    }
  }

  std::mt19937 random_;
  Cluster cluster_;
  bool slow_;
  std::vector<std::string> ids_;
};

constexpr unsigned kGroups = 6;

class RandomLifeTest : public testing::TestWithParam<unsigned> {};

TEST_P(RandomLifeTest, EndsAsTheRegistryWantsItAndThenNothingMoves) {
  const char* more = std::getenv("FLEET_RANDOM_LIVES");  // each, instead of 30
  const unsigned lives = more == nullptr ? 30 : static_cast<unsigned>(std::atoi(more));
  for (unsigned i = 0; i < lives; ++i) {
    const unsigned seed = GetParam() + i * kGroups;
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomLife life(seed);
    Cluster& cluster = life.cluster();
    life.live();
    life.heal();
    cluster.expect_at_rest();
    EXPECT_EQ(cluster.violations, std::vector<std::string>{});
    cluster.clear_calls();
    const Revision before = cluster.etcd.revision();
    cluster.run(30min);
    EXPECT_EQ(cluster.calls(), 0u);
    EXPECT_EQ(cluster.etcd.revision(), before);
    if (HasFailure()) break;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomLifeTest, testing::Range(0U, kGroups));

TEST(RandomLife, IsTheSameForTheSameSeed) {
  for (unsigned seed = 1; seed <= 8; ++seed) {
    RandomLife one(seed);
    one.live();
    RandomLife other(seed);
    other.live();
    EXPECT_EQ(one.cluster().log.lines, other.cluster().log.lines) << seed;
  }
}

}  // namespace
}  // namespace fleet
