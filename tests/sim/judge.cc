#include "tests/sim/judge.h"

#include <set>
#include <utility>

namespace fleet {

namespace {

// What users do is no trouble for the machine that they ask.
bool is_users(const std::string& verb) {
  static const std::set<std::string> kVerbs = {"put",      "state", "destroy", "restart",
                                               "metadata", "get",   "damage",  "lose"};
  return kVerbs.contains(verb);
}

}  // namespace

Judge::Judge(Cluster& cluster, MachineFacts facts)
    : cluster_(cluster),
      decisions_(cluster, facts.is_whole,
                 [this](Promise promise, std::string what) { blame(promise, what); }),
      units_(cluster, std::move(facts),
             [this](Promise promise, std::string what) { blame(promise, what); }),
      api_(cluster, [this](Promise promise, std::string what) { blame(promise, what); }) {}

void Judge::blame(Promise promise, std::string what) {
  broken_.push_back({promise, cluster_.loop.now(), std::move(what)});
}

void Judge::listen(ClusterWitness& witness) {
  witness.on_schedule_read = [this](const std::string& machine, const ReadResult& schedule) {
    units_.on_schedule_read(machine, schedule);
  };
  witness.on_schedule_change = [this](const std::string& machine, const WatchBatch& batch) {
    units_.on_schedule_change(machine, batch);
  };
  witness.before_mirrored = [this](const WatchBatch& batch) { decisions_.before_mirrored(batch); };
  witness.after_mirrored = [this](const WatchBatch& batch) {
    decisions_.after_mirrored(batch);
    units_.after_mirrored(batch);
    api_.after_mirrored(batch);
  };
}

void Judge::on_action(const Words& words) {
  const std::string& verb = words[0];
  if (verb == "rest") {  // what is wrong ends, which is a change too
    for (const auto& [id, machine] : cluster_.machines) {
      decisions_.troubled(id, /*clock_jumped=*/false);
      units_.troubled(id);
    }
  }
  if (words.size() < 2 || is_users(verb) || verb == "rest") return;
  const std::string& machine = words[1];
  if (!cluster_.machines.contains(machine)) return;
  decisions_.troubled(machine, verb == "jump");
  units_.troubled(machine);
  if (verb == "off") units_.rebooted(machine);
  if (verb == "hand-start" && words.size() > 2) units_.started_by_hand(machine, words[2]);
}

Excuses Judge::excuses() const {
  return {.is_idle = [this](const std::string& machine,
                            const std::string& unit) { return units_.may_be_idle(machine, unit); },
          .runs = [this](const std::string& machine,
                         const std::string& unit) { return units_.may_run(machine, unit); }};
}

}  // namespace fleet
