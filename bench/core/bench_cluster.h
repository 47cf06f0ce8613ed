// A registry of many machines and units, and the engine that leads over it, with nothing else:
// what the engine's decisions cost when store and machines cost nothing.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "store/memory/memory_registry.h"
#include "tests/support/virtual_loop.h"

namespace fleet::bench {

class BenchCluster {
 public:
  BenchCluster(int machines, int units);

  // The engine takes the lead and decides until nothing is left to decide. Returns the time that
  // its steps took, without what the registry and its mirror took.
  std::chrono::nanoseconds lead();

  // Writes into the registry, then lets the engine decide until nothing is left.
  std::chrono::nanoseconds put_unit(int number);
  std::chrono::nanoseconds lose_machine(int number);
  // Puts back what was lost, and takes away a unit with its decision, outside of any measurement.
  void return_machine(int number);
  void forget_unit(int number);

  std::size_t scheduled() const;
  const Registry& mirror() const { return mirror_; }

  // A unit in ten has Conflicts, MachineOf or MachineMetadata, in turn.
  static std::string unit_name(int number);
  static std::string unit_text(int number);
  static std::string machine_name(int number);

 private:
  std::chrono::nanoseconds step(const EngineEvent& event);
  std::chrono::nanoseconds settle();
  void commit(std::vector<Operation> operations);
  std::vector<Operation> unit_puts(int number) const;
  Put machine_put(int number) const;

  VirtualLoop loop_;
  MemoryRegistry store_;
  Registry mirror_;
  Engine engine_;
  Time now_{};
  std::vector<WatchBatch> news_;
  std::vector<CommitEffect> commits_;
};

}  // namespace fleet::bench
