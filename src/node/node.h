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

struct NodeOptions {
  std::string machine_id;
  std::string public_ip;
  std::string boot_id;
  std::string version;
  std::map<std::string, std::string> metadata;
  std::string key_prefix = "/_coreos.com/fleet/";
  std::chrono::seconds agent_ttl{30};
  bool disable_engine = false;
  int mass_loss_percent = 50;
  unsigned token_limit = 100;
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

  // Answers an API request; before the machine is registered, or without the store, with 503.
  void handle(ApiRequest request, Api::Reply reply);

  // Hands all units over and leaves the cluster (`systemctl stop fleet`): every unit is stopped
  // here and given to the other machines one by one as it has stopped. Calls `done` when all are
  // gone; with the store out of reach, as soon as all are stopped here.
  // (To end without touching any unit, as for a restart, simply destroy the node.)
  void leave(std::function<void()> done);

  // One line for people: what this fleetd is doing.
  std::string status() const;
  bool is_leading() const;
  bool is_registered() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fleet
