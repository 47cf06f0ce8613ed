// Node: one machine's fleet. It joins session, election, engine, agent and API over the ports, and
// turns effects into port calls and completions into events. The same code runs in fleetd and in
// the simulation.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "api/api.h"
#include "base/event_loop.h"
#include "base/log.h"
#include "store/store.h"
#include "systemd/unit_manager.h"

namespace fleet {

// What can change while a node runs.
struct NodeSettings {
  std::string public_ip;
  std::map<std::string, std::string> metadata;
  bool disable_engine = false;
  int mass_loss_percent = 50;
  unsigned token_limit = 100;

  bool operator==(const NodeSettings&) const = default;
};

struct NodeOptions : NodeSettings {
  std::string machine_id;
  std::string boot_id;
  std::string version;
  std::string key_prefix = "/_coreos.com/fleet/";
  std::string registry = "etcd";  // or "embedded": which one the store is, for people
  std::string registry_location;
  std::chrono::seconds agent_ttl{30};

  // For /metrics, both may be left out: the wall clock, in seconds since 1970, and what there is to
  // tell of the process that the node runs in.
  std::function<double()> unix_time;
  std::function<void(MetricsText&)> add_process_metrics;
};

class Node {
 public:
  // All references must outlive the node.
  Node(EventLoop& loop, Store& store, UnitManager& units, Log& log, NodeOptions options);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Begins: lists the local units, joins the cluster, takes part in elections. Never fails; what
  // does not work is said in the log and tried again.
  void start();

  // Goes on with other settings. Of the units only those move that the new metadata says so of.
  void reconfigure(const NodeSettings& settings);

  // Answers an API request; before the machine is registered, or without the store, with 503. Right
  // after start() it is given a moment (2 s) to register before it answers so.
  void handle(ApiRequest request, Api::Reply reply);

  // Hands all units over and leaves the cluster (`systemctl stop fleet`): every unit is stopped
  // here and given to the other machines one by one as it has stopped. Calls `done` when all are
  // gone; with the store out of reach, as soon as all are stopped here. A second call is ignored.
  // (To end without touching any unit, as for a restart, simply destroy the node.)
  void leave(std::function<void()> done);

  // One line for people: what this fleetd is doing.
  std::string status() const;
  bool is_leading() const;
  bool is_registered() const;

  // What this machine is to run and what it reports, as one line of JSON in the form of 1.0's
  // SIGUSR1 (behaviour document 4.5).
  std::string dump() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fleet
