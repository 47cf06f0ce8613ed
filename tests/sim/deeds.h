// Carries out a plan's actions on a cluster: what users, operators, networks, machines and systemds
// do.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/api_judge.h"
#include "tests/sim/cluster.h"
#include "tests/sim/plan.h"

namespace fleet {

// A plan's first part.
struct Setup {
  ClusterOptions options;
  MemoryLink line;  // a healthy one
  std::map<std::string, std::map<std::string, std::string>> machines;
  std::set<std::string> later;                      // machines with a later version of fleetd
  std::map<std::string, std::vector<Words>> units;  // their contents

  // Fails: invalid.
  static Result<Setup> of(const Plan& plan);
};

class Deeds {
 public:
  Deeds(Cluster& cluster, const Setup& setup);

  // Fails: invalid (no such action). What cannot be done at the moment is left undone.
  Status perform(const Words& words);

  // Ends everything that is wrong, machine by machine.
  void heal();

  // Whether a machine's fleetd has been told to leave, or the last one has only just ended and what
  // it asked of systemd may still be on its way.
  bool was_leaving(const std::string& machine, Time when) const;

  // Whether nothing is wrong with a machine, its fleetd and its connections at the moment.
  bool is_whole(const std::string& machine) const;

  std::function<void(const Asked&, const ApiResponse&)> on_answer;

 private:
  using Verb = void (Deeds::*)(const Words&);
  static const std::map<std::string, Verb>& verbs();

  SimMachine* machine(const Words& words);  // words[1]; null: there is no such machine
  SimMachine* running(const Words& words);  // ... or no fleetd runs there
  void ask(Asked asked, const std::string& body = {});

  void put(const Words& words);
  void state(const Words& words);
  void destroy(const Words& words);
  void restart(const Words& words);
  void metadata(const Words& words);
  void get(const Words& words);
  void damage(const Words& words);
  void lose(const Words& words);
  void mend(const Words& words);
  void start(const Words& words);
  void kill(const Words& words);
  void off(const Words& words);
  void leave(const Words& words);
  void pause(const Words& words);
  void suspend(const Words& words);
  void go_on(const Words& words);
  void jump(const Words& words);
  void link(const Words& words);
  void break_calls(const Words& words);
  void end_watches(const Words& words);
  void compact(const Words& words);
  void revoke(const Words& words);
  void depose(const Words& words);
  void script(const Words& words);
  void unscript(const Words& words);
  void unhang(const Words& words);
  void crash(const Words& words);
  void hand_stop(const Words& words);
  void hand_start(const Words& words);
  void bus(const Words& words);
  void latency(const Words& words);
  void refuse(const Words& words);

  void begin(const std::string& id);
  static bool may_be_back(const Key& key, const std::string& value, const Unit* unit);
  std::optional<KeyValue> record(const Words& words) const;
  MemoryLink link_of(const Words& words, std::size_t from) const;

  Cluster& cluster_;
  const Setup& setup_;
  std::set<std::string> leaving_;
  std::map<std::string, Time> left_;  // when those that left before began again
  std::map<std::string, std::map<std::string, int>> refusals_;  // by machine and call
  std::set<std::string> without_bus_;
  struct Changes {
    std::uint64_t last = 0;
    std::map<std::uint64_t, Time> open;  // not answered: when they were asked for
  };
  std::map<std::string, Changes> changes_;  // that were asked for, by key
  // By key: what was there, with the revision of the damage; 0: it is gone.
  std::map<std::string, KeyValue> damaged_;
};

// A unit file's text, from the words that describe it.
std::string unit_text(const Words& content);

}  // namespace fleet
