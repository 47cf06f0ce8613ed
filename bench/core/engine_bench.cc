// What the engine's decisions cost, by the size of the cluster (machines, units).
#include <benchmark/benchmark.h>

#include "bench/core/bench_cluster.h"

namespace fleet::bench {
namespace {

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

// Everything is decided by a leader that has just begun. Twenty units for each machine.
void ColdStart(benchmark::State& state) {
  const int machines = static_cast<int>(state.range(0));
  const int units = static_cast<int>(state.range(1));
  for (auto _ : state) {
    BenchCluster cluster(machines, units);
    state.SetIterationTime(seconds(cluster.lead()));
    state.counters["scheduled"] = static_cast<double>(cluster.scheduled());
  }
  state.counters["per_unit"] = benchmark::Counter(
      units, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(ColdStart)
    ->ArgNames({"machines", "units"})
    ->Args({10, 200})
    ->Args({100, 2'000})
    ->Args({1'000, 20'000})
    ->Args({5'000, 100'000})
    ->UseManualTime()
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

// One more unit in a cluster that is at rest, of each kind in turn.
void OneMoreUnit(benchmark::State& state) {
  const int machines = static_cast<int>(state.range(0));
  const int units = machines * 20;
  BenchCluster cluster(machines, units);
  cluster.lead();
  int next = 0;
  for (auto _ : state) {
    const int number = units + next++ % 100;
    state.SetIterationTime(seconds(cluster.put_unit(number)));
    cluster.forget_unit(number);
  }
}
BENCHMARK(OneMoreUnit)
    ->ArgName("machines")
    ->Arg(10)
    ->Arg(100)
    ->Arg(1'000)
    ->Arg(5'000)
    ->UseManualTime()
    ->Iterations(300)
    ->Unit(benchmark::kMicrosecond);

// A machine with its twenty units is lost, and its units find other places.
void LostMachine(benchmark::State& state) {
  const int machines = static_cast<int>(state.range(0));
  BenchCluster cluster(machines, machines * 20);
  cluster.lead();
  int next = 0;
  for (auto _ : state) {
    const int number = 1 + next++ % (machines - 1);
    state.SetIterationTime(seconds(cluster.lose_machine(number)));
    cluster.return_machine(number);
  }
}
BENCHMARK(LostMachine)
    ->ArgName("machines")
    ->Arg(10)
    ->Arg(100)
    ->Arg(1'000)
    ->Arg(5'000)
    ->UseManualTime()
    ->Iterations(9)
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace fleet::bench
