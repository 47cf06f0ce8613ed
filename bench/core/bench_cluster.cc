#include "bench/core/bench_cluster.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace fleet::bench {
namespace {

constexpr int kZones = 20;
constexpr std::size_t kBatch = 1000;

// What this thread has used. The engine waits for nothing, so that it is also how long that took,
// without what other programs on the machine took meanwhile.
std::chrono::nanoseconds processor_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

std::string BenchCluster::unit_name(int number) {
  return fmt::format("u{:06}.service", number);
}

std::string BenchCluster::unit_text(int number) {
  std::string text = fmt::format(
      "[Unit]\nDescription=unit {}\n\n[Service]\nExecStart=/usr/bin/serve --port 8080\n", number);
  if (number % 10 != 0) return text;
  switch (number / 10 % 3) {
    case 0:  // apart from the unit that is 30 further on
      return text + fmt::format("\n[X-Fleet]\nConflicts={}\n", unit_name(number + 30));
    case 1:
      return text + fmt::format("\n[X-Fleet]\nMachineOf={}\n", unit_name(number - 1));
    default:
      return text + fmt::format("\n[X-Fleet]\nMachineMetadata=zone=z{}\n", number / 30 % kZones);
  }
}

std::string BenchCluster::machine_name(int number) {
  // As random as machine IDs are (the mixing constants are those of splitmix64).
  std::uint64_t mixed = static_cast<std::uint64_t>(number + 1) * 0x9E3779B97F4A7C15;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
  return fmt::format("{:016x}{:016x}", mixed ^ (mixed >> 31), number);
}

BenchCluster::BenchCluster(int machines, int units)
    : store_(loop_, nullptr, {.revisions = 1}), mirror_(Keys()), engine_(EngineOptions{}) {
  std::vector<Operation> operations;
  const auto flush = [&] { commit(std::exchange(operations, {})); };
  for (int i = 0; i < machines; ++i) {
    operations.emplace_back(machine_put(i));
    if (operations.size() >= kBatch) flush();
  }
  for (int i = 0; i < units; ++i) {
    for (Operation& put : unit_puts(i)) operations.push_back(std::move(put));
    if (operations.size() >= kBatch) flush();
  }
  operations.emplace_back(Put{mirror_.keys().leader(), machine_name(0), 0});
  flush();
  mirror_.load(*store_.read(mirror_.keys().everything(), 0));
  store_.add_listener([this](const WatchBatch& batch) { news_.push_back(batch); });
}

std::chrono::nanoseconds BenchCluster::lead() {
  const Revision term = mirror_.leader().create_revision;
  return step(engine_event::LeadershipGained{term}) + settle();
}

std::chrono::nanoseconds BenchCluster::put_unit(int number) {
  commit(unit_puts(number));
  return settle();
}

std::chrono::nanoseconds BenchCluster::lose_machine(int number) {
  commit({Delete{{mirror_.keys().machine(machine_name(number)), false}}});
  now_ += std::chrono::hours(1);
  return settle() + step(engine_event::TimePassed{}) + settle();
}

void BenchCluster::return_machine(int number) {
  commit({machine_put(number)});
  settle();
}

void BenchCluster::forget_unit(int number) {
  const Keys& keys = mirror_.keys();
  const std::string name = unit_name(number);
  std::vector<Operation> operations = {Delete{{keys.unit(name), false}},
                                       Delete{{keys.target(name), false}}};
  for (const auto& [machine, record] : mirror_.unit(name)->schedule) {
    operations.emplace_back(Delete{{keys.schedule(machine, name), false}});
  }
  commit(std::move(operations));
  settle();
}

std::size_t BenchCluster::scheduled() const {
  std::size_t count = 0;
  for (const auto& [name, unit] : mirror_.units()) {
    if (!mirror_.target_machine(unit).empty()) ++count;
  }
  return count;
}

std::chrono::nanoseconds BenchCluster::step(const EngineEvent& event) {
  const std::chrono::nanoseconds begin = processor_time();
  std::vector<EngineEffect> effects = engine_.step(event, mirror_, now_);
  const std::chrono::nanoseconds took = processor_time() - begin;
  for (EngineEffect& effect : effects) {
    if (auto* wanted = std::get_if<CommitEffect>(&effect)) commits_.push_back(std::move(*wanted));
  }
  return took;
}

std::chrono::nanoseconds BenchCluster::settle() {
  std::chrono::nanoseconds took{};
  while (!news_.empty() || !commits_.empty()) {
    for (CommitEffect& wanted : std::exchange(commits_, {})) {
      const auto result = store_.commit(wanted.transaction);
      took += step(engine_event::Committed{wanted.id, result});
    }
    for (const WatchBatch& batch : std::exchange(news_, {})) {
      took += step(engine_event::RegistryChanged{mirror_.apply(batch)});
    }
  }
  return took;
}

void BenchCluster::commit(std::vector<Operation> operations) {
  const auto result = store_.commit({.compares = {}, .operations = std::move(operations)});
  if (result && result->committed) return;
  std::fputs("bench-core: a write was refused\n", stderr);
  std::abort();
}

std::vector<Operation> BenchCluster::unit_puts(int number) const {
  const Keys& keys = mirror_.keys();
  const std::string name = unit_name(number);
  return {
      Put{keys.unit(name), encode(make_unit_record(name, *parse_unit_file(unit_text(number)))), 0},
      Put{keys.target(name), encode(TargetRecord{.state = UnitState::launched}), 0}};
}

Put BenchCluster::machine_put(int number) const {
  MachineRecord record;
  record.id = machine_name(number);
  record.public_ip = "10.0.0.1";
  record.metadata = {{"zone", fmt::format("z{}", number % kZones)}, {"disk", "ssd"}};
  return {mirror_.keys().machine(record.id), encode(record), 0};
}

}  // namespace fleet::bench
