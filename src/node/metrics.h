// What a node tells in /metrics. Each is described in docs/metrics.md, which a test compares.
//
// There are 1.0's names (behaviour document 5.6), counted right, and beside them names that follow
// Prometheus's conventions (https://prometheus.io/docs/practices/naming/). The values of a label
// are few and known beforehand: no unit, machine or address is one.
#pragma once

#include <string_view>

#include "agent/agent.h"
#include "api/metrics_text.h"
#include "cluster/registry.h"
#include "engine/engine.h"
#include "node/agent_runner.h"
#include "node/metered_store.h"

namespace fleet {

struct EngineMetrics {
  EngineCounts counts;
  Histogram rounds;      // how long they took
  double led_since = 0;  // Unix time; 0: does not lead
  bool leading = false;
};

void add_metrics(MetricsText& text, const EngineMetrics& engine);
void add_metrics(MetricsText& text, const StoreCounts& store);

// This machine's units.
void add_metrics(MetricsText& text, const Agent& agent, const TaskCounts& counts);

// The whole cluster, as its leader sees it. Only the leader tells of it, so that sums over all
// machines are right.
void add_cluster_metrics(MetricsText& text, const Registry& registry, const Engine& engine);

// `registry_kind`: where the registry is, "etcd" or "embedded".
void add_build_info(MetricsText& text, std::string_view version, std::string_view registry_kind);

}  // namespace fleet
