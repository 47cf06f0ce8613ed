#include "engine/engine.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "engine/transactions.h"

namespace fleet {

namespace {

using namespace engine_event;

// Enough to keep the store busy; the rest waits here, where newer facts can still change it.
constexpr std::size_t kMaxInFlight = 8;
constexpr std::size_t kUnitsPerRound = 128;
constexpr Duration kResendAfter = std::chrono::seconds(1);

}  // namespace

std::vector<EngineEffect> Engine::step(const EngineEvent& event, const Registry& registry,
                                       Time now) {
  effects_.clear();
  std::visit([&](const auto& it) { handle(it, registry, now); }, event);
  if (is_leading()) {
    release_settled(registry);
    judge_absent_machines(registry, now);
    resend_unknown(now);
    decide_dirty(registry);
    ask_to_wake(now);
  }
  return std::exchange(effects_, {});
}

void Engine::handle(const LeadershipGained& event, const Registry& registry, Time now) {
  context_ = {};
  context_.term = event.term;
  grace_until_ = now + options_.grace;
  in_contact_ = true;
  missed_since_.clear();
  judge_at_.reset();
  log(LogLevel::info, fmt::format("this machine's engine leads (term {})", event.term));
  rebuild(registry);
}

void Engine::handle(const LeadershipLost&, const Registry&, Time) {
  if (!is_leading()) return;
  log(LogLevel::info, "this machine's engine no longer leads");
  context_ = {};
  in_flight_.clear();
  unsettled_.clear();
  dirty_.clear();
  waiting_.clear();
}

void Engine::handle(const ContactLost&, const Registry&, Time) {
  if (!is_leading() || !in_contact_) return;
  in_contact_ = false;
  absent_changed_ = true;
  log(LogLevel::warning, "no word from the store: no machine is called dead until it is back");
}

void Engine::handle(const ContactRegained&, const Registry&, Time now) {
  if (!is_leading()) return;
  in_contact_ = true;
  absent_changed_ = true;
  grace_until_ = now + options_.grace;
}

void Engine::handle(const RegistryChanged& event, const Registry& registry, Time) {
  if (!is_leading()) return;
  for (const auto& id : event.changes.machines) machine_changed(registry, id);
  for (const auto& name : event.changes.units) unit_changed(registry, name);
}

void Engine::handle(const RegistryReloaded&, const Registry& registry, Time now) {
  if (!is_leading()) return;
  // Whatever happened meanwhile, machines among it, happened out of our sight.
  grace_until_ = now + options_.grace;
  rebuild(registry);
}

void Engine::handle(const TimePassed&, const Registry&, Time) {
  absent_changed_ = true;
}

void Engine::handle(const Committed& event, const Registry& registry, Time now) {
  const auto found = in_flight_.find(event.id);
  if (found == in_flight_.end()) return;
  InFlight& sent = found->second;
  if (!event.result) {
    const Error& error = event.result.error();
    if (error.code == ErrorCode::unavailable || error.code == ErrorCode::failed) {
      // It may have been committed or not, or may be yet. The same transaction again settles that:
      // if the first one took effect, the comparisons of the second fail.
      sent.resend_at = now + kResendAfter;
      return;
    }
    log(LogLevel::error, "the store refuses a decision: " + error.message);
    for (const auto& name : sent.units) waiting_[name] = "the store refuses: " + error.message;
    // What was decided holds no place any more. It is not decided anew before something changes:
    // the store would refuse it again.
    for (const auto& name : sent.units) {
      unsettled_.erase(name);
      refresh_unit(registry, name);
    }
    in_flight_.erase(found);
    return;
  }
  const bool committed = event.result->committed;
  if (committed) {
    for (const auto& name : sent.units) unsettled_[name].shown_at = event.result->revision;
  } else if (!sent.barrier) {
    send_barrier(registry, sent.units);
  }
  // A refused barrier means that another leads; the news of that is on its way.
  in_flight_.erase(event.id);
}

void Engine::rebuild(const Registry& registry) {
  placement_ = {};
  machines_of_.clear();
  followers_.clear();
  follows_.clear();
  globals_.clear();
  waiting_.clear();
  for (const auto& [id, machine] : registry.machines()) refresh_machine(registry, id);
  for (const auto& [name, unit] : registry.units()) {
    index_followers(registry, name);
    refresh_unit(registry, name);
    dirty_.insert(name);
  }
  for (const auto& [name, unsettled] : unsettled_) {
    for (const Decision& decision : unsettled.decisions) apply_to_placement(registry, decision);
  }
  absent_changed_ = true;
}

void Engine::refresh_machine(const Registry& registry, const std::string& id) {
  const Machine* machine = registry.machine(id);
  placement_.set_open(id, machine != nullptr && is_open(*machine));
}

// The occupant that a unit makes where it is. Of a unit that has been destroyed the conflicts are
// remembered for as long as it is still there.
Occupant Engine::occupant_now(const Unit* unit, const std::string& name, const std::string& machine,
                              bool assigned) const {
  Occupant occupant = make_occupant(unit, assigned);
  if (unit == nullptr || !unit->unit.value) {
    const auto& there = placement_.on(machine).occupants();
    if (const auto found = there.find(name); found != there.end()) {
      occupant.conflicts = found->second.conflicts;
    }
  }
  return occupant;
}

void Engine::refresh_unit(const Registry& registry, const std::string& name) {
  const Unit* unit = registry.unit(name);
  std::set<std::string> now_on;
  std::vector<Occupant> given_up;
  const auto had = [&](const std::string& machine) -> const Occupant* {
    const auto& there = placement_.on(machine).occupants();
    const auto found = there.find(name);
    return found == there.end() ? nullptr : &found->second;
  };
  if (unit != nullptr) {
    for (const auto& [machine, record] : unit->schedule) {
      Occupant occupant = occupant_now(unit, name, machine, occupant_of(*unit, record).assigned);
      const Occupant* before = had(machine);
      if (before != nullptr && *before != occupant) given_up.push_back(*before);
      placement_.put(machine, name, std::move(occupant));
      now_on.insert(machine);
    }
  }
  const auto before = machines_of_.find(name);
  if (before != machines_of_.end()) {
    for (const auto& machine : before->second) {
      if (now_on.contains(machine)) continue;
      if (const Occupant* gone = had(machine)) given_up.push_back(*gone);
      placement_.erase(machine, name);
    }
  }
  if (now_on.empty()) {
    machines_of_.erase(name);
  } else {
    machines_of_[name] = std::move(now_on);
  }
  for (const Occupant& occupant : given_up) room_was_made(registry, name, occupant);
}

void Engine::index_followers(const Registry& registry, const std::string& name) {
  for (const auto& leader : follows_[name]) {
    const auto found = followers_.find(leader);
    if (found == followers_.end()) continue;
    found->second.erase(name);
    if (found->second.empty()) followers_.erase(found);
  }
  const Unit* unit = registry.unit(name);
  const bool known = unit != nullptr && unit->unit.value;
  follows_[name] = known ? unit->unit->requirements.machine_of : std::vector<std::string>{};
  for (const auto& leader : follows_[name]) followers_[leader].insert(name);
  if (follows_[name].empty()) follows_.erase(name);
  if (known && unit->unit->requirements.global) {
    globals_.insert(name);
  } else {
    globals_.erase(name);
  }
}

void Engine::unit_changed(const Registry& registry, const std::string& name) {
  index_followers(registry, name);
  dirty_.insert(name);
  if (const auto found = followers_.find(name); found != followers_.end()) {
    dirty_.insert(found->second.begin(), found->second.end());
  }
  if (registry.unit(name) == nullptr) waiting_.erase(name);
  if (!unsettled_.contains(name)) refresh_unit(registry, name);
}

void Engine::machine_changed(const Registry& registry, const std::string& id) {
  refresh_machine(registry, id);
  for (const auto& [name, occupant] : placement_.on(id).occupants()) dirty_.insert(name);
  dirty_.insert(globals_.begin(), globals_.end());
  absent_changed_ = true;
  const Machine* machine = registry.machine(id);
  if (machine == nullptr || !is_open(*machine)) return;
  // Of those that wait this machine concerns only the ones that it would take.
  for (const auto& [name, reason] : waiting_) {
    const Unit* unit = registry.unit(name);
    if (unit == nullptr || !unit->unit.value) continue;
    if (!refusal(name, unit->unit->requirements, id, *machine, placement_.on(id))) {
      dirty_.insert(name);
    }
  }
}

// Whom it was in the way of: units without a place, and global units, which may want one more.
void Engine::room_was_made(const Registry& registry, const std::string& name,
                           const Occupant& occupant) {
  const auto look_again = [&](const std::string& other) {
    const Unit* unit = registry.unit(other);
    if (other == name || unit == nullptr || !unit->unit.value) return;
    if (in_conflict(name, occupant.conflicts, other, unit->unit->requirements.conflicts) ||
        matches_any(occupant.replaces, other)) {
      dirty_.insert(other);
    }
  };
  for (const auto& [other, reason] : waiting_) look_again(other);
  for (const auto& other : globals_) look_again(other);
}

void Engine::release_settled(const Registry& registry) {
  for (auto it = unsettled_.begin(); it != unsettled_.end();) {
    const Revision shown_at = it->second.shown_at;
    if (shown_at == 0 || shown_at > registry.revision()) {
      ++it;
      continue;
    }
    const std::string name = it->first;
    it = unsettled_.erase(it);
    unit_changed(registry, name);
  }
}

void Engine::judge_absent_machines(const Registry& registry, Time now) {
  if (!std::exchange(absent_changed_, false)) return;
  std::erase_if(context_.dead, [&](const std::string& id) {
    const Machine* machine = registry.machine(id);
    return machine == nullptr || machine->is_present();
  });
  const MissingMachines missing =
      missing_machines(registry, context_.dead, options_.mass_loss_percent);
  std::erase_if(missed_since_, [&](const auto& it) {
    return !missing.machines.contains(it.first) && !missing.emptied.contains(it.first);
  });
  for (const auto& id : missing.machines) missed_since_.try_emplace(id, now);
  for (const auto& id : missing.emptied) missed_since_.try_emplace(id, now);

  const Held held_before = context_.held;
  const bool seen = in_contact_ && now >= grace_until_;
  context_.held = seen && missing.outage ? Held::brake : Held::grace;
  if (context_.held == Held::brake && held_before != Held::brake) {
    log(LogLevel::error,
        fmt::format("{} machines are missing at once: this looks like an outage, so nothing is "
                    "moved until some return (engine_mass_loss_percent = {})",
                    missing.machines.size(), options_.mass_loss_percent));
  }
  // Those that are still missing get the time to return that the others had.
  if (seen && held_before == Held::brake && !missing.outage) grace_until_ = now + options_.grace;

  judge_at_.reset();
  if (in_contact_ && now >= grace_until_ && !missing.outage) call_dead(missing, now);
  for (const auto& id : missing.machines) {
    for (const auto& [name, occupant] : placement_.on(id).occupants()) dirty_.insert(name);
  }
}

void Engine::call_dead(const MissingMachines& missing, Time now) {
  const Duration patience = missing.outage_possible ? options_.grace / 3 : Duration::zero();
  for (auto it = missed_since_.begin(); it != missed_since_.end();) {
    const auto& [id, since] = *it;
    if (const Time when = since + patience; when > now) {
      judge_at_ = judge_at_ ? std::min(*judge_at_, when) : when;
      ++it;
      continue;
    }
    if (missing.machines.contains(id)) {
      log(LogLevel::warning, "the machine is lost: its units move", {}, id);
    }
    for (const auto& [name, occupant] : placement_.on(id).occupants()) dirty_.insert(name);
    context_.dead.insert(id);
    it = missed_since_.erase(it);
  }
}

void Engine::decide_dirty(const Registry& registry) {
  while (!dirty_.empty() && in_flight_.size() < kMaxInFlight) {
    std::vector<std::vector<Decision>> groups;
    while (!dirty_.empty() && groups.size() < kUnitsPerRound) {
      const std::string name = *dirty_.begin();
      dirty_.erase(dirty_.begin());
      // It is looked at again as soon as what was decided for it shows.
      if (unsettled_.contains(name)) continue;
      Verdict verdict = decide(registry, placement_, name, context_);
      if (verdict.waiting.empty()) {
        waiting_.erase(name);
      } else if (std::string& said = waiting_[name]; said != verdict.waiting) {
        said = verdict.waiting;
        log(LogLevel::info, "waits: " + said, name);
      }
      if (verdict.decisions.empty()) continue;
      for (const Decision& decision : verdict.decisions) {
        apply_to_placement(registry, decision);
        if (decision.forget_target) continue;
        log(LogLevel::info,
            fmt::format("{}: {}", to_string(decision.record.state), decision.record.reason),
            decision.unit, decision.machine);
      }
      if (const auto found = followers_.find(name); found != followers_.end()) {
        dirty_.insert(found->second.begin(), found->second.end());
      }
      unsettled_[name] = {verdict.decisions, 0};
      groups.push_back(std::move(verdict.decisions));
    }
    send(registry, groups);
  }
}

void Engine::apply_to_placement(const Registry& registry, const Decision& decision) {
  if (decision.forget_target) return;
  placement_.put(decision.machine, decision.unit,
                 occupant_now(registry.unit(decision.unit), decision.unit, decision.machine,
                              decision.record.state != UnitState::inactive));
  machines_of_[decision.unit].insert(decision.machine);
  // Whose place it takes, those have to go.
  const auto& there = placement_.on(decision.machine);
  if (const auto& replaces = there.occupants().at(decision.unit).replaces; !replaces.empty()) {
    for (auto& replaced : there.replaced_by(decision.unit, replaces)) {
      dirty_.insert(std::move(replaced));
    }
  }
}

void Engine::send(const Registry& registry, const std::vector<std::vector<Decision>>& groups) {
  for (PlannedTransaction& planned : plan_transactions(registry, context_.term, groups)) {
    const std::uint64_t id = ++last_id_;
    effects_.emplace_back(CommitEffect{id, planned.transaction});
    in_flight_[id] = {std::move(planned.transaction), std::move(planned.units), false, {}};
  }
}

void Engine::send_barrier(const Registry& registry, std::set<std::string> units) {
  const Keys& keys = registry.keys();
  Transaction barrier;
  barrier.compares.push_back({{keys.leader(), false},
                              Compare::Field::create_revision,
                              Compare::Relation::equal,
                              context_.term});
  barrier.operations.emplace_back(Put{keys.prefix() + "engine/barrier", "{\"v\":1}", 0});
  const std::uint64_t id = ++last_id_;
  effects_.emplace_back(CommitEffect{id, barrier});
  in_flight_[id] = {std::move(barrier), std::move(units), true, {}};
}

void Engine::resend_unknown(Time now) {
  for (auto& [id, sent] : in_flight_) {
    if (!sent.resend_at || *sent.resend_at > now) continue;
    sent.resend_at.reset();
    effects_.emplace_back(CommitEffect{id, sent.transaction});
  }
}

void Engine::ask_to_wake(Time now) {
  std::optional<Time> when;
  const auto at = [&when](Time time) { when = when ? std::min(*when, time) : time; };
  if (now < grace_until_) at(grace_until_);
  if (judge_at_) at(*judge_at_);
  for (const auto& [id, sent] : in_flight_) {
    if (sent.resend_at) at(*sent.resend_at);
  }
  if (when) effects_.emplace_back(WakeEffect{*when});
}

void Engine::log(LogLevel level, std::string text, std::string unit, std::string machine) {
  effects_.emplace_back(LogLine{level, std::move(text), std::move(unit), std::move(machine)});
}

}  // namespace fleet
