#include "tests/sim/unit_judge.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "tests/sim/obstacles.h"

namespace fleet {

namespace {

using namespace std::chrono_literals;

// An order may come while the unit's start is on its way to systemd.
constexpr Duration kStartTakes = 200ms;
// Where systemd's word of a stop is lost fleet finds it out by asking each half a minute
// (agent.cc), once no job is under way. What somebody has started before that is what it was to
// stop.
constexpr Duration kHearsOfStop = 60s;
// A machine with which nothing is wrong any more learns at its lease's next renewal, a third of a
// TTL later at most, that it was away. Then it has this long to read what was decided meanwhile and
// to stop what was given away: a few calls of the store, each with its time limit and pause, the
// unit's own stop, and the look after a job whose end was not heard of (agent.cc).
constexpr Duration kLearnsAndStops = 90s;

// Within this there is no second reload that nothing wants.
constexpr Duration kReloadsApart = 1s;

std::string wish(const ScheduleRecord& record) {
  return fmt::format("{} {}", record.hash, record.restarts);
}

bool goes(const std::string& state) {
  return state != "inactive" && state != "failed";
}

}  // namespace

UnitJudge::UnitJudge(Cluster& cluster, MachineFacts facts, Blame blame)
    : cluster_(cluster), facts_(std::move(facts)), blame_(std::move(blame)) {
  for (auto& [id, machine] : cluster_.machines) {
    machine->systemd.set_witness(
        {.on_call = [this, &on = id](
                        FakeCall::Verb verb, const std::string& name,
                        const std::string& before) { on_call(on, verb, name, before); },
         .on_job_end = [this, &on = id](
                           FakeCall::Verb verb, const std::string& name,
                           const std::string& result) { on_job_end(on, verb, name, result); },
         .on_active_state = [this, &on = id](
                                const std::string& name, const std::string&,
                                const std::string& now) { on_active_state(on, name, now); },
         .on_reload = [this, &on = id](std::size_t wanted) { on_reload(on, wanted); }});
  }
}

void UnitJudge::on_schedule_read(const std::string& machine, const ReadResult& schedule) {
  for (const KeyValue& record : schedule.values) on_told(machine, record);
}

void UnitJudge::on_schedule_change(const std::string& machine, const WatchBatch& batch) {
  for (const WatchEvent& event : batch.events) {
    // That a record is gone is no order.
    if (event.kind == WatchEvent::Kind::put) on_told(machine, event.value);
  }
}

void UnitJudge::on_told(const std::string& machine, const KeyValue& value) {
  const auto key = cluster_.mirror.keys().parse(value.key);
  const Result<ScheduleRecord> record = decode_schedule(value.value);
  if (!key || !record) return;
  Here& here = here_[{machine, key->name}];
  const bool again = std::exchange(here.given_back, false);
  const bool the_same = !again && here.told && record->state == UnitState::launched &&
                        here.told->state == UnitState::launched &&
                        here.told->hash == record->hash && here.told->restarts == record->restarts;
  if (!the_same) take_order(here, *record, time_of(machine));
  here.told = *record;
}

void UnitJudge::take_order(Here& here, const ScheduleRecord& record, Time now) {
  here.order = now;
  const bool replaced =
      here.told && here.told->state != UnitState::inactive && here.told->hash != record.hash;
  if (record.state != UnitState::launched || replaced) here.stop_order = now;
  if (record.state != UnitState::launched) return;
  // One more, also where a fleetd that died over a start has let it be done twice.
  here.starts_asked = std::max(here.starts_asked, here.starts_done) + 1;
  if (here.told && record.restarts <= here.told->restarts) return;
  here.restarts_asked = std::max(here.restarts_asked, here.restarts_done) + 1;
}

void UnitJudge::after_mirrored(const WatchBatch& batch) {
  for (const WatchEvent& event : batch.events) {
    const auto key = cluster_.mirror.keys().parse(event.value.key);
    if (!key || key->name.empty() || key->kind == Key::Kind::state) continue;
    unit_changed_[key->name] = cluster_.loop.now();
    if (key->kind != Key::Kind::schedule) continue;
    here_[{key->machine, key->name}].order_lost =
        cluster_.is_by_hand() && event.kind != WatchEvent::Kind::put;
  }
}

void UnitJudge::rebooted(const std::string& machine) {
  for (auto& [place, here] : here_) {
    if (place.first != machine) continue;
    std::optional<ScheduleRecord> told = std::move(here.told);
    here = {};
    // What it was told before it has to do anew.
    if (told) take_order(here, *told, time_of(machine));
    here.told = std::move(told);
  }
}

void UnitJudge::started_by_hand(const std::string& machine, const std::string& unit) {
  const auto active = cluster_.at(machine).systemd.active_units();
  Here& here = here_[{machine, unit}];
  // What runs, or is being stopped, is fleet's and stays so.
  if (here.stopping || std::ranges::find(active, unit) != active.end()) return;
  here.by_hand = true;
  here.hand_started = time_of(machine);
}

void UnitJudge::troubled(const std::string& machine) {
  troubled_[machine] = time_of(machine);
}

Time UnitJudge::time_of(const std::string& machine) const {
  return cluster_.at(machine).hardware.now();
}

bool UnitJudge::troubled_since(const std::string& machine, Time when) const {
  const auto found = troubled_.find(machine);
  return found != troubled_.end() && found->second >= when;
}

void UnitJudge::on_call(const std::string& machine, FakeCall::Verb verb, const std::string& name,
                        const std::string& before) {
  const Time now = time_of(machine);
  Here& here = here_[{machine, name}];
  if (verb == FakeCall::Verb::stop) {
    const auto since = [&](const std::optional<Time>& start, Duration grace) {
      return !start || *here.stop_order + grace >= *start;
    };
    // Where it is not to be any more it is stopped whoever has started it; elsewhere it is theirs.
    const bool theirs = here.by_hand && here.told && here.told->state == UnitState::loaded;
    const bool ordered = here.stop_order && since(here.started, kStartTakes) &&
                         (!theirs || since(here.hand_started, kHearsOfStop));
    const bool leaving = facts_.was_leaving(machine, cluster_.loop.now());
    // Should it be told again to run it, that is another order.
    if (leaving) here.given_back = true;
    if (!ordered && !leaving) {
      blame_(Promise::no_stop_without_order,
             fmt::format("{} was stopped on {} without an order", name, machine));
    }
    here.stops = here.stopping = true;
    return;
  }
  const bool restart = verb == FakeCall::Verb::restart;
  if (restart || !goes(before)) judge_start({machine, name}, here, restart);
  here.started = now;
  here.as = here.told ? wish(*here.told) : "";
  here.stops = restart;
  here.start_is_open = true;
  here.by_hand = false;
  here.result.clear();
}

void UnitJudge::judge_start(const Place& place, Here& here, bool restart) {
  const Time now = time_of(place.first);
  const bool wanted = here.told && here.told->state == UnitState::launched;
  if (!wanted && !(here.order && *here.order + kStartTakes >= now)) {
    return blame_(Promise::no_start_without_order,
                  fmt::format("{} was started on {} without an order", place.second, place.first));
  }
  int& asked = restart ? here.restarts_asked : here.starts_asked;
  const int done = restart ? here.restarts_done : here.starts_done;
  if (done < asked) return;
  // What failed is tried again. What has befallen the machine since the last start was asked for
  // can have kept fleet from knowing how that went, or from noting it down.
  const bool went_well = here.result == "done" || here.result == "skipped";
  if (!here.started || !went_well || troubled_since(place.first, *here.started - kStartTakes)) {
    asked = done + 1;
    return;
  }
  blame_(Promise::no_start_without_order,
         fmt::format("{} was {} on {} though nobody asked for it", place.second,
                     restart ? "restarted" : "started again", place.first));
}

void UnitJudge::on_job_end(const std::string& machine, FakeCall::Verb verb, const std::string& name,
                           const std::string& result) {
  Here& here = here_[{machine, name}];
  if (verb == FakeCall::Verb::stop) {
    if (result == "done") here.stopping = false;
    return;
  }
  here.result = result;
  if (result != "done" && result != "skipped") return;
  here.stops = false;                                     // of a restart the stop is over
  if (!std::exchange(here.start_is_open, false)) return;  // somebody else's
  ++here.starts_done;
  if (verb == FakeCall::Verb::restart) ++here.restarts_done;
  // One start may carry out several orders; those that came well before it ask for no more.
  if (!here.order || !here.started || *here.order + kStartTakes >= *here.started) return;
  here.starts_asked = here.starts_done;
  here.restarts_asked = here.restarts_done;
}

void UnitJudge::on_active_state(const std::string& machine, const std::string& name,
                                const std::string& now) {
  if (goes(now)) {
    runs_on_[name].insert(machine);
    return;
  }
  runs_on_[name].erase(machine);
  Here& here = here_[{machine, name}];
  if (!here.stops) here.ended_by_itself = time_of(machine);
  here.by_hand = false;
}

// One that no unit wants any more can come about: its cause may have gone while it was on its way.
void UnitJudge::on_reload(const std::string& machine, std::size_t wanted) {
  if (wanted > 0) return;
  const Time now = cluster_.loop.now();
  const auto last = needless_reload_.find(machine);
  if (last != needless_reload_.end() && now - last->second < kReloadsApart) {
    blame_(Promise::no_needless_reload, machine + " reloads its systemd again and again");
  }
  needless_reload_[machine] = now;
}

void UnitJudge::check_runs_once() {
  const Duration bound = cluster_.ttl() / 3 + kLearnsAndStops;
  const Time now = cluster_.loop.now();
  for (const auto& [name, machines] : runs_on_) {
    if (machines.size() < 2) continue;
    const Unit* unit = cluster_.mirror.unit(name);
    if (unit == nullptr || !unit->is_known() || unit->unit->requirements.global) continue;
    const std::string assigned = cluster_.mirror.target_machine(*unit);
    if (assigned.empty() || !unit->unreadable().empty()) continue;
    if (now - unit_changed_[name] <= bound) continue;
    for (const std::string& machine : machines) {
      if (machine == assigned || !facts_.is_whole(machine)) continue;
      // Given away by the user, as a global unit that no longer is one, and not by a leader yet.
      const auto record = unit->schedule.find(machine);
      if (record != unit->schedule.end() && keeps_place(record->second)) continue;
      // A stop that has been asked for takes as long as the unit and its systemd take.
      const Here& here = here_[{machine, name}];
      if (here.by_hand || here.stops || troubled_since(machine, time_of(machine) - bound)) continue;
      blame_(Promise::runs_once,
             fmt::format("{} is assigned to {} and still runs on {}", name, assigned, machine));
    }
  }
}

bool UnitJudge::may_be_idle(const std::string& machine, const std::string& unit) const {
  const std::string text = cluster_.at(machine).systemd.file(unit).value_or("");
  const FakeScript script = script_of(unit, text);
  if (script.start_fails || script.bad_setting) return true;
  const auto found = here_.find({machine, unit});
  if (found == here_.end() || !found->second.order) return false;
  const Here& here = found->second;
  const Time order = *here.order - kStartTakes;
  const bool went_well = here.result == "done" || here.result == "skipped";
  if (went_well && !here.stops && here.started && *here.started >= order) return true;
  if (here.ended_by_itself && *here.ended_by_itself >= order) return true;
  // It was destroyed and made anew, and its machine did not act on it in between.
  return went_well && !here.stops && here.told && here.as == wish(*here.told);
}

bool UnitJudge::may_run(const std::string& machine, const std::string& unit) const {
  const auto found = here_.find({machine, unit});
  if (found == here_.end()) return false;
  // Destroyed after its decision was lost: nobody knows any more that it is there.
  const Unit* known = cluster_.mirror.unit(unit);
  return found->second.by_hand ||
         (found->second.order_lost && (known == nullptr || !known->is_known()));
}

}  // namespace fleet
