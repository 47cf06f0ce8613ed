#include "node/metrics.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sim/cluster.h"

namespace fleet {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

struct Lines final : Log {
  void write(const LogLine& line) override { texts.push_back(line.text); }
  std::vector<std::string> texts;
};

TEST(MeteredStoreTest, TellsOnceWhatTheStoreRefusesAndNotThatItIsAway) {
  VirtualLoop loop;
  MemoryRegistry etcd(loop);
  MemoryStore inner(loop, etcd);
  Lines log;
  MeteredStore store(loop, inner, log);
  const auto commit = [&](const std::string& key, LeaseId lease = 0) {
    store.commit({{}, {Put{key, "x", lease}}},
                 [](const Result<TransactionResult>& result) { EXPECT_FALSE(result); });
    loop.run_for(10s);
  };
  commit("");
  commit("");
  EXPECT_THAT(log.texts, testing::ElementsAre(HasSubstr("the registry refuses this fleetd: ")));
  commit("a", 77);  // a lease that is gone
  inner.set_link({.connected = false});
  commit("a");
  EXPECT_EQ(log.texts.size(), 1u);
}

TEST(MeteredStoreTest, CountsWhatHasEndedByKind) {
  VirtualLoop loop;
  MemoryRegistry etcd(loop);
  MemoryStore inner(loop, etcd);
  Lines log;
  MeteredStore store(loop, inner, log);
  inner.set_link({.delay = 20ms});
  int answers = 0;
  const auto read = [&](KeyRange range) {
    store.read(std::move(range), 0, [&](const Result<ReadResult>&) { ++answers; });
  };
  const auto commit = [&](const std::string& key) {
    store.commit({{}, {Put{key, "x", 0}}}, [&](const Result<TransactionResult>&) { ++answers; });
  };
  read({"a", false});
  EXPECT_EQ(store.counts().get.duration.count, 0u) << "it has not ended yet";
  read({"a", true});
  read({"b", true});
  commit("a");
  commit("");  // invalid
  loop.run_for(1s);
  EXPECT_EQ(answers, 5);
  EXPECT_EQ(store.counts().get.duration.count, 1u);
  EXPECT_EQ(store.counts().get_all.duration.count, 2u);
  EXPECT_EQ(store.counts().set.duration.count, 2u);
  EXPECT_EQ(store.counts().get.failed, 0u);
  EXPECT_EQ(store.counts().set.failed, 1u);
  EXPECT_DOUBLE_EQ(store.counts().get.duration.sum, 0.04) << "there and back";

  // A refused transaction has not failed; one without an answer has.
  store.commit({{{{"a", false}, Compare::Field::mod_revision, Compare::Relation::equal, 0}}, {}},
               [&](const Result<TransactionResult>& result) { EXPECT_FALSE(result->committed); });
  loop.run_for(1s);
  EXPECT_EQ(store.counts().set.failed, 1u);
  inner.set_link({.connected = false});
  read({"a", false});
  loop.run_for(10s);
  EXPECT_EQ(store.counts().get.failed, 1u);
  EXPECT_EQ(store.counts().get.duration.count, 2u);
}

// section 8, row 14: every name of 5.6 is there from the beginning, with 1.0's labels.
TEST(MetricsTest, HasTheNamesAndLabelsOf1_0) {
  MetricsText text;
  add_metrics(text, EngineMetrics{});
  add_metrics(text, StoreCounts{});
  const std::string all = text.take();
  const std::pair<const char*, const char*> types[] = {
      {"fleet_engine_leader_start_time", "gauge"},
      {"fleet_engine_task_count_total", "counter"},
      {"fleet_engine_task_failure_count_total", "counter"},
      {"fleet_engine_reconcile_count_total", "counter"},
      {"fleet_engine_reconcile_duration_second", "histogram"},
      {"fleet_engine_reconcile_failure_count_total", "counter"},
      {"fleet_registry_operation_count_total", "counter"},
      {"fleet_registry_operation_failed_count_total", "counter"},
      {"fleet_registry_operation_duration_second", "histogram"},
  };
  for (const auto& [name, type] : types) {
    EXPECT_THAT(all, HasSubstr(fmt::format("# HELP {} ", name)));
    EXPECT_THAT(all, HasSubstr(fmt::format("# TYPE {} {}\n", name, type)));
  }
  for (const char* sample : {
           "fleet_engine_leader_start_time 0",
           "fleet_engine_task_count_total{type=\"unscheduleunit\"} 0",
           "fleet_engine_task_count_total{type=\"attemptscheduleunit\"} 0",
           "fleet_engine_task_failure_count_total{type=\"unscheduleunit\"} 0",
           "fleet_engine_task_failure_count_total{type=\"attemptscheduleunit\"} 0",
           "fleet_engine_reconcile_count_total 0",
           "fleet_engine_reconcile_duration_second_bucket{le=\"0.005\"} 0",
           "fleet_engine_reconcile_duration_second_bucket{le=\"10\"} 0",
           "fleet_engine_reconcile_duration_second_bucket{le=\"+Inf\"} 0",
           "fleet_engine_reconcile_duration_second_sum 0",
           "fleet_engine_reconcile_duration_second_count 0",
           "fleet_engine_reconcile_failure_count_total{type=\"machine_away\"} 0",
           "fleet_engine_reconcile_failure_count_total{type=\"run\"} 0",
           "fleet_engine_reconcile_failure_count_total{type=\"schedule\"} 0",
           "fleet_registry_operation_count_total{type=\"get\"} 0",
           "fleet_registry_operation_count_total{type=\"set\"} 0",
           "fleet_registry_operation_count_total{type=\"get_all\"} 0",
           "fleet_registry_operation_failed_count_total{type=\"get_all\"} 0",
           "fleet_registry_operation_duration_second_bucket{ops=\"get_all\",le=\"0.25\"} 0",
           "fleet_registry_operation_duration_second_count{ops=\"set\"} 0",
       }) {
    EXPECT_THAT(all, HasSubstr(std::string(sample) + "\n"));
  }
}

TEST(MetricsTest, NumbersStandAtTheirNames) {
  EngineMetrics engine;
  engine.counts = {.rounds = 1,
                   .tried = {2, 3},
                   .failed = {4, 5},
                   .machine_away = 6,
                   .machine_refuses = 7,
                   .no_machine = 8};
  engine.rounds.observe(0.02);
  engine.led_since = 1.5e9;
  engine.leading = true;
  MetricsText text;
  add_metrics(text, engine);
  add_build_info(text, "2.0.0", "etcd");
  const std::string all = text.take();
  for (const char* sample : {
           "fleet_engine_leader_start_time 1500000000",
           "fleet_engine_task_count_total{type=\"attemptscheduleunit\"} 2",
           "fleet_engine_task_count_total{type=\"unscheduleunit\"} 3",
           "fleet_engine_task_failure_count_total{type=\"attemptscheduleunit\"} 4",
           "fleet_engine_task_failure_count_total{type=\"unscheduleunit\"} 5",
           "fleet_engine_reconcile_count_total 1",
           "fleet_engine_reconcile_duration_second_bucket{le=\"0.01\"} 0",
           "fleet_engine_reconcile_duration_second_bucket{le=\"0.025\"} 1",
           "fleet_engine_reconcile_duration_second_sum 0.02",
           "fleet_engine_reconcile_failure_count_total{type=\"machine_away\"} 6",
           "fleet_engine_reconcile_failure_count_total{type=\"run\"} 7",
           "fleet_engine_reconcile_failure_count_total{type=\"schedule\"} 8",
           "fleet_build_info{version=\"2.0.0\"} 1",
           "fleet_registry_info{kind=\"etcd\"} 1",
           "fleet_engine_leading 1",
           "fleet_engine_leader_start_time_seconds 1500000000",
           "fleet_engine_orders_total{order=\"schedule\"} 2",
           "fleet_engine_orders_total{order=\"unschedule\"} 3",
           "fleet_engine_order_failures_total{order=\"schedule\"} 4",
           "fleet_engine_order_failures_total{order=\"unschedule\"} 5",
           "fleet_engine_rounds_total 1",
           "fleet_engine_round_duration_seconds_bucket{le=\"0.025\"} 1",
           "fleet_engine_round_duration_seconds_sum 0.02",
           "fleet_engine_misplaced_units_total{reason=\"machine_lost\"} 6",
           "fleet_engine_misplaced_units_total{reason=\"machine_refuses\"} 7",
           "fleet_engine_misplaced_units_total{reason=\"no_machine\"} 8",
       }) {
    EXPECT_THAT(all, HasSubstr(std::string(sample) + "\n"));
  }
}

class NodeMetricsTest : public testing::Test {
 protected:
  std::string metrics(const std::string& id, int status = 200) {
    ApiResponse answer;
    cluster_.at(id).node->handle({"GET", "/metrics", {}, "", "test"},
                                 [&](const ApiResponse& response) { answer = response; });
    EXPECT_EQ(answer.status, status) << "it is answered at once";
    return answer.body;
  }
  // The number at the end of the line that begins with `name`.
  double number(const std::string& id, const std::string& name) {
    const std::string all = "\n" + metrics(id);
    const std::size_t at = all.find("\n" + name + " ");
    if (at == std::string::npos) {
      ADD_FAILURE() << "no " << name << " in " << all;
      return -1;
    }
    return std::stod(all.substr(at + name.size() + 2));
  }
  std::string follower() { return cluster_.leader() == "m1" ? "m2" : "m1"; }

  Cluster cluster_{2};
};

TEST_F(NodeMetricsTest, TheLeaderCountsAndFollowersDoNot) {
  cluster_.start();
  const std::string led = "fleet_engine_leader_start_time";
  const std::string scheduled = "fleet_engine_task_count_total{type=\"attemptscheduleunit\"}";
  const double since = number(cluster_.leader(), led);
  EXPECT_GE(since, Cluster::kUnixTimeAtStart);
  EXPECT_EQ(number(follower(), led), 0);
  for (const char* name : {"a.service", "b.service", "c.service"}) {
    ASSERT_EQ(cluster_.put(follower(), name, Cluster::body("launched", "/bin/sleep 1000")), 201);
    cluster_.run(1s);
  }
  EXPECT_EQ(number(cluster_.leader(), scheduled), 3);
  EXPECT_EQ(number(follower(), scheduled), 0);
  EXPECT_GT(number(cluster_.leader(), "fleet_engine_reconcile_count_total"), 0);
  EXPECT_EQ(number(cluster_.leader(), "fleet_engine_reconcile_count_total"),
            number(cluster_.leader(), "fleet_engine_reconcile_duration_second_count"));
  EXPECT_EQ(number(follower(), "fleet_engine_reconcile_count_total"), 0);
  EXPECT_EQ(number(cluster_.leader(), led), since) << "set once";

  // The lead moves on, and with it the time at which it began.
  const std::string old = cluster_.leader();
  cluster_.cut_off(old);
  cluster_.run(2 * kTtl + 5s);
  cluster_.rejoin(old);
  cluster_.run(kTtl);
  ASSERT_NE(cluster_.leader(), old);
  EXPECT_GT(number(cluster_.leader(), led), since);
  EXPECT_EQ(number(old, led), 0);
  EXPECT_EQ(number(old, scheduled), 3) << "a counter never falls";
}

TEST_F(NodeMetricsTest, TellsOfTheUnitsHereAndTheLeaderOfTheWholeCluster) {
  cluster_.start();
  ASSERT_EQ(cluster_.put("m1", "a.service", Cluster::body("launched", "/bin/sleep 1000")), 201);
  ASSERT_EQ(cluster_.put("m1", "b.service", Cluster::body("launched", "/bin/sleep 1000")), 201);
  ASSERT_EQ(cluster_.put("m1", "c.service", Cluster::body("inactive", "/bin/sleep 1000")), 201);
  ASSERT_EQ(cluster_.put("m1", "nowhere.service",
                         Cluster::body("launched", "/bin/sleep 1000", {{"MachineID", "m9"}})),
            201);
  cluster_.run(10s);
  for (const char* id : {"m1", "m2"}) {
    EXPECT_EQ(number(id, "fleet_agent_units{active_state=\"active\"}"), 1) << id;
    EXPECT_EQ(number(id, "fleet_agent_units{active_state=\"failed\"}"), 0) << id;
    EXPECT_EQ(number(id, "fleet_agent_units_with_problem"), 0) << id;
    EXPECT_EQ(number(id, "fleet_agent_tasks_total{task=\"load\"}"), 1) << id;
    EXPECT_EQ(number(id, "fleet_agent_tasks_total{task=\"start\"}"), 1) << id;
    EXPECT_EQ(number(id, "fleet_agent_task_failures_total{task=\"start\"}"), 0) << id;
    EXPECT_EQ(number(id, "fleet_engine_leading"), id == cluster_.leader() ? 1 : 0);
  }
  const std::string leader = cluster_.leader();
  EXPECT_EQ(number(leader, "fleet_machines{presence=\"present\"}"), 2);
  EXPECT_EQ(number(leader, "fleet_machines{presence=\"absent\"}"), 0);
  EXPECT_EQ(number(leader, "fleet_units{desired_state=\"launched\"}"), 3);
  EXPECT_EQ(number(leader, "fleet_units{desired_state=\"inactive\"}"), 1);
  EXPECT_EQ(number(leader, "fleet_unit_states{active_state=\"active\"}"), 2);
  EXPECT_EQ(number(leader, "fleet_units_waiting"), 1);
  EXPECT_EQ(number(leader, "fleet_engine_braking"), 0);
  for (const char* name : {"fleet_machines", "fleet_units", "fleet_unit_states"}) {
    EXPECT_THAT(metrics(follower()), testing::Not(HasSubstr(std::string("\n") + name + "{")));
  }
}

TEST(ClusterMetricsTest, ShowThatNothingIsMovedWhenManyAreMissing) {
  Cluster cluster(4);
  cluster.start();
  for (const char* name : {"a.service", "b.service", "c.service", "d.service"}) {
    ASSERT_EQ(cluster.put("m1", name, Cluster::body("launched", "/bin/sleep 1000")), 201);
  }
  cluster.run(10s);
  const std::string leader = cluster.leader();
  for (const char* id : {"m1", "m2", "m3", "m4"}) {
    if (id != leader) cluster.cut_off(id);
  }
  cluster.run(3 * kTtl);
  std::string all;
  cluster.at(leader).node->handle({"GET", "/metrics", {}, "", "test"},
                                  [&](const ApiResponse& answer) { all = answer.body; });
  EXPECT_THAT(all, HasSubstr("\nfleet_engine_braking 1\n"));
  EXPECT_THAT(all, HasSubstr("\nfleet_machines{presence=\"absent\"} 3\n"));
  EXPECT_THAT(all, HasSubstr("\nfleet_machines{presence=\"present\"} 1\n"));
}

TEST_F(NodeMetricsTest, CountsCallsOfTheRegistryAndAsksNothingOfItForThat) {
  cluster_.start();
  const std::string set = "fleet_registry_operation_count_total{type=\"set\"}";
  const double before = number(follower(), set);
  EXPECT_GT(before, 0) << "it has registered";
  ASSERT_EQ(cluster_.put(follower(), "a.service", Cluster::body("inactive", "/bin/true")), 201);
  EXPECT_EQ(number(follower(), set), before + 1);
  cluster_.run(5min);
  const int calls = cluster_.at(follower()).store->calls;
  for (int i = 0; i < 10; ++i) {
    metrics(follower());
    cluster_.run(15s);
  }
  EXPECT_EQ(cluster_.at(follower()).store->calls, calls) << "a scrape makes no one keep a mirror";
}

TEST_F(NodeMetricsTest, Are503WithoutTheStore) {
  cluster_.cut_off("m1");
  cluster_.start("m1");
  cluster_.run(std::chrono::seconds(2));
  metrics("m1", 503);
  cluster_.rejoin("m1");
  cluster_.start();
  metrics("m1");
  cluster_.cut_off("m1");
  cluster_.put("m1", "a.service", Cluster::body("inactive", "/bin/true"));
  cluster_.run(2 * kTtl);
  metrics("m1", 503);
  cluster_.rejoin("m1");
  cluster_.run(kTtl);
  EXPECT_EQ(number("m1", "fleet_registry_operation_failed_count_total{type=\"set\"}"), 1);
}

}  // namespace
}  // namespace fleet
