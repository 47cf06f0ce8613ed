#include "tests/sim/decision_judge.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "tests/sim/obstacles.h"
#include "unit/unit_name.h"

namespace fleet {

namespace {

using namespace std::chrono_literals;

// What was decided from may be as much older than what it took effect on.
constexpr Duration kOnItsWay = 120s;
// From the first to the last transaction of what a leader has decided at once.
constexpr Duration kOneRound = 10s;
// For so long nothing may have befallen the leader's machine if it is to have seen all that is
// missing, but for what has been missing for less than the second.
constexpr Duration kCalm = 15s;
constexpr Duration kSeen = 1s;

}  // namespace

DecisionJudge::DecisionJudge(const Cluster& cluster,
                             std::function<bool(const std::string&)> is_whole, Blame blame)
    : cluster_(cluster), is_whole_(std::move(is_whole)), blame_(std::move(blame)) {}

void DecisionJudge::troubled(const std::string& machine, bool clock_jumped) {
  troubled_[machine] = cluster_.loop.now();
  if (clock_jumped) jumped_[machine] = cluster_.loop.now();
}

void DecisionJudge::before_mirrored(const WatchBatch& batch) {
  was_.clear();
  for (const WatchEvent& event : batch.events) {
    const auto key = cluster_.mirror.keys().parse(event.value.key);
    if (!key) continue;
    const bool removed = event.kind == WatchEvent::Kind::removed;
    if (key->kind == Key::Kind::machine) {
      absent_since_.erase(key->machine);
      if (!removed) continue;
      absent_since_[key->machine] = cluster_.loop.now();
      judge_absence(key->machine);
    } else if (key->kind == Key::Kind::leader && !removed &&
               event.value.create_revision == event.value.mod_revision) {
      leads_since_ = cluster_.loop.now();
    } else if (key->kind == Key::Kind::unit) {
      unit_written_ = cluster_.loop.now();
    } else if (key->kind == Key::Kind::schedule) {
      const Unit* unit = cluster_.mirror.unit(key->name);
      const bool there = unit != nullptr && unit->schedule.contains(key->machine);
      if (!there) continue;
      was_[{key->machine, key->name}] =
          keeps_place(unit->schedule.at(key->machine)) ? Was::assigned : Was::ordered_away;
    }
  }
}

// Its presence has gone: something must have befallen it.
void DecisionJudge::judge_absence(const std::string& machine) {
  const auto troubled = troubled_.find(machine);
  const bool calm =
      troubled == troubled_.end() || cluster_.loop.now() - troubled->second > 2 * cluster_.ttl();
  if (calm && is_whole_(machine)) {
    blame_(Promise::lost_with_care, machine + " lost its presence though nothing befell it");
  }
}

DecisionJudge::Was DecisionJudge::was(const Place& place) const {
  const auto found = was_.find(place);
  return found == was_.end() ? Was::nothing : found->second;
}

void DecisionJudge::after_mirrored(const WatchBatch& batch) {
  if (cluster_.is_by_hand()) return;
  std::vector<Place> decided;
  for (const WatchEvent& event : batch.events) {
    if (event.kind != WatchEvent::Kind::put) continue;
    const auto key = cluster_.mirror.keys().parse(event.value.key);
    if (!key || key->kind != Key::Kind::schedule) continue;
    decided.emplace_back(key->machine, key->name);
    const bool first = event.value.create_revision == event.value.mod_revision;
    if (first) decided_first_[decided.back()] = cluster_.loop.now();
  }
  for (const Place& place : decided) {
    const auto& entry = cluster_.mirror.unit(place.second)->schedule.at(place.first);
    if (entry.value) judge(place, *entry.value);
  }
}

bool DecisionJudge::is_present(const std::string& machine) const {
  const Machine* known = cluster_.mirror.machine(machine);
  return known != nullptr && known->is_present();
}

void DecisionJudge::judge(const Place& place, const ScheduleRecord& record) {
  if (const Revision term = cluster_.mirror.leader().create_revision; term != record.term) {
    blame_(Promise::fenced, fmt::format("{} on {} was decided in term {}, but it is term {}",
                                        place.second, place.first, record.term, term));
  }
  if (record.state == UnitState::inactive) {
    judge_withdrawal(place);
  } else {
    judge_assignment(place, record);
  }
}

void DecisionJudge::judge_assignment(const Place& place, const ScheduleRecord& record) {
  const auto& [machine, name] = place;
  const Unit& unit = *cluster_.mirror.unit(name);
  const bool known = unit.is_known() && unit.target.value;
  if (!known || unit.unit->hash != record.hash || unit.unit->text != record.text ||
      unit.desired() != record.state || unit.target->restarts != record.restarts) {
    blame_(Promise::as_wanted, fmt::format("{} on {} is to be {}, which is not what is wanted",
                                           name, machine, to_string(record.state)));
    return;
  }
  const bool stays = was(place) == Was::assigned;
  for (const std::string& obstacle : obstacles(cluster_.mirror, name, machine, stays)) {
    // It may be replaced in the same moment: then it goes again, in order.
    if (obstacle.starts_with("runs ") || was_unknown(machine, obstacle)) continue;
    if (stays && has_changed_beside(machine, obstacle)) continue;
    blame_(Promise::where_it_may_run,
           fmt::format("{} is given {}, which {}", name, machine, obstacle));
    break;
  }
  if (!stays && !unit.unit->requirements.global) judge_others(place);
}

// Whether what has not stopped there yet was there without a decision when this one was made, as
// when that was lost. Nothing is known of such a unit before it is decided about.
bool DecisionJudge::was_unknown(const std::string& machine, const std::string& obstacle) const {
  const Registry& registry = cluster_.mirror;
  return std::ranges::any_of(registry.machine(machine)->units, [&](const std::string& other) {
    if (obstacle != fmt::format("conflicts with {}, which has not stopped there yet", other)) {
      return false;
    }
    const auto decided = decided_first_.find({machine, other});
    return decided != decided_first_.end() && cluster_.loop.now() - decided->second < kOneRound;
  });
}

// Whether a user has changed or destroyed what runs there beside it. One of the two is to leave;
// that the other gets a word before, as to restart, gives it no place.
bool DecisionJudge::has_changed_beside(const std::string& machine,
                                       const std::string& obstacle) const {
  const Registry& registry = cluster_.mirror;
  return std::ranges::any_of(registry.machine(machine)->units, [&](const std::string& other) {
    const Unit& unit = *registry.unit(other);
    return obstacle == fmt::format("conflicts with {}, which runs there", other) &&
           (!unit.unit.exists() || unit.unit.mod_revision > unit.schedule.at(machine).mod_revision);
  });
}

// Other machines that have, or may have, what is given to this one.
void DecisionJudge::judge_others(const Place& place) {
  const auto& [machine, name] = place;
  const Unit& unit = *cluster_.mirror.unit(name);
  for (const auto& [other, record] : unit.schedule) {
    if (other == machine) continue;
    if (is_present(other) || keeps_place(record)) {
      blame_(Promise::one_machine,
             fmt::format("{} is given {} while {} has it", name, machine, other));
    } else {
      judge_loss(other, name);
    }
  }
}

void DecisionJudge::judge_loss(const std::string& lost, const std::string& unit) {
  const Time now = cluster_.loop.now();
  const std::string leader = cluster_.mirror.leader().value.value_or("");
  const auto since = [&](const std::map<std::string, Time>& times) {
    const auto found = times.find(leader);
    return found == times.end() ? Time() : found->second;
  };
  if (now - leads_since_ < cluster_.ttl() && since(jumped_) < leads_since_) {
    blame_(Promise::lost_with_care,
           fmt::format("{} is taken for lost and {} moves {} ms after a new leader began", lost,
                       unit, std::chrono::milliseconds((now - leads_since_) / 1ms).count()));
  }
  // It may have been called dead before: what its user stopped then and starts now is placed anew.
  const auto absent = absent_since_.find(lost);
  const Time called_dead =
      absent == absent_since_.end() ? now : std::min(now, absent->second + cluster_.ttl() / 3);
  const bool calm = now - std::max(leads_since_, since(troubled_)) > kCalm;
  if (calm && is_outage(now) && is_outage(called_dead)) {
    blame_(Promise::lost_with_care,
           fmt::format("{} is taken for lost and {} moves while so many are missing", lost, unit));
  }
}

// By those that had been missing for so short that nobody can have been called dead before.
bool DecisionJudge::is_outage(Time when) const {
  std::size_t present = 0;
  std::size_t missing = 0;
  for (const auto& [id, machine] : cluster_.mirror.machines()) {
    const auto absent = absent_since_.find(id);
    const bool known = absent != absent_since_.end();
    if (machine.is_present() || (known && absent->second > when)) {
      ++present;
      continue;
    }
    if (!known) continue;
    const Duration time = when - absent->second;
    if (time < kSeen || time >= cluster_.ttl() / 3) continue;
    missing += std::ranges::any_of(machine.units, [&, &on = id](const std::string& name) {
      const Unit& unit = *cluster_.mirror.unit(name);
      return keeps_place(unit.schedule.at(on)) && unit.unit.value &&
             !unit.unit->requirements.global;
    });
  }
  const auto percent = static_cast<std::size_t>(cluster_.mass_loss_percent());
  return missing >= 2 && percent < 100 && missing * 100 > (missing + present) * percent;
}

// An order to leave needs a cause. That a cause was there a moment ago is granted wherever there
// can have been one at all.
void DecisionJudge::judge_withdrawal(const Place& place) {
  const auto& [machine, name] = place;
  const Unit& unit = *cluster_.mirror.unit(name);
  if (!unit.is_known() || unit.desired() == UnitState::inactive) return;
  if (split_unit_name(name).is_template() || !is_present(machine)) return;
  const Machine& there = *cluster_.mirror.machine(machine);
  if (there.presence.value && there.presence->leaving) return;  // it stops all units
  if (cluster_.loop.now() - unit_written_ < kOnItsWay) return;
  const Requirements& wants = unit.unit->requirements;
  if (wants.machine_id || !wants.machine_of.empty() || !wants.metadata.empty()) return;
  if (!wants.conflicts.empty() || !wants.replaces.empty()) return;
  for (const auto& [other, record] : unit.schedule) {
    if (other != machine && keeps_place(record)) return;
  }
  for (const auto& [other, occupant] : cluster_.mirror.units()) {
    if (!occupant.unit.value) continue;
    if (any_matches(occupant.unit->requirements.conflicts, name)) return;
    if (any_matches(occupant.unit->requirements.replaces, name)) return;
  }
  blame_(Promise::no_stop_without_order,
         fmt::format("{} is ordered off {} without a cause", name, machine));
}

}  // namespace fleet
