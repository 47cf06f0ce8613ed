// A whole cluster in one process, for tests: nodes over a store, systemds and a clock in memory.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "node/node.h"
#include "store/memory/memory_store.h"
#include "systemd/fake_unit_manager.h"
#include "tests/support/virtual_loop.h"

namespace fleet {

// Counts the calls that a node makes of its store; the renewals of a lease are none.
class CountingStore final : public Store {
 public:
  explicit CountingStore(Store& store) : store_(store) {}
  int calls = 0;

  void read(KeyRange range, Revision at, Callback<ReadResult> done) override {
    ++calls;
    store_.read(std::move(range), at, std::move(done));
  }
  void commit(Transaction transaction, Callback<TransactionResult> done) override {
    ++calls;
    store_.commit(std::move(transaction), std::move(done));
  }
  WatchId watch(KeyRange range, Revision from, WatchCallbacks callbacks) override {
    ++calls;
    return store_.watch(std::move(range), from, std::move(callbacks));
  }
  void cancel_watch(WatchId id) override { store_.cancel_watch(id); }
  void grant_lease(std::chrono::seconds ttl, Callback<LeaseId> done) override {
    ++calls;
    store_.grant_lease(ttl, std::move(done));
  }
  void keep_lease(LeaseId id, std::chrono::seconds ttl, LeaseCallbacks callbacks) override {
    store_.keep_lease(id, ttl, std::move(callbacks));
  }
  void forget_lease(LeaseId id) override { store_.forget_lease(id); }
  void revoke_lease(LeaseId id, std::function<void(Status)> done) override {
    ++calls;
    store_.revoke_lease(id, std::move(done));
  }

 private:
  Store& store_;
};

class TraceLog final : public Log {
 public:
  explicit TraceLog(const EventLoop& loop) : loop_(loop) {}
  void write(const LogLine& line) override {
    const auto time =
        std::chrono::duration_cast<std::chrono::milliseconds>(loop_.now().time_since_epoch());
    lines.push_back(
        fmt::format("{:>8} {} {}: {}", time.count(), line.machine, line.unit, line.text));
  }
  std::vector<std::string> lines;

 private:
  const EventLoop& loop_;
};

inline constexpr std::chrono::seconds kTtl{30};

// A machine: its systemd outlives fleetd, and fleetd's session and node come and go.
struct TestMachine {
  TestMachine(VirtualLoop& loop, std::string name) : id(std::move(name)), systemd(loop) {}

  bool is_up() const { return node != nullptr; }

  std::string id;
  std::map<std::string, std::string> metadata;
  int boots = 0;
  MemoryLink link;
  FakeSystemd systemd;
  std::unique_ptr<MemoryStore> session;
  std::unique_ptr<CountingStore> store;
  std::unique_ptr<FakeUnitManager> units;
  std::unique_ptr<Node> node;
};

class Cluster {
 public:
  explicit Cluster(int machines) : etcd(loop), log(loop), mirror(Keys()) {
    etcd.add_listener([this](const WatchBatch& batch) { on_change(batch); });
    for (int i = 1; i <= machines; ++i) add("m" + std::to_string(i));
  }

  TestMachine& add(const std::string& id, std::map<std::string, std::string> metadata = {}) {
    auto& machine = machines[id];
    machine = std::make_unique<TestMachine>(loop, id);
    machine->metadata = std::move(metadata);
    return *machine;
  }
  TestMachine& at(const std::string& id) { return *machines.at(id); }

  // fleetd begins on a machine, anew if it was running: without a word to its units.
  void start(const std::string& id) {
    TestMachine& machine = at(id);
    kill(id);
    leaving.erase(id);
    machine.session = std::make_unique<MemoryStore>(loop, etcd);
    machine.session->set_link(machine.link);
    machine.store = std::make_unique<CountingStore>(*machine.session);
    machine.units = std::make_unique<FakeUnitManager>(loop, machine.systemd);
    NodeOptions options;
    options.machine_id = id;
    options.public_ip = "10.0.0.1";
    options.boot_id = id + "-" + std::to_string(machine.boots);
    options.metadata = machine.metadata;
    options.agent_ttl = kTtl;
    machine.node = std::make_unique<Node>(loop, *machine.store, *machine.units, log, options);
    machine.node->start();
  }
  void start() {
    for (auto& [id, machine] : machines) start(id);
    run(std::chrono::seconds(2));
  }
  // fleetd dies; its units go on.
  void kill(const std::string& id) {
    TestMachine& machine = at(id);
    machine.node.reset();
    machine.units.reset();
    machine.store.reset();
    machine.session.reset();
  }
  // The whole machine dies. start() is its return.
  void power_off(const std::string& id) {
    kill(id);
    at(id).systemd.reboot();
    ++at(id).boots;
  }
  void set_link(const std::string& id, const MemoryLink& link) {
    at(id).link = link;
    if (at(id).session) at(id).session->set_link(link);
  }
  void cut_off(const std::string& id) { set_link(id, {.connected = false}); }
  void rejoin(const std::string& id) { set_link(id, {}); }

  void run(Duration time) { loop.run_for(time); }

  // Asks `id`'s API; the status of the answer, or 0 if none has come at once.
  int ask(const std::string& id, const std::string& method, const std::string& path,
          const std::string& body = {}) {
    auto status = std::make_shared<int>(0);
    at(id).node->handle({method, "/fleet/v1" + path, {"application/json"}, body, "test"},
                        [status](const ApiResponse& response) { *status = response.status; });
    loop.run_ready();
    return *status;
  }
  static std::string body(const std::string& desired, const std::string& command,
                          const std::vector<std::pair<std::string, std::string>>& fleet = {}) {
    std::string options =
        fmt::format(R"({{"section":"Service","name":"ExecStart","value":"{}"}})", command);
    for (const auto& [name, value] : fleet) {
      options += fmt::format(R"(,{{"section":"X-Fleet","name":"{}","value":"{}"}})", name, value);
    }
    return fmt::format(R"({{"desiredState":"{}","options":[{}]}})", desired, options);
  }
  int put(const std::string& id, const std::string& unit, const std::string& text) {
    return ask(id, "PUT", "/units/" + unit, text);
  }

  std::string leader() const {
    for (const auto& [id, machine] : machines) {
      if (machine->is_up() && machine->node->is_leading()) return id;
    }
    return {};
  }
  std::string assigned(const std::string& unit) const {
    const Unit* known = mirror.unit(unit);
    return known == nullptr ? "" : mirror.target_machine(*known);
  }
  std::vector<std::string> running(const std::string& unit) const {
    std::vector<std::string> on;
    for (const auto& [id, machine] : machines) {
      for (const auto& name : machine->systemd.active_units()) {
        if (name == unit) on.push_back(id);
      }
    }
    return on;
  }
  void clear_calls() {
    for (auto& [id, machine] : machines) machine->systemd.clear_calls();
  }
  std::size_t calls() const {
    std::size_t sum = 0;
    for (const auto& [id, machine] : machines) sum += machine->systemd.calls().size();
    return sum;
  }
  bool said(const std::string& part) const {
    for (const auto& line : log.lines) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  }

  // Looks at what has been asked of the systemds since it was last called: nothing is stopped or
  // restarted that was not ordered to since it was started, by the registry or by its machine's
  // leaving.
  void check_stops() {
    for (auto& [id, machine] : machines) {
      for (const FakeCall& call : machine->systemd.calls()) {
        const std::pair key{id, call.name};
        const bool ordered = orders_.contains(key) && orders_.at(key) + kNewsTakes >= started_[key];
        if (call.verb == FakeCall::Verb::start) {
          started_[key] = call.time;
        } else if (!ordered && !leaving.contains(id)) {
          violations.push_back(call.name + " was stopped on " + id + " without an order");
        }
      }
      machine->systemd.clear_calls();
    }
  }

  // Once all is well: every machine runs what the registry wants there and nothing else of fleet's,
  // nothing runs twice, and what is not placed has a reason that time alone will not change.
  void expect_at_rest() const {
    for (const auto& [id, machine] : machines) {
      if (!machine->is_up()) continue;
      std::set<std::string> wanted;
      for (const auto& [name, unit] : mirror.units()) {
        const auto found = unit.schedule.find(id);
        if (found == unit.schedule.end()) continue;
        EXPECT_NE(found->second->state, UnitState::inactive) << name << " has not left " << id;
        if (found->second->state == UnitState::launched) wanted.insert(name);
      }
      const auto active = machine->systemd.active_units();
      EXPECT_EQ(std::set<std::string>(active.begin(), active.end()), wanted) << "on " << id;
    }
    for (const auto& [name, unit] : mirror.units()) {
      EXPECT_TRUE(unit.is_known()) << name << " is left over";
      EXPECT_EQ(mirror.current_state(unit),
                unit.is_known() && assigned_anywhere(unit) ? unit.desired() : UnitState::inactive)
          << name;
      const std::string why = why_waiting(mirror, name, 50);
      EXPECT_NE(why, "the leader is about to act on it") << name;
      EXPECT_EQ(why.empty(), assigned_anywhere(unit) || unit.desired() == UnitState::inactive)
          << name << ": " << why;
    }
  }

  VirtualLoop loop;
  MemoryRegistry etcd;
  TraceLog log;
  Registry mirror;
  std::map<std::string, std::unique_ptr<TestMachine>> machines;
  Revision last_decision = 0;  // the newest revision of the schedule
  std::vector<std::string> violations;
  std::set<std::string> leaving;  // machines whose fleetd has been told to leave

 private:
  // An order may be on its way to a machine that is starting the unit.
  static constexpr Duration kNewsTakes = std::chrono::milliseconds(50);

  using Place = std::pair<std::string, std::string>;  // machine and unit

  void note_order(const Key& key, const Entry<ScheduleRecord>& was) {
    const Entry<ScheduleRecord> now = record_at(key);
    if (!now.value) return;
    const ScheduleRecord& is = *now.value;
    if (is.state == UnitState::launched && was.value && was->hash == is.hash &&
        was->restarts == is.restarts) {
      return;
    }
    orders_[{key.machine, key.name}] = loop.now();
  }
  Entry<ScheduleRecord> record_at(const Key& key) const {
    const Unit* unit = mirror.unit(key.name);
    if (unit == nullptr || !unit->schedule.contains(key.machine)) return {};
    return unit->schedule.at(key.machine);
  }

  static bool assigned_anywhere(const Unit& unit) {
    for (const auto& [id, record] : unit.schedule) {
      if (record->state != UnitState::inactive) return true;
    }
    return false;
  }

  void on_change(const WatchBatch& batch) {
    std::vector<std::pair<Key, Entry<ScheduleRecord>>> before;
    for (const WatchEvent& event : batch.events) {
      const auto key = mirror.keys().parse(event.value.key);
      if (key && key->kind == Key::Kind::schedule) before.emplace_back(*key, record_at(*key));
    }
    mirror.apply(batch);
    for (const auto& [key, was] : before) {
      last_decision = batch.revision;
      note_order(key, was);
      const Unit* unit = mirror.unit(key.name);
      if (unit == nullptr || !unit->unit.value || unit->unit->requirements.global) continue;
      int assignments = 0;
      for (const auto& [id, record] : unit->schedule) {
        if (record->state != UnitState::inactive) ++assignments;
      }
      if (assignments > 1) violations.push_back(key.name + " is assigned to two machines");
    }
  }

  std::map<Place, Time> orders_;   // when it was last ordered to change
  std::map<Place, Time> started_;  // when it was last started
};

}  // namespace fleet
