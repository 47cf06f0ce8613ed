// A whole cluster in one process: nodes over a store, systemds and clocks in memory, and all that
// can go wrong between them. For the tests of whole clusters and for fleet-sim.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "node/node.h"
#include "store/memory/memory_store.h"
#include "systemd/fake_unit_manager.h"
#include "tests/sim/spy_store.h"
#include "tests/support/virtual_loop.h"

namespace fleet {

inline constexpr std::chrono::seconds kTtl{30};

struct ClusterOptions {
  std::chrono::seconds ttl = kTtl;
  int mass_loss_percent = 50;
};

// A machine: its systemd outlives fleetd, and fleetd's session and node come and go.
struct SimMachine {
  SimMachine(VirtualLoop& world, std::string name)
      : id(std::move(name)), hardware(world), process(world), systemd(hardware) {}

  bool is_up() const { return node != nullptr; }

  std::string id;
  std::map<std::string, std::string> metadata;
  std::string public_ip = "10.0.0.1";
  NodeSettings settings;  // that fleetd was started with
  bool is_later = false;  // it runs a later version of fleetd (SpyStore)
  int boots = 0;
  LocalLoop hardware;  // on which its systemd runs
  LocalLoop process;   // on which its fleetd runs
  MemoryLink link;
  FakeSystemd systemd;
  std::unique_ptr<MemoryStore> session;
  std::unique_ptr<SpyStore> store;
  std::unique_ptr<FakeUnitManager> units;
  std::unique_ptr<Node> node;
};

// What a cluster tells whoever watches it. Any may be empty.
struct ClusterWitness {
  std::function<void(const LogLine&)> on_log;
  // A fleetd has begun on a machine, or is no longer.
  std::function<void(const std::string& machine)> on_start;
  std::function<void(const std::string& machine)> on_end;
  // A machine's fleetd has got its whole schedule, or changes of it.
  std::function<void(const std::string& machine, const ReadResult&)> on_schedule_read;
  std::function<void(const std::string& machine, const WatchBatch&)> on_schedule_change;
  // The registry has changed; Cluster::mirror does not show it yet, or shows it.
  std::function<void(const WatchBatch&)> before_mirrored;
  std::function<void(const WatchBatch&)> after_mirrored;
};

// What is no unrest: that a unit which is to run on a machine does not, and that one runs there
// which is not to. Either may be empty: nothing is excused.
struct Excuses {
  std::function<bool(const std::string& machine, const std::string& unit)> is_idle;
  std::function<bool(const std::string& machine, const std::string& unit)> runs;
};

class Cluster {
 public:
  static constexpr double kUnixTimeAtStart = 1.7e9;

  // Machines m1, m2 ... without metadata.
  explicit Cluster(int machines, ClusterOptions options = {});

  void set_witness(ClusterWitness witness) { witness_ = std::move(witness); }

  SimMachine& add(const std::string& id, std::map<std::string, std::string> metadata = {});
  SimMachine& at(const std::string& id) { return *machines.at(id); }
  const SimMachine& at(const std::string& id) const { return *machines.at(id); }

  // fleetd begins on a machine, anew if it was running: without a word to its units.
  void start(const std::string& id);
  // On all, and lets two seconds pass.
  void start();
  // fleetd dies; its units go on.
  void kill(const std::string& id);
  // The whole machine dies. start() is its return.
  void power_off(const std::string& id);
  // fleetd is to hand its units over; is_done turns true when it has.
  std::shared_ptr<const bool> leave(const std::string& id);

  void set_link(const std::string& id, const MemoryLink& link);
  void cut_off(const std::string& id) { set_link(id, {.connected = false}); }
  void rejoin(const std::string& id) { set_link(id, {}); }

  void run(Duration time) { loop.run_for(time); }

  // Asks `id`'s API. `reply` runs when it answers, if it ever does.
  void request(const std::string& id, const std::string& method, const std::string& path,
               const std::string& body, std::function<void(const ApiResponse&)> reply);
  // The status of the answer, or 0 if none has come at once.
  int ask(const std::string& id, const std::string& method, const std::string& path,
          const std::string& body = {});
  int put(const std::string& id, const std::string& unit, const std::string& text) {
    return ask(id, "PUT", "/units/" + unit, text);
  }
  // The body of a PUT of a service.
  static std::string body(const std::string& desired, const std::string& command,
                          const std::vector<std::pair<std::string, std::string>>& fleet = {});

  std::chrono::seconds ttl() const { return options_.ttl; }
  int mass_loss_percent() const { return options_.mass_loss_percent; }

  std::string leader() const;
  std::string assigned(const std::string& unit) const;
  std::vector<std::string> running(const std::string& unit) const;  // on which machines
  void clear_calls();
  std::size_t calls() const;        // of all systemds
  std::size_t store_calls() const;  // of the store, by all fleetds; renewals of leases are none
  bool said(const std::string& part) const;

  // What keeps the cluster from being at rest; empty if it is: every machine that is up runs what
  // the registry wants there and nothing else of fleet's, nothing runs twice, and what is not
  // placed has a reason that time alone will not change. What `excuses` says is none.
  std::vector<std::string> unrest(const Excuses& excuses = {}) const;

  // Changes the registry past fleet.
  void write_by_hand(const Transaction& transaction);
  bool is_by_hand() const { return by_hand_; }  // that is what happens at the moment

  VirtualLoop loop;
  MemoryRegistry etcd;
  Registry mirror;
  std::map<std::string, std::unique_ptr<SimMachine>> machines;
  Revision last_decision = 0;    // the newest revision of the schedule
  std::vector<std::string> log;  // every line that any fleetd has said
  bool keeps_log = true;         // else it is only told

 private:
  class MachineLog;

  void on_change(const WatchBatch& batch);
  void say(const LogLine& line);

  ClusterOptions options_;
  ClusterWitness witness_;
  bool by_hand_ = false;
  std::unique_ptr<Log> sink_;
};

}  // namespace fleet
