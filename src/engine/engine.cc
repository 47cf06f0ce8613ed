#include "engine/engine.h"

#include <algorithm>
#include <ranges>
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
constexpr Duration kResendDeniedAfter = std::chrono::seconds(10);
// Leases are not asked for more often, so that the loss of many machines is not many times the
// work.
constexpr Duration kAskLeasesEvery = std::chrono::seconds(1);
// In a larger cluster the answers would take about as long to come as what they save.
constexpr std::size_t kLeasesAsked = 1'000;

EngineCounts::Tasks tasks_of(const Registry& registry, const std::vector<Decision>& decisions) {
  EngineCounts::Tasks tasks;
  for (const Decision& decision : decisions) {
    if (decision.forget_target) continue;
    if (decision.record.state == UnitState::inactive) {
      ++tasks.unschedule;
      continue;
    }
    const auto& schedule = registry.unit(decision.unit)->schedule;
    const auto found = schedule.find(decision.machine);
    if (found == schedule.end() || found->second->state == UnitState::inactive) ++tasks.schedule;
  }
  return tasks;
}

// Of the unit's file; 0: there is none.
Revision unit_revision(const Registry& registry, const std::string& name) {
  const Unit* unit = registry.unit(name);
  return unit == nullptr ? 0 : unit->unit.mod_revision;
}

}  // namespace

std::vector<EngineEffect> Engine::step(const EngineEvent& event, const Registry& registry,
                                       Time now) {
  effects_.clear();
  std::visit([&](const auto& it) { handle(it, registry, now); }, event);
  if (is_leading()) {
    release_settled(registry);
  }
  if (is_leading() && !waits_for_registry(registry, now)) {
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
  registry_incomplete_ = false;
  missed_since_.clear();
  judge_at_.reset();
  asking_ = 0;
  asked_at_.reset();
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

void Engine::handle(const LeasesSeen& event, const Registry&, Time) {
  if (event.id != asking_) return;
  asking_ = 0;
  for (const auto& [machine, remaining] : event.remaining) {
    if (remaining >= options_.grace / 2) well_.insert(machine);
  }
  absent_changed_ = true;
}

void Engine::handle(const TimePassed&, const Registry&, Time) {
  absent_changed_ = true;
}

void Engine::handle(const Committed& event, const Registry& registry, Time now) {
  const auto found = in_flight_.find(event.id);
  if (found == in_flight_.end()) return;
  InFlight& sent = found->second;
  if (!event.result || !event.result->committed) counts_.failed += sent.tasks;
  if (!event.result) {
    const Error& error = event.result.error();
    if (error.code == ErrorCode::unavailable || error.code == ErrorCode::failed) {
      // It may have been committed or not, or may be yet. The same transaction again settles that:
      // if the first one took effect, the comparisons of the second fail.
      sent.resend_at = now + kResendAfter;
      return;
    }
    bool is_news = false;
    for (const auto& name : sent.units) {
      std::string why = "the store refuses: " + error.message;
      is_news = std::exchange(waiting_[name], why) != why || is_news;
    }
    if (is_news) log(LogLevel::error, "the store refuses a decision: " + error.message);
    if (error.code == ErrorCode::denied) {
      // Its operator will mend that, and nothing tells when.
      sent.resend_at = now + kResendDeniedAfter;
      return;
    }
    // What was decided holds no place any more. It is not decided anew before something changes:
    // the store would refuse it again.
    for (const auto& name : sent.units) {
      unsettled_.erase(name);
      index_followers(registry, name);
      refresh_unit(registry, name);
      dirty_followers(name);
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
  followers_.clear();
  follows_.clear();
  globals_.clear();
  circles_.clear();
  waiting_.clear();
  for (const auto& [id, machine] : registry.machines()) refresh_machine(registry, id);
  for (const auto& [name, unit] : registry.units()) {
    index_followers(registry, name);
    refresh_unit(registry, name);
    dirty_.insert(dirty_.end(), name);
  }
  for (const auto& [name, unsettled] : unsettled_) {
    for (const Expected& expected : unsettled.expected) hold_place(registry, name, expected);
  }
  absent_changed_ = true;
}

void Engine::refresh_machine(const Registry& registry, const std::string& id) {
  const Machine* machine = registry.machine(id);
  if (machine != nullptr && is_open(*machine)) {
    placement_.open(id, machine->metadata);
  } else {
    placement_.close(id);
  }
}

// The occupant that a unit makes where it is. Of a unit whose file is gone it is remembered for as
// long as it is still there what it does not bear beside it.
Occupant Engine::occupant_now(const Unit* unit, const Occupant* before, bool assigned) const {
  Occupant occupant = make_occupant(unit, assigned);
  const bool known = unit != nullptr && unit->unit.value;
  if (!known && before != nullptr) {
    occupant.conflicts = before->conflicts;
    occupant.replaces = before->replaces;
  }
  return occupant;
}

void Engine::refresh_unit(const Registry& registry, const std::string& name) {
  const Unit* unit = registry.unit(name);
  std::vector<Occupant> given_up;
  std::vector<std::string> left;
  for (const auto& machine : placement_.machines_of(name)) {
    if (unit == nullptr || !unit->schedule.contains(machine)) left.push_back(machine);
  }
  for (const auto& machine : left) {
    if (const Occupant* gone = placement_.on(machine).occupant(name)) given_up.push_back(*gone);
    placement_.erase(machine, name);
  }
  if (unit != nullptr) {
    for (const auto& [machine, record] : unit->schedule) {
      const Occupant* before = placement_.on(machine).occupant(name);
      Occupant now = occupant_now(unit, before, is_assigned(record));
      if (before != nullptr) {
        if (*before == now) continue;
        given_up.push_back(*before);
      }
      dirty_replaced(machine, name, now);
      placement_.put(machine, name, std::move(now));
    }
  }
  for (const Occupant& occupant : given_up) room_was_made(registry, name, occupant);
}

void Engine::index_followers(const Registry& registry, const std::string& name) {
  const Unit* unit = registry.unit(name);
  const bool known = unit != nullptr && unit->unit.value;
  if (known && unit->unit->requirements.global) {
    globals_.insert(name);
  } else {
    globals_.erase(name);
  }
  static const std::vector<std::string> nobody;
  const auto& leaders = known ? unit->unit->requirements.machine_of : nobody;
  const auto before = follows_.find(name);
  if (before == follows_.end() && leaders.empty()) return;
  if (before != follows_.end()) {
    for (const auto& leader : before->second) {
      const auto found = followers_.find(leader);
      if (found == followers_.end()) continue;
      found->second.erase(name);
      if (found->second.empty()) followers_.erase(found);
    }
    follows_.erase(before);
  }
  if (leaders.empty()) return;
  for (const auto& leader : leaders) followers_[leader].insert(name);
  follows_.emplace(name, leaders);
}

void Engine::dirty_followers(const std::string& name) {
  const auto found = followers_.find(name);
  if (found != followers_.end()) dirty_.insert(found->second.begin(), found->second.end());
}

// What others follow comes before them: they must not be put beside what is about to leave.
std::string Engine::take_dirty() {
  if (!follows_.contains(*dirty_.begin())) {
    return std::move(dirty_.extract(dirty_.begin()).value());
  }
  std::string name = *dirty_.begin();
  std::set<std::string> seen;  // ends a circle
  while (seen.insert(name).second) {
    const auto found = follows_.find(name);
    if (found == follows_.end()) break;
    const auto leader = std::ranges::find_if(
        found->second, [&](const std::string& it) { return dirty_.contains(it); });
    if (leader == found->second.end() || seen.contains(*leader)) break;
    name = *leader;
  }
  dirty_.erase(name);
  return name;
}

bool Engine::follows_unsettled(const std::string& name) const {
  const auto found = follows_.find(name);
  return found != follows_.end() &&
         std::ranges::any_of(found->second, [this](const std::string& leader) {
           return unsettled_.contains(leader);
         });
}

void Engine::unit_changed(const Registry& registry, const std::string& name) {
  const auto unsettled = unsettled_.find(name);
  // Mostly it is the decision itself that shows. What else there is to it waits until it is settled
  // and comes here again; only what the unit asks for by now is needed before, for its held places.
  if (unsettled != unsettled_.end() &&
      unsettled->second.unit_revision == unit_revision(registry, name)) {
    return;
  }
  index_followers(registry, name);
  dirty_.insert(name);
  dirty_followers(name);
  dirty_.insert(circles_.begin(), circles_.end());
  if (registry.unit(name) == nullptr) waiting_.erase(name);
  refresh_unit(registry, name);
  // What was decided holds its place, with what the unit asks for by now.
  if (unsettled == unsettled_.end()) return;
  unsettled->second.unit_revision = unit_revision(registry, name);
  for (const Expected& expected : unsettled->second.expected) hold_place(registry, name, expected);
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

bool Engine::waits_for_registry(const Registry& registry, Time now) {
  const Entry<std::string>& mark = registry.incomplete();
  const bool before = std::exchange(registry_incomplete_, mark.exists());
  if (!mark.exists() && !before) return false;
  if (!mark.exists()) {
    log(LogLevel::info, "the registry is complete");
  } else if (!before) {
    log(LogLevel::warning, "the registry is incomplete (" + mark.value.value_or(mark.error) +
                               "): nothing is decided until that is done");
  }
  // The machines that its records name may be about to join.
  grace_until_ = now + options_.grace;
  absent_changed_ = true;
  return mark.exists();
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
  if (in_contact_ && now >= grace_until_ && !missing.outage) call_dead(registry, missing, now);
  for (const auto& id : missing.machines) {
    for (const auto& [name, occupant] : placement_.on(id).occupants()) dirty_.insert(name);
  }
}

void Engine::call_dead(const Registry& registry, const MissingMachines& missing, Time now) {
  if (missed_since_.empty()) return;
  Duration patience{};
  // The machine that decides is well itself.
  if (missing.could_become_outage(1, options_.mass_loss_percent) &&
      missing.could_become_outage(count_well(registry, now), options_.mass_loss_percent)) {
    patience = options_.grace / 3;
  }
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

std::size_t Engine::count_well(const Registry& registry, Time now) {
  if (registry.machines().size() > kLeasesAsked) return 1;
  const Time missed = std::ranges::max(std::views::values(missed_since_));
  const bool asked = asked_at_ && *asked_at_ >= missed;
  if (!asked && asking_ == 0) {
    const Time when = asked_at_ ? *asked_at_ + kAskLeasesEvery : now;
    if (when > now) {
      judge_at_ = when;
    } else {
      asking_ = ++last_id_;
      asked_at_ = now;
      well_.clear();
      AskLeasesEffect ask{asking_, {}};
      for (const auto& [id, machine] : registry.machines()) {
        if (machine.is_present()) ask.machines.emplace(id, machine.lease);
      }
      effects_.emplace_back(std::move(ask));
    }
  }
  if (!asked || asking_ != 0) return 1;
  return static_cast<std::size_t>(std::ranges::count_if(well_, [&](const std::string& id) {
    const Machine* machine = registry.machine(id);
    return machine != nullptr && machine->is_present();
  }));
}

void Engine::decide_dirty(const Registry& registry) {
  if (!dirty_.empty() && in_flight_.size() < kMaxInFlight) ++counts_.rounds;
  while (!dirty_.empty() && in_flight_.size() < kMaxInFlight) {
    std::vector<std::vector<Decision>> groups;
    while (!dirty_.empty() && groups.size() < kUnitsPerRound) {
      const std::string name = take_dirty();
      // It is looked at again as soon as what was decided for it, or for what it follows, shows: a
      // place beside what may not get there is none.
      if (unsettled_.contains(name) || follows_unsettled(name)) continue;
      Verdict verdict = decide(registry, placement_, name, context_);
      count(verdict.trouble);
      if (verdict.trouble == Trouble::circle) {
        circles_.insert(name);
      } else {
        circles_.erase(name);
      }
      if (verdict.waiting.empty()) {
        waiting_.erase(name);
      } else if (std::string& said = waiting_[name]; said != verdict.waiting) {
        said = verdict.waiting;
        log(LogLevel::info, "waits: " + said, name);
      }
      if (verdict.decisions.empty()) continue;
      std::vector<Expected> expected;
      for (const Decision& decision : verdict.decisions) {
        if (decision.forget_target) continue;
        expected.push_back({decision.machine, decision.record.state != UnitState::inactive});
        hold_place(registry, name, expected.back());
        log(LogLevel::info,
            fmt::format("{}: {}", to_string(decision.record.state), decision.record.reason),
            decision.unit, decision.machine);
      }
      unsettled_[name] = {std::move(expected), unit_revision(registry, name), 0};
      groups.push_back(std::move(verdict.decisions));
    }
    send(registry, std::move(groups));
  }
}

void Engine::hold_place(const Registry& registry, const std::string& name,
                        const Expected& expected) {
  const MachineLoad& there = placement_.on(expected.machine);
  Occupant occupant = occupant_now(registry.unit(name), there.occupant(name), expected.assigned);
  dirty_replaced(expected.machine, name, occupant);
  placement_.put(expected.machine, name, std::move(occupant));
}

void Engine::dirty_replaced(const std::string& machine, const std::string& name,
                            const Occupant& occupant) {
  if (!occupant.assigned) return;
  for (auto& replaced : placement_.on(machine).replaced_by(name, occupant.replaces)) {
    dirty_.insert(std::move(replaced));
  }
}

void Engine::send(const Registry& registry, std::vector<std::vector<Decision>> groups) {
  for (PlannedTransaction& planned :
       plan_transactions(registry, context_.term, std::move(groups))) {
    const std::uint64_t id = ++last_id_;
    const EngineCounts::Tasks tasks = tasks_of(registry, planned.decisions);
    counts_.tried += tasks;
    effects_.emplace_back(CommitEffect{id, planned.transaction});
    in_flight_[id] = {
        std::move(planned.transaction), std::move(planned.units), /*barrier=*/false, tasks, {}};
  }
}

void Engine::count(Trouble trouble) {
  if (trouble == Trouble::machine_away) ++counts_.machine_away;
  if (trouble == Trouble::machine_refuses) ++counts_.machine_refuses;
  if (trouble == Trouble::no_machine) ++counts_.no_machine;
}

void Engine::send_barrier(const Registry& registry, std::set<std::string> units) {
  const Keys& keys = registry.keys();
  Transaction barrier;
  barrier.compares.push_back({{keys.leader(), false},
                              Compare::Field::create_revision,
                              Compare::Relation::equal,
                              context_.term});
  barrier.operations.emplace_back(Put{keys.barrier(), "{\"v\":1}", 0});
  const std::uint64_t id = ++last_id_;
  effects_.emplace_back(CommitEffect{id, barrier});
  in_flight_[id] = {std::move(barrier), std::move(units), /*barrier=*/true, {}, {}};
}

void Engine::resend_unknown(Time now) {
  for (auto& [id, sent] : in_flight_) {
    if (!sent.resend_at || *sent.resend_at > now) continue;
    sent.resend_at.reset();
    counts_.tried += sent.tasks;
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
