#include "node/metrics.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <utility>

namespace fleet {
namespace {

// ActiveState in systemd's words (org.freedesktop.systemd1(5)), and "other" for what is not known.
constexpr std::array<std::string_view, 7> kActiveStates{
    "active", "activating", "deactivating", "failed", "inactive", "reloading", "other"};

class ActiveStates {
 public:
  void add(std::string_view state) {
    const auto* const found = std::ranges::find(kActiveStates, state);
    const auto at = found == kActiveStates.end()
                        ? kActiveStates.size() - 1
                        : static_cast<std::size_t>(found - kActiveStates.begin());
    ++counts_.at(at);
  }
  void write(MetricsText& text) const {
    for (std::size_t i = 0; i < kActiveStates.size(); ++i) {
      text.sample(counts_.at(i), {{"active_state", kActiveStates.at(i)}});
    }
  }

 private:
  std::array<std::uint64_t, kActiveStates.size()> counts_{};
};

// 1.0's names.
void add_engine_metrics_of_1_0(MetricsText& text, const EngineMetrics& engine) {
  const EngineCounts& counts = engine.counts;
  const auto tasks = [&text](const EngineCounts::Tasks& of) {
    text.sample(of.schedule, {{"type", "attemptscheduleunit"}});
    text.sample(of.unschedule, {{"type", "unscheduleunit"}});
  };
  text.begin("fleet_engine_leader_start_time", "gauge",
             "Unix time at which this machine's engine began to lead; 0 if it does not.");
  text.sample(engine.led_since);
  text.begin("fleet_engine_task_count_total", "counter",
             "Orders to machines to take a unit or to let go of one, each time they were sent.");
  tasks(counts.tried);
  text.begin("fleet_engine_task_failure_count_total", "counter",
             "Orders that the registry did not confirm; they are decided or sent again.");
  tasks(counts.failed);
  text.begin("fleet_engine_reconcile_count_total", "counter",
             "Rounds in which the leading engine decided about units.");
  text.sample(counts.rounds);
  text.begin("fleet_engine_reconcile_duration_second", "histogram",
             "How long such a round took, in seconds.");
  text.sample(engine.rounds);
  text.begin("fleet_engine_reconcile_failure_count_total", "counter",
             "Units found without a good place: their machine was lost (machine_away) or may not "
             "run them any more (run), or no machine may run them (schedule).");
  text.sample(counts.machine_away, {{"type", "machine_away"}});
  text.sample(counts.machine_refuses, {{"type", "run"}});
  text.sample(counts.no_machine, {{"type", "schedule"}});
}

void add_store_metrics_of_1_0(MetricsText& text, const StoreCounts& store) {
  const std::pair<std::string_view, const StoreCounts::Operation*> operations[] = {
      {"get", &store.get}, {"get_all", &store.get_all}, {"set", &store.set}};
  text.begin("fleet_registry_operation_count_total", "counter",
             "Calls of the registry's store that have ended, by kind.");
  for (const auto& [kind, operation] : operations) {
    text.sample(operation->duration.count, {{"type", kind}});
  }
  text.begin("fleet_registry_operation_failed_count_total", "counter",
             "Calls of the registry's store that ended with an error, by kind.");
  for (const auto& [kind, operation] : operations) {
    text.sample(operation->failed, {{"type", kind}});
  }
  text.begin("fleet_registry_operation_duration_second", "histogram",
             "How long calls of the registry's store took, in seconds, by kind.");
  for (const auto& [kind, operation] : operations) {
    text.sample(operation->duration, {{"ops", kind}});
  }
}

}  // namespace

void add_metrics(MetricsText& text, const EngineMetrics& engine) {
  add_engine_metrics_of_1_0(text, engine);
  const EngineCounts& counts = engine.counts;
  const auto orders = [&text](const EngineCounts::Tasks& of) {
    text.sample(of.schedule, {{"order", "schedule"}});
    text.sample(of.unschedule, {{"order", "unschedule"}});
  };
  text.begin("fleet_engine_leading", "gauge", "1 if this machine's engine leads, else 0.");
  text.sample(std::uint64_t{engine.leading ? 1U : 0U});
  text.begin("fleet_engine_leader_start_time_seconds", "gauge",
             "Unix time at which this machine's engine began to lead; 0 if it does not.");
  text.sample(engine.led_since);
  text.begin("fleet_engine_orders_total", "counter",
             "Orders to machines to take a unit (schedule) or to let go of one (unschedule), each "
             "time they were sent.");
  orders(counts.tried);
  text.begin("fleet_engine_order_failures_total", "counter",
             "Orders that the registry did not confirm; they are decided or sent again.");
  orders(counts.failed);
  text.begin("fleet_engine_rounds_total", "counter",
             "Rounds in which the leading engine decided about units.");
  text.sample(counts.rounds);
  text.begin("fleet_engine_round_duration_seconds", "histogram", "How long such a round took.");
  text.sample(engine.rounds);
  text.begin("fleet_engine_misplaced_units_total", "counter",
             "Units found without a good place: their machine was lost (machine_lost) or may not "
             "run them any more (machine_refuses), or no machine may run them (no_machine).");
  text.sample(counts.machine_away, {{"reason", "machine_lost"}});
  text.sample(counts.machine_refuses, {{"reason", "machine_refuses"}});
  text.sample(counts.no_machine, {{"reason", "no_machine"}});
}

void add_metrics(MetricsText& text, const StoreCounts& store) {
  add_store_metrics_of_1_0(text, store);
  const std::pair<std::string_view, const StoreCounts::Operation*> operations[] = {
      {"list", &store.get_all}, {"read", &store.get}, {"write", &store.set}};
  text.begin("fleet_registry_operations_total", "counter",
             "Calls of the registry's store that have ended, by kind.");
  for (const auto& [kind, operation] : operations) {
    text.sample(operation->duration.count, {{"operation", kind}});
  }
  text.begin("fleet_registry_operation_failures_total", "counter",
             "Calls of the registry's store that ended with an error, by kind.");
  for (const auto& [kind, operation] : operations) {
    text.sample(operation->failed, {{"operation", kind}});
  }
  text.begin("fleet_registry_operation_duration_seconds", "histogram",
             "How long calls of the registry's store took, by kind.");
  for (const auto& [kind, operation] : operations) {
    text.sample(operation->duration, {{"operation", kind}});
  }
}

void add_metrics(MetricsText& text, const Agent& agent, const TaskCounts& counts) {
  constexpr std::pair<std::string_view, TaskKind> kTasks[] = {
      {"load", TaskKind::write},  {"reload", TaskKind::reload}, {"restart", TaskKind::restart},
      {"start", TaskKind::start}, {"stop", TaskKind::stop},     {"unload", TaskKind::remove}};
  ActiveStates states;
  std::uint64_t problems = 0;
  for (const auto& [name, unit] : agent.units()) {
    states.add(unit.status ? unit.status->active_state : "");
    if (!report_of(unit).problem.empty()) ++problems;
  }
  text.begin("fleet_agent_units", "gauge",
             "Units that fleet has on this machine, by what systemd says of them.");
  states.write(text);
  text.begin("fleet_agent_units_with_problem", "gauge",
             "Units on this machine that something keeps the agent from taking where they should "
             "be; fleetctl status says what.");
  text.sample(problems);
  const auto task = [&counts](TaskKind kind) {
    const auto found = counts.by_kind.find(kind);
    return found == counts.by_kind.end() ? TaskCounts::Count{} : found->second;
  };
  text.begin("fleet_agent_tasks_total", "counter",
             "What the agent has had done to units of this machine, by kind.");
  for (const auto& [name, kind] : kTasks) text.sample(task(kind).ended, {{"task", name}});
  text.begin("fleet_agent_task_failures_total", "counter",
             "Such tasks that failed; they are tried again.");
  for (const auto& [name, kind] : kTasks) text.sample(task(kind).failed, {{"task", name}});
}

void add_cluster_metrics(MetricsText& text, const Registry& registry, const Engine& engine) {
  std::uint64_t present = 0;
  std::uint64_t leaving = 0;
  std::uint64_t absent = 0;
  for (const auto& [id, machine] : registry.machines()) {
    if (!machine.is_present()) {
      // One of which only metadata is left is none that is missed.
      if (!machine.units.empty()) ++absent;
    } else {
      ++(machine.presence.value && machine.presence->leaving ? leaving : present);
    }
  }
  std::map<UnitState, std::uint64_t> desired;
  ActiveStates states;
  for (const auto& [name, unit] : registry.units()) {
    if (unit.is_known()) ++desired[unit.desired()];
    for (const auto& [machine, state] : unit.states) {
      states.add(state.value ? state->active_state : "");
    }
  }
  text.begin("fleet_machines", "gauge",
             "Machines of the cluster: present, leaving, or absent and not yet relieved of their "
             "units. Told by the leader alone.");
  text.sample(absent, {{"presence", "absent"}});
  text.sample(leaving, {{"presence", "leaving"}});
  text.sample(present, {{"presence", "present"}});
  text.begin("fleet_units", "gauge",
             "Units that the cluster knows, by their desired state. Told by the leader alone.");
  for (const UnitState state : {UnitState::inactive, UnitState::launched, UnitState::loaded}) {
    text.sample(desired[state], {{"desired_state", to_string(state)}});
  }
  text.begin("fleet_unit_states", "gauge",
             "States that machines tell, one for each unit on each machine, by what systemd says. "
             "Told by the leader alone.");
  states.write(text);
  text.begin("fleet_units_waiting", "gauge",
             "Units that wait for something before they can be where they should be; fleetctl "
             "status says for what. Told by the leader alone.");
  text.sample(std::uint64_t{engine.waiting()});
  text.begin("fleet_engine_braking", "gauge",
             "1 while so many machines are missing at once that nothing is moved "
             "(engine_mass_loss_percent), else 0. Told by the leader alone.");
  text.sample(std::uint64_t{engine.is_braking() ? 1U : 0U});
}

void add_build_info(MetricsText& text, std::string_view version, std::string_view registry_kind) {
  text.begin("fleet_build_info", "gauge", "Which fleetd this is; always 1.");
  text.sample(std::uint64_t{1}, {{"version", version}});
  text.begin("fleet_registry_info", "gauge",
             "Where the registry is, in etcd or embedded in fleetd; always 1.");
  text.sample(std::uint64_t{1}, {{"kind", registry_kind}});
}

}  // namespace fleet
