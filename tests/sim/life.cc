#include "tests/sim/life.h"

#include <algorithm>
#include <exception>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tests/sim/cluster.h"
#include "tests/sim/deeds.h"
#include "tests/sim/judge.h"
#include "tests/sim/obstacles.h"

namespace fleet {

namespace {

using namespace std::chrono_literals;

// From heal to rest.
constexpr Duration kRestBound = 10min;
constexpr Duration kLook = 5s;
constexpr Duration kMirrorKept = 2min;
// More than any honest work takes in one moment.
constexpr int kMostEventsAtOnce = 1'000'000;

class Life {
 public:
  Life(const Setup& setup, Trace trace)
      : keeps_trace_(trace == Trace::keep),
        cluster_(0, setup.options),
        deeds_(cluster_, setup),
        judge_(cluster_,
               {.was_leaving = [this](const std::string& id,
                                      Time when) { return deeds_.was_leaving(id, when); },
                .is_whole = [this](const std::string& id) { return deeds_.is_whole(id); }}) {
    cluster_.keeps_log = false;
    watch();
  }

  Outcome run(const Plan& plan) {
    for (const auto& [id, machine] : cluster_.machines) cluster_.start(id);
    for (const Action& action : plan.actions) {
      if (!run_until(began_ + action.at)) break;
      judge_.check();
      note(to_text(action));
      judge_.on_action(action.words);
      if (action.words[0] == "rest") {
        rest(action);
      } else if (const Status done = deeds_.perform(action.words); !done) {
        judge_.blame(Promise::no_crash, done.error().message);
      }
      if (!run_until(cluster_.loop.now())) break;
      judge_.check();
      if (!judge_.broken().empty()) break;
    }
    outcome_.broken = judge_.broken();
    outcome_.lived = cluster_.loop.now() - Time();
    return std::move(outcome_);
  }

 private:
  void watch() {
    ClusterWitness witness;
    witness.on_log = [this](const LogLine& line) {
      note(fmt::format("{} {}: {}", line.machine, line.unit, line.text));
    };
    judge_.listen(witness);
    cluster_.set_witness(std::move(witness));
    cluster_.etcd.add_listener([this](const WatchBatch& batch) {
      if (quiet_) on_quiet_change(batch);
      for (const WatchEvent& event : batch.events) {
        note(fmt::format("registry {} {} {}", batch.revision,
                         event.kind == WatchEvent::Kind::put ? "put" : "removed", event.value.key),
             event.value.value);
      }
    });
    deeds_.on_answer = [this](const Asked& asked, const ApiResponse& response) {
      note(fmt::format("{} {} {} -> {}", asked.machine, asked.method, asked.path, response.status),
           response.body);
      judge_.on_answer(asked, response);
    };
  }

  // `detail` is part of the hash and not of the text.
  void note(const std::string& line, std::string_view detail = {}) {
    const auto now = cluster_.loop.now().time_since_epoch().count();
    mix({reinterpret_cast<const char*>(&now), sizeof now});
    mix(line);
    mix(detail);
    if (!keeps_trace_) return;
    outcome_.trace.push_back(fmt::format("{:12.3f} {}", static_cast<double>(now) / 1e9, line));
  }
  // FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/).
  void mix(std::string_view bytes) {
    for (const char byte : bytes) {
      outcome_.trace_hash =
          (outcome_.trace_hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
    }
  }

  bool run_until(Time until) {
    Time moment = cluster_.loop.now();
    for (int events = 0; cluster_.loop.run_one(until); ++events) {
      if (cluster_.loop.now() != moment) {
        moment = cluster_.loop.now();
        events = 0;
      } else if (events > kMostEventsAtOnce) {
        judge_.blame(Promise::time_passes, "there is no end to what happens in this moment");
        return false;
      }
    }
    cluster_.loop.run_until(until);
    return true;
  }

  void rest(const Action& action) {
    const std::int64_t quiet = action.words.size() > 1 ? std::stoll(action.words[1]) : 600;
    const Time healed = cluster_.loop.now();
    deeds_.heal();
    // The sooner it rests the better; but it has the whole time to do so.
    std::vector<std::string> unrest;
    for (Duration time = kLook; time <= kRestBound; time *= 2) {
      if (!run_until(healed + std::min(time, kRestBound))) return;
      unrest = cluster_.unrest(judge_.excuses());
      if (unrest.empty()) break;
    }
    if (!unrest.empty()) {
      return judge_.blame(Promise::comes_to_rest, fmt::format("{}", fmt::join(unrest, "; ")));
    }
    outcome_.slowest_rest = std::max(outcome_.slowest_rest, cluster_.loop.now() - healed);
    if (!run_until(healed + kRestBound)) return;
    judge_.check();
    be_quiet(std::chrono::seconds(quiet));
    began_ = cluster_.loop.now();
  }

  void be_quiet(Duration time) {
    disturbances_.clear();
    quiet_ = true;
    cluster_.clear_calls();
    deeds_.perform({"get", cluster_.machines.begin()->first, "/status"}).value();
    // By then nobody has asked that fleetd for long, and it has given its mirror up.
    if (!run_until(cluster_.loop.now() + std::min(time, kMirrorKept))) return;
    const std::size_t store_calls = cluster_.store_calls();
    if (!run_until(cluster_.loop.now() + std::max(time - kMirrorKept, Duration::zero()))) return;
    quiet_ = false;
    check_places();
    if (cluster_.store_calls() != store_calls && !some_cannot_start()) {
      disturbances_.emplace_back("the store was asked for something");
    }
    for (const auto& [id, machine] : cluster_.machines) {
      for (const FakeCall& call : machine->systemd.calls()) {
        if (cannot_start(call.name)) continue;
        disturbances_.push_back(fmt::format("the systemd of {} was asked for {}", id, call.name));
      }
    }
    if (!disturbances_.empty()) judge_.blame(Promise::rests, disturbances_.front());
    if (const auto unrest = cluster_.unrest(judge_.excuses()); !unrest.empty()) {
      judge_.blame(Promise::rests, fmt::format("{}", fmt::join(unrest, "; ")));
    }
  }

  // At rest no unit is where it may not be.
  void check_places() {
    for (const auto& [name, unit] : cluster_.mirror.units()) {
      for (const auto& [machine, record] : unit.schedule) {
        if (!unit.is_known() || !keeps_place(record)) continue;
        const auto found = obstacles(cluster_.mirror, name, machine, /*stays=*/true);
        if (found.empty()) continue;
        judge_.blame(Promise::where_it_may_run,
                     fmt::format("{} is on {}, which {}", name, machine, found.front()));
      }
    }
  }

  // Whether a unit fails whenever it is started. That is tried again for ever, with pauses, and
  // told.
  bool cannot_start(const std::string& name) const {
    const Unit* unit = cluster_.mirror.unit(name);
    if (unit == nullptr || !unit->unit.value) return false;
    const FakeScript script = script_of(name, unit->unit->text);
    return script.start_fails || script.bad_setting;
  }

  bool some_cannot_start() const {
    return std::ranges::any_of(cluster_.mirror.units(),
                               [this](const auto& it) { return cannot_start(it.first); });
  }

  void on_quiet_change(const WatchBatch& batch) {
    for (const WatchEvent& event : batch.events) {
      const auto key = cluster_.mirror.keys().parse(event.value.key);
      if (key && key->kind == Key::Kind::state && cannot_start(key->name)) continue;
      disturbances_.push_back("the registry was written: " + event.value.key);
    }
  }

  bool keeps_trace_;
  Outcome outcome_;
  Cluster cluster_;
  Deeds deeds_;
  Judge judge_;
  bool quiet_ = false;                     // nothing may move
  std::vector<std::string> disturbances_;  // what has
  Time began_;                             // from which the plan's times count
};

}  // namespace

bool Outcome::has_broken(Promise promise) const {
  return std::ranges::any_of(broken, [&](const Broken& it) { return it.promise == promise; });
}

Result<Outcome> live(const Plan& plan, Trace trace) {
  const Result<Setup> setup = Setup::of(plan);
  if (!setup) return std::unexpected(setup.error());
  try {
    return Life(*setup, trace).run(plan);
  } catch (const std::exception& error) {
    Outcome crashed;
    crashed.broken.push_back({Promise::no_crash, {}, error.what()});
    return crashed;
  }
}

}  // namespace fleet
