// What changes while fleetd runs, and the machine's own record.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sim/cluster.h"

namespace fleet {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Metadata = std::map<std::string, std::string>;

std::string sleeper(const std::vector<std::pair<std::string, std::string>>& fleet = {}) {
  return Cluster::body("launched", "/bin/sleep 1000000", fleet);
}

class ReconfigureTest : public testing::Test {
 protected:
  // m1 and m2 are databases, m3 is nothing in particular.
  ReconfigureTest() {
    for (const char* id : {"m1", "m2"}) cluster_.at(id).metadata = {{"role", "db"}};
    cluster_.start();
  }
  void submit(const std::string& name, const std::string& body) {
    ASSERT_EQ(cluster_.put("m3", name, body), 201) << name;
    cluster_.run(1s);
  }
  void reconfigure(const std::string& id, const std::function<void(NodeSettings&)>& change) {
    change(cluster_.at(id).settings);
    cluster_.at(id).node->reconfigure(cluster_.at(id).settings);
    cluster_.run(5s);
  }
  const MachineRecord& record(const std::string& id) const {
    return *cluster_.mirror.machine(id)->presence.value;
  }
  // "start x m1" and so on, in the order of the machines.
  std::vector<std::string> calls() {
    std::vector<std::string> made;
    for (const auto& [id, machine] : cluster_.machines) {
      for (const FakeCall& call : machine->systemd.calls()) {
        const char* verb = call.verb == FakeCall::Verb::start  ? "start "
                           : call.verb == FakeCall::Verb::stop ? "stop "
                                                               : "restart ";
        made.push_back(verb + call.name + " " + id);
      }
      machine->systemd.clear_calls();
    }
    return made;
  }

  Cluster cluster_{3};
};

// Section 8, row 31: SIGHUP.
TEST_F(ReconfigureTest, NewMetadataMovesExactlyTheUnitsThatItConcerns) {
  submit("db.service", sleeper({{"MachineMetadata", "role=db"}}));
  submit("all.service", sleeper({{"MachineMetadata", "role=db"}, {"Global", "true"}}));
  submit("web.service", sleeper({{"MachineMetadata", "role=web"}}));
  for (int i = 1; i <= 6; ++i) submit("any" + std::to_string(i) + ".service", sleeper());
  const std::string id = cluster_.assigned("db.service");
  const std::string other = id == "m1" ? "m2" : "m1";
  ASSERT_EQ(cluster_.assigned("web.service"), "");
  calls();

  reconfigure(id, [](NodeSettings& settings) { settings.metadata = {{"role", "web"}}; });
  const std::vector<std::string> on_it = {"stop all.service " + id, "stop db.service " + id,
                                          "start web.service " + id};
  const auto made = calls();
  EXPECT_THAT(made, testing::UnorderedElementsAre(on_it[0], on_it[1], on_it[2],
                                                  "start db.service " + other));
  EXPECT_THAT(cluster_.unrest(), testing::IsEmpty());

  // A key that configures nothing new to any unit moves none.
  reconfigure(id, [](NodeSettings& settings) { settings.metadata["rack"] = "7"; });
  EXPECT_EQ(record(id).metadata, (Metadata{{"role", "web"}, {"rack", "7"}}));
  EXPECT_THAT(calls(), IsEmpty());
  // What was removed from the configuration is gone from the machine.
  reconfigure(id, [](NodeSettings& settings) { settings.metadata.clear(); });
  EXPECT_EQ(record(id).metadata, Metadata{});
  EXPECT_THAT(calls(), ElementsAre("stop web.service " + id));
}

TEST_F(ReconfigureTest, ANewAddressIsToldAndTouchesNothing) {
  submit("any.service", sleeper());
  calls();
  const Revision before = cluster_.last_decision;
  reconfigure("m1", [](NodeSettings& settings) { settings.public_ip = "10.9.9.9"; });
  EXPECT_EQ(record("m1").public_ip, "10.9.9.9");
  EXPECT_THAT(calls(), IsEmpty());
  EXPECT_EQ(cluster_.last_decision, before);

  cluster_.cut_off("m1");
  cluster_.run(1s);
  reconfigure("m1", [](NodeSettings& settings) { settings.public_ip = "10.8.8.8"; });
  reconfigure("m1", [](NodeSettings& settings) { settings.public_ip = "10.7.7.7"; });
  cluster_.rejoin("m1");
  cluster_.run(20s);
  EXPECT_EQ(record("m1").public_ip, "10.7.7.7") << "what changed without the store is told later";
  EXPECT_THAT(calls(), IsEmpty());
}

TEST_F(ReconfigureTest, AnEngineThatIsDisabledGivesTheLeadUp) {
  submit("any.service", sleeper());
  calls();
  const std::string first = cluster_.leader();
  reconfigure(first, [](NodeSettings& settings) { settings.disable_engine = true; });
  const std::string second = cluster_.leader();
  EXPECT_NE(second, "");
  EXPECT_NE(second, first);
  for (const auto& [id, machine] : cluster_.machines) {
    if (id != first)
      reconfigure(id, [](NodeSettings& settings) { settings.disable_engine = true; });
  }
  EXPECT_EQ(cluster_.leader(), "");
  EXPECT_FALSE(cluster_.mirror.leader().exists());
  reconfigure(first, [](NodeSettings& settings) { settings.disable_engine = false; });
  EXPECT_EQ(cluster_.leader(), first);
  EXPECT_THAT(calls(), IsEmpty());
  submit("later.service", sleeper());
  EXPECT_EQ(cluster_.running("later.service").size(), 1u);
}

TEST_F(ReconfigureTest, AnotherBoundOfTheBrakeCountsAtOnce) {
  for (int i = 1; i <= 6; ++i) submit("any" + std::to_string(i) + ".service", sleeper());
  calls();
  const std::string leader = cluster_.leader();
  for (const auto& [id, machine] : cluster_.machines) {
    if (id != leader) cluster_.power_off(id);
  }
  cluster_.run(10min);
  EXPECT_THAT(calls(), IsEmpty());
  ASSERT_TRUE(cluster_.said("this looks like an outage"));
  reconfigure(leader, [](NodeSettings& settings) { settings.mass_loss_percent = 100; });
  cluster_.run(kTtl + 1s);
  EXPECT_EQ(cluster_.at(leader).systemd.active_units().size(), 6u);
}

TEST_F(ReconfigureTest, PagesAreAsLongAsTheNewLimit) {
  for (int i = 1; i <= 3; ++i) submit("any" + std::to_string(i) + ".service", sleeper());
  const auto units_on_a_page = [this] {
    std::string body;
    cluster_.at("m1").node->handle({"GET", "/fleet/v1/units", {}, {}, "test"},
                                   [&](const ApiResponse& response) { body = response.body; });
    cluster_.loop.run_ready();
    int units = 0;
    for (std::size_t at = 0; (at = body.find("\"desiredState\"", at)) != std::string::npos; ++at) {
      ++units;
    }
    return units;
  };
  EXPECT_EQ(units_on_a_page(), 3);
  reconfigure("m1", [](NodeSettings& settings) { settings.token_limit = 2; });
  EXPECT_EQ(units_on_a_page(), 2);
}

TEST_F(ReconfigureTest, ARecordThatSomebodyRemovesOrOverwritesIsWrittenAgain) {
  for (int i = 1; i <= 6; ++i) submit("any" + std::to_string(i) + ".service", sleeper());
  calls();
  const Revision before = cluster_.last_decision;
  const std::string key = cluster_.mirror.keys().machine("m1");
  const LeaseId lease = cluster_.etcd.read({key, false}, 0)->values.at(0).lease;
  const std::vector<Operation> meddling = {Delete{{key, false}}, Put{key, "garbage", 0},
                                           Put{key, R"({"v":1,"id":"m1","boot_id":"m1-0"})", 0}};
  for (const Operation& operation : meddling) {
    ASSERT_TRUE(cluster_.etcd.commit({{}, {operation}}));
    cluster_.run(1s);
    const auto now = cluster_.etcd.read({key, false}, 0);
    ASSERT_EQ(now->values.size(), 1u);
    EXPECT_EQ(now->values[0].lease, lease);
    EXPECT_EQ(record("m1").metadata, (Metadata{{"role", "db"}}));
  }
  EXPECT_TRUE(cluster_.said("is gone or was changed by somebody else"));
  // At rest again: nobody writes or reads any more.
  const Revision revision = cluster_.etcd.revision();
  cluster_.run(2 * kTtl);
  EXPECT_EQ(cluster_.etcd.revision(), revision);
  EXPECT_THAT(calls(), IsEmpty());
  EXPECT_EQ(cluster_.last_decision, before);
}

}  // namespace
}  // namespace fleet
