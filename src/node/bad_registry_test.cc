// Records that cannot be understood (a value that does not parse, one of a newer fleet, one over
// the limits): they freeze what they are about and nothing else, and the API and the log say so.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/json/status.h"
#include "base/limits.h"
#include "tests/sim/cluster.h"

namespace fleet {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

const std::string kSleep = Cluster::body("launched", "/bin/sleep 1000000");
constexpr const char* kUnit = "broken.service";
constexpr const char* kOther = "other.service";

struct Damage {
  const char* name;
  std::string value;
};

std::vector<Damage> damages() {
  return {{"nonsense", "nonsense"},
          {"empty", ""},
          {"incomplete", R"({"v":1})"},
          {"newer", R"({"v":2,"state":"inactive"})"},
          {"binary", std::string("\xff\x00\x7f{", 4)},
          {"too_large", R"({"v":1,"state":"inactive","x":")" +
                            std::string(limits::kRegistryValueBytes, 'x') + "\"}"}};
}

enum class Record { unit, target, schedule, state };

class BadRegistryBase : public testing::Test {
 protected:
  void SetUp() override {
    cluster_.start();
    for (const char* name : {kUnit, kOther}) {
      ASSERT_EQ(cluster_.put("m1", name, kSleep), 201);
      cluster_.run(1s);
    }
    cluster_.run(2 * kTtl);
    machine_ = cluster_.assigned(kUnit);
    ASSERT_NE(machine_, "");
    cluster_.clear_calls();
    cluster_.log.clear();
  }

  std::string value(const std::string& key) {
    return cluster_.etcd.read({key, false}, 0)->values.at(0).value;
  }
  // Writes past fleet, and leaves the key on the lease that it is on.
  void put(const std::string& key, const std::string& text) {
    const Result<ReadResult> was = cluster_.etcd.read({key, false}, 0);
    const LeaseId lease = was->values.empty() ? 0 : was->values[0].lease;
    ASSERT_TRUE(cluster_.etcd.commit({{}, {Put{key, text, lease}}}));
  }
  UnitStatusEntity status(const std::string& name) {
    ApiResponse answer;
    cluster_.request("m3", "GET", "/status?unit=" + name, "",
                     [&](const ApiResponse& it) { answer = it; });
    cluster_.run(1s);
    const Result<StatusEntity> status = status_from_json(answer.body);
    EXPECT_TRUE(status && status->units.size() == 1) << answer.status << " " << answer.body;
    return status && !status->units.empty() ? status->units[0] : UnitStatusEntity{};
  }
  // Everything else goes on as ever.
  void expect_others_obey() {
    ASSERT_EQ(cluster_.put("m2", kOther, R"({"desiredState":"inactive"})"), 204);
    ASSERT_EQ(cluster_.put("m2", "new.service", kSleep), 201);
    cluster_.run(2s);
    EXPECT_TRUE(cluster_.running(kOther).empty());
    EXPECT_EQ(cluster_.running("new.service").size(), 1u);
    ASSERT_EQ(cluster_.put("m2", kOther, R"({"desiredState":"launched"})"), 204);
    ASSERT_EQ(cluster_.ask("m2", "DELETE", "/units/new.service"), 204);
    cluster_.run(2s);
    EXPECT_EQ(cluster_.running(kOther).size(), 1u);
    EXPECT_TRUE(cluster_.running("new.service").empty());
  }

  Keys keys_;
  Cluster cluster_{3};
  std::string machine_;  // where the unit runs
};

class BadRegistryTest : public BadRegistryBase,
                        public testing::WithParamInterface<std::tuple<Record, Damage>> {
 protected:
  Record record() const { return std::get<Record>(GetParam()); }
  std::string key() const {
    switch (record()) {
      case Record::unit:
        return keys_.unit(kUnit);
      case Record::target:
        return keys_.target(kUnit);
      case Record::schedule:
        return keys_.schedule(machine_, kUnit);
      case Record::state:
        return keys_.state(machine_, kUnit);
    }
    return {};
  }
  void damage() {
    put(key(), std::get<Damage>(GetParam()).value);
    cluster_.run(2s);
  }
};

TEST_P(BadRegistryTest, FreezesTheUnitAndShowsWhy) {
  damage();
  EXPECT_THAT(status(kUnit).reason, HasSubstr(key()));
  EXPECT_TRUE(cluster_.said(key())) << "the log does not";
  EXPECT_EQ(status(kOther).reason, "");
  cluster_.run(5min);
  EXPECT_EQ(cluster_.calls(), 0u);

  for (const auto& [id, machine] : cluster_.machines) cluster_.start(id);
  cluster_.run(2 * kTtl);
  EXPECT_EQ(cluster_.calls(), 0u);
  EXPECT_EQ(cluster_.running(kUnit), std::vector<std::string>{machine_});
  expect_others_obey();
}

TEST_P(BadRegistryTest, ObeysOnceItIsMended) {
  const std::string good = value(key());
  damage();
  const int set = cluster_.put("m1", kUnit, R"({"desiredState":"inactive"})");
  cluster_.run(2s);
  if (record() == Record::target) {
    EXPECT_EQ(set, 204) << "the target is written anew, which mends it";
  } else {
    EXPECT_EQ(set, record() == Record::unit ? 500 : 204);
    EXPECT_EQ(cluster_.running(kUnit).size(), 1u) << "it is frozen";
    put(key(), good);
    cluster_.run(2s);
    if (set == 500) {
      EXPECT_EQ(cluster_.running(kUnit).size(), 1u);
      EXPECT_EQ(cluster_.put("m1", kUnit, R"({"desiredState":"inactive"})"), 204);
    }
    cluster_.run(2s);
  }
  EXPECT_TRUE(cluster_.running(kUnit).empty());
  EXPECT_EQ(status(kUnit).reason, "");
  EXPECT_EQ(cluster_.unrest(), std::vector<std::string>{});
}

TEST_P(BadRegistryTest, CanBeDestroyed) {
  damage();
  EXPECT_EQ(cluster_.ask("m2", "DELETE", "/units/" + std::string(kUnit)), 204);
  cluster_.run(5s);
  if (record() == Record::schedule || record() == Record::state) {
    EXPECT_EQ(cluster_.running(kUnit).size(), 1u) << "it is frozen";
    EXPECT_THAT(status(kUnit).reason, HasSubstr(key()));
    // Nobody but the operator can say that the record may go.
    ASSERT_TRUE(cluster_.etcd.commit({{}, {Delete{{key(), false}}}}));
    cluster_.run(5s);
  }
  EXPECT_TRUE(cluster_.running(kUnit).empty());
  EXPECT_EQ(cluster_.mirror.unit(kUnit), nullptr);
  EXPECT_EQ(cluster_.unrest(), std::vector<std::string>{});
}

std::string name_of(const testing::TestParamInfo<std::tuple<Record, Damage>>& it) {
  constexpr const char* kRecords[] = {"unit", "target", "schedule", "state"};
  return fmt::format("{}_{}", kRecords[static_cast<int>(std::get<Record>(it.param))],
                     std::get<Damage>(it.param).name);
}

INSTANTIATE_TEST_SUITE_P(All, BadRegistryTest,
                         testing::Combine(testing::Values(Record::unit, Record::target,
                                                          Record::schedule, Record::state),
                                          testing::ValuesIn(damages())),
                         name_of);

class BadMachineTest : public BadRegistryBase, public testing::WithParamInterface<Damage> {};

// A fleetd that hears of it writes its own record anew; here it cannot.
TEST_P(BadMachineTest, AMachineKeepsItsUnitsAndGetsNoMore) {
  const std::string machine = cluster_.assigned(cluster_.leader() == machine_ ? kOther : kUnit);
  ASSERT_NE(machine, cluster_.leader());
  const char* name = machine == machine_ ? kUnit : kOther;
  cluster_.cut_off(machine);
  put(keys_.machine(machine), GetParam().value);
  cluster_.run(2s);
  EXPECT_THAT(status(name).reason, HasSubstr(keys_.machine(machine)));
  EXPECT_TRUE(cluster_.said(keys_.machine(machine))) << "the log does not";
  const std::string elsewhere = cluster_.leader();
  for (int i = 1; i <= 3; ++i) {
    ASSERT_EQ(cluster_.put(elsewhere, fmt::format("{}.service", i), kSleep), 201);
  }
  cluster_.run(2s);
  for (int i = 1; i <= 3; ++i) {
    EXPECT_NE(cluster_.assigned(fmt::format("{}.service", i)), "");
    EXPECT_NE(cluster_.assigned(fmt::format("{}.service", i)), machine);
  }
  EXPECT_EQ(cluster_.assigned(name), machine);
  cluster_.rejoin(machine);
  cluster_.run(kTtl);
  EXPECT_EQ(cluster_.running(name), std::vector<std::string>{machine});
  EXPECT_EQ(cluster_.at(machine).systemd.invocations(name), 1u);
  EXPECT_EQ(status(name).reason, "");
  EXPECT_EQ(cluster_.unrest(), std::vector<std::string>{});
}

INSTANTIATE_TEST_SUITE_P(All, BadMachineTest, testing::ValuesIn(damages()),
                         [](const auto& it) { return std::string(it.param.name); });

// A value of metadata is any text, up to its limit.
TEST_F(BadRegistryBase, AMachineWithUnreadableMetadataKeepsItsUnits) {
  const std::string key = keys_.metadata(machine_, "disk");
  put(key, "ssd");
  ASSERT_EQ(
      cluster_.put("m1", "bound.service",
                   Cluster::body("launched", "/bin/sleep 1000", {{"MachineMetadata", "disk=ssd"}})),
      201);
  cluster_.run(2s);
  ASSERT_EQ(cluster_.running("bound.service"), std::vector<std::string>{machine_});
  cluster_.clear_calls();
  put(key, std::string(limits::kMetadataValueBytes + 1, 'x'));
  cluster_.run(2 * kTtl);
  EXPECT_EQ(cluster_.calls(), 0u);
  EXPECT_EQ(cluster_.running("bound.service"), std::vector<std::string>{machine_});
  EXPECT_THAT(status("bound.service").reason, HasSubstr(key));
  EXPECT_TRUE(cluster_.said(key)) << "the log does not";
  put(key, "hdd");
  cluster_.run(2s);
  EXPECT_TRUE(cluster_.running("bound.service").empty()) << "that is something to go by";
}

class OddKeysTest : public BadRegistryBase {};

TEST_F(OddKeysTest, WhatIsNotOfFleetsMakingIsLeftAlone) {
  const std::string prefix = keys_.prefix();
  for (const std::string key :
       {"", "x", "unit/", "unit/a/b", "unit", "target/", "schedule/m1", "schedule//a.service",
        "schedule/m1/a/b", "state/m1/", "machine/", "machine/a/b", "metadata/m1", "metadata//",
        "engine/x", "engine/leader/x", "future/record", "\xff\xfe"}) {
    if (key.empty()) continue;
    put(prefix + key, "nonsense");
  }
  // Names and machines that cannot be, in places where they could be.
  put(keys_.unit("no-type"), encode(make_unit_record("no-type", {})));
  put(keys_.target("no-type"), encode(TargetRecord()));
  put(keys_.schedule("nobody", "x.service"), encode(ScheduleRecord()));
  put(keys_.state("nobody", "x.service"), encode(StateRecord{}));
  cluster_.run(2 * kTtl);
  for (const auto& [id, machine] : cluster_.machines) cluster_.start(id);
  cluster_.run(2 * kTtl);
  EXPECT_EQ(cluster_.running(kUnit), std::vector<std::string>{machine_});
  EXPECT_EQ(cluster_.at(machine_).systemd.invocations(kUnit), 1u);
  expect_others_obey();
}

}  // namespace
}  // namespace fleet
