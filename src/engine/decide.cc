#include "engine/decide.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "unit/unit_name.h"

namespace fleet {

namespace {

class Decider {
 public:
  Decider(const Registry& registry, const Placement& placement, const std::string& name,
          const Unit& unit, const DecideContext& context)
      : registry_(registry), placement_(placement), name_(name), unit_(unit), context_(context) {}

  Verdict run() {
    if (std::string why = unit_.unreadable(); !why.empty()) {
      return wait("left as it is, because a record of it cannot be read: " + why);
    }
    if (!unit_.is_known()) return settle_unknown();
    if (unit_.desired() == UnitState::inactive) {
      withdraw_everywhere("its desired state is inactive");
      return std::move(verdict_);
    }
    if (split_unit_name(name_).is_template()) {
      withdraw_everywhere("it is a template");
      return wait("it is a template: start an instance of it, such as " + example_instance());
    }
    return unit_.unit->requirements.global ? settle_global() : settle_single();
  }

 private:
  Verdict wait(std::string why) {
    verdict_.waiting = std::move(why);
    return std::move(verdict_);
  }

  std::string example_instance() const {
    const UnitName parts = split_unit_name(name_);
    return parts.prefix + "@1" + parts.suffix;
  }

  bool is_present(const std::string& machine) const {
    const Machine* known = registry_.machine(machine);
    return known != nullptr && known->is_present();
  }

  bool is_leaving(const std::string& machine) const {
    const Machine* known = registry_.machine(machine);
    return known != nullptr && known->presence.value && known->presence->leaving;
  }

  std::optional<std::string> refusal_of(const std::string& machine,
                                        Stay stay = Stay::arriving) const {
    const Machine* known = registry_.machine(machine);
    if (known == nullptr) return "is not there";
    return refusal(name_, unit_.unit->requirements, machine, *known, placement_.on(machine), stay);
  }

  std::string unreadable_machine(const std::string& machine) const {
    const Machine* known = registry_.machine(machine);
    return known == nullptr ? std::string() : unreadable(*known);
  }

  // A machine reports the unit as loaded, by its own lease.
  bool reports_unit(const std::string& machine) const {
    const auto found = unit_.states.find(machine);
    return found != unit_.states.end() && found->second.value &&
           found->second->current != UnitState::inactive && is_present(machine);
  }

  void assign(const std::string& machine, std::string reason, std::vector<std::string> after = {}) {
    ScheduleRecord record;
    record.after = std::move(after);
    record.state = unit_.desired();
    record.text = unit_.unit->text;
    record.hash = unit_.unit->hash;
    record.restarts = unit_.target.value ? unit_.target->restarts : 0;
    record.term = context_.term;
    record.reason = std::move(reason);
    verdict_.decisions.push_back({name_, machine, std::move(record)});
  }

  void withdraw(const std::string& machine, std::string reason) {
    ScheduleRecord record;
    record.state = UnitState::inactive;
    record.term = context_.term;
    record.reason = std::move(reason);
    verdict_.decisions.push_back({name_, machine, std::move(record)});
  }

  // Orders the unit off every machine that has it assigned, or that runs it without a record.
  void withdraw_everywhere(const std::string& reason) {
    for (const auto& [machine, record] : unit_.schedule) {
      if (record->state != UnitState::inactive) withdraw(machine, reason);
    }
    for (const auto& [machine, state] : unit_.states) {
      if (!unit_.schedule.contains(machine) && reports_unit(machine)) withdraw(machine, reason);
    }
  }

  // Brings an assigned record up to what the user wants now.
  void keep_up_to_date(const std::string& machine, const ScheduleRecord& record) {
    const std::uint64_t restarts = unit_.target.value ? unit_.target->restarts : 0;
    if (record.hash != unit_.unit->hash) {
      // What the new file does not replace may stay, so that waiting for it could be for ever.
      std::vector<std::string> after = record.after;
      std::erase_if(after, [this](const std::string& other) {
        return !matches_any(unit_.unit->requirements.replaces, other);
      });
      assign(machine, "its unit file was replaced", std::move(after));
    } else if (record.state != unit_.desired()) {
      assign(machine, fmt::format("its desired state is {}", to_string(unit_.desired())),
             record.after);
    } else if (record.restarts != restarts) {
      assign(machine, "a restart was asked for", record.after);
    }
  }

  // The user's unit is not there.
  Verdict settle_unknown() {
    if (!unit_.target.value || !unit_.target->destroyed) {
      if (unit_.schedule.empty() && unit_.states.empty()) return {};
      return all_withdrawn() ? Verdict{}
                             : wait(
                                   "left as it is: its unit file has vanished from the registry "
                                   "without a destroy");
    }
    withdraw_everywhere("it was destroyed");
    if (verdict_.decisions.empty()) {
      verdict_.decisions.push_back({name_, {}, {}, /*forget_target=*/true});
    }
    return std::move(verdict_);
  }

  bool all_withdrawn() const {
    for (const auto& [machine, record] : unit_.schedule) {
      if (record->state != UnitState::inactive) return false;
    }
    return true;
  }

  Verdict settle_global() {
    for (const auto& [machine, record] : unit_.schedule) {
      if (record->state == UnitState::inactive) continue;
      // A machine that is away keeps its global units as they are: it may come back with them
      // running. Whether it may run what they are by now shows when it is back.
      if (!is_present(machine) || is_leaving(machine) || !unreadable_machine(machine).empty()) {
        continue;
      }
      if (const auto why_not = refusal_of(machine, Stay::staying)) {
        verdict_.trouble = Trouble::machine_refuses;
        withdraw(machine, "the machine " + *why_not);
      } else {
        keep_up_to_date(machine, record.value.value());
      }
    }
    if (std::string why = replaces_what_it_follows(); !why.empty()) {
      verdict_.trouble = Trouble::circle;
      return wait(std::move(why));
    }
    for (const OpenMachine& open : placement_.open_machines()) {
      const std::string& machine = *open.id;
      const auto found = unit_.schedule.find(machine);
      const bool assigned =
          found != unit_.schedule.end() && found->second->state != UnitState::inactive;
      if (assigned) continue;
      if (!refusal_of(machine)) {
        assign(machine, "it is global");
      } else if (found == unit_.schedule.end() && reports_unit(machine)) {
        withdraw(machine, "the machine " + *refusal_of(machine));
      }
    }
    if (verdict_.decisions.empty() && unit_.schedule.empty()) {
      verdict_.trouble = Trouble::no_machine;
      return wait("it is global and no machine may run it");
    }
    return std::move(verdict_);
  }

  // The machine that keeps the unit. Several have it when it was global before: then one that is
  // there and may run it comes first, so that no more is stopped than must be.
  std::string assigned_machine() const {
    std::vector<std::string> assigned;
    for (const auto& [machine, record] : unit_.schedule) {
      if (record->state != UnitState::inactive) assigned.push_back(machine);
    }
    if (assigned.empty()) return {};
    if (assigned.size() == 1) return assigned.front();
    return *std::ranges::max_element(assigned, {}, [this](const std::string& machine) {
      return std::pair(is_present(machine), !refusal_of(machine, Stay::staying));
    });
  }

  Verdict settle_single() {
    const std::string assigned = assigned_machine();
    if (assigned.empty()) return place({});
    // One machine at a time is the rule.
    const std::string why = fmt::format("it is assigned to {}", assigned);
    for (const auto& [machine, record] : unit_.schedule) {
      if (record->state != UnitState::inactive && machine != assigned) withdraw(machine, why);
    }
    if (is_present(assigned)) {
      for (const auto& [machine, state] : unit_.states) {
        if (!unit_.schedule.contains(machine) && reports_unit(machine)) withdraw(machine, why);
      }
    }
    return settle_assigned(assigned);
  }

  Verdict settle_assigned(const std::string& machine) {
    if (!is_present(machine)) {
      if (context_.dead.contains(machine)) return place(machine);
      return wait(
          context_.held == Held::brake
              ? fmt::format(
                    "its machine {} is away together with so many others that it looks like an "
                    "outage: nothing is moved until some return (engine_mass_loss_percent)",
                    machine)
              : fmt::format("its machine {} is away; it is moved if the machine does not return",
                            machine));
    }
    if (is_leaving(machine)) {
      return wait(fmt::format("its machine {} is being stopped and hands it over", machine));
    }
    if (std::string why = unreadable_machine(machine); !why.empty()) {
      return wait(
          fmt::format("left as it is on machine {}, because a record of that cannot be "
                      "read: {}",
                      machine, why));
    }
    if (const auto why_not = refusal_of(machine, Stay::staying)) {
      verdict_.trouble = Trouble::machine_refuses;
      withdraw(machine, "the machine " + *why_not);
      return wait(
          fmt::format("machine {} {}; it moves once it has stopped there", machine, *why_not));
    }
    keep_up_to_date(machine, unit_.schedule.at(machine).value.value());
    return std::move(verdict_);
  }

  // Finds a machine; `lost` is the machine that had it and is dead, or empty.
  Verdict place(const std::string& lost) {
    if (std::string circle = replacing_circle(); !circle.empty()) {
      verdict_.trouble = Trouble::circle;
      return wait(std::move(circle));
    }
    if (std::string why = replaces_what_it_follows(); !why.empty()) {
      verdict_.trouble = Trouble::circle;
      return wait(std::move(why));
    }
    const auto choice = choose();
    // Without a place elsewhere it stays assigned to the lost machine, which goes on running it if
    // it is only cut off, and takes it up again when it returns.
    if (!choice) {
      verdict_.trouble = Trouble::no_machine;
      return wait(placed_nowhere(lost));
    }
    if (choice->waits_for_stop) {
      return wait(
          is_present(choice->machine)
              ? fmt::format("it moves once machine {} has stopped it", choice->machine)
              : fmt::format("machine {} is away and may not have stopped it yet", choice->machine));
    }
    // Wherever it goes, it starts after those whose place it takes.
    std::vector<std::string> after =
        placement_.on(choice->machine).replaced_by(name_, unit_.unit->requirements.replaces);
    if (!lost.empty()) {
      verdict_.trouble = Trouble::machine_away;
      withdraw(lost, fmt::format("the machine was lost; it moves to {}", choice->machine));
      assign(choice->machine, fmt::format("machine {} was lost", lost), std::move(after));
    } else {
      assign(choice->machine, choice->reason, std::move(after));
    }
    return std::move(verdict_);
  }

  struct Choice {
    std::string machine;
    std::string reason;
    bool waits_for_stop = false;
  };

  // The units that `unit` replaces, wherever they are, if they are wanted at all.
  std::vector<std::string> wanted_victims(const std::string& name) const {
    std::vector<std::string> victims;
    const Unit* unit = registry_.unit(name);
    if (unit == nullptr || !unit->is_known() || unit->unit->requirements.replaces.empty()) {
      return victims;
    }
    for (const auto& [other, candidate] : registry_.units()) {
      if (other == name || !candidate.is_known()) continue;
      if (candidate.desired() == UnitState::inactive) continue;
      if (matches_any(unit->unit->requirements.replaces, other)) victims.push_back(other);
    }
    return victims;
  }

  // Units that replace each other in a circle would drive each other from machine to machine for
  // ever, so the later one gets no place. Returns why, or nothing.
  // A circle does no harm as long as none of the others has a place.
  std::string replacing_circle() const {
    if (unit_.unit->requirements.replaces.empty()) return {};
    const auto ahead = replaced_from(name_);
    if (!ahead.contains(name_)) return {};
    for (const auto& [other, before] : ahead) {
      if (other == name_ || !has_place(other)) continue;
      const auto back = replaced_from(other);
      if (!back.contains(name_)) continue;
      const std::string text = chain(ahead, name_, other, chain(back, other, name_, name_));
      return fmt::format("it replaces units that replace it in a circle ({})", text);
    }
    return {};
  }

  // A unit that drives off what it follows, itself or through others, would have to leave with it
  // again, and again.
  std::string replaces_what_it_follows() const {
    const Requirements& wants = unit_.unit->requirements;
    if (wants.replaces.empty()) return {};
    std::set<std::string> seen;
    std::vector<std::string> next = wants.machine_of;
    while (!next.empty()) {
      const std::string leader = std::move(next.back());
      next.pop_back();
      if (leader == name_ || !seen.insert(leader).second) continue;
      if (matches_any(wants.replaces, leader)) {
        return fmt::format("it replaces {}, which it follows (MachineOf)", leader);
      }
      const Unit* unit = registry_.unit(leader);
      if (unit == nullptr || !unit->unit.value) continue;
      std::ranges::copy(unit->unit->requirements.machine_of, std::back_inserter(next));
    }
    return {};
  }

  // Every unit that `start` replaces, that those replace and so on, each with the one before it.
  std::map<std::string, std::string> replaced_from(const std::string& start) const {
    std::map<std::string, std::string> before;
    std::vector<std::string> next = {start};
    while (!next.empty()) {
      const std::string at = std::move(next.back());
      next.pop_back();
      for (std::string& victim : wanted_victims(at)) {
        if (before.emplace(victim, at).second) next.push_back(std::move(victim));
      }
    }
    return before;
  }

  // `text`, which begins with `to`, with the way there from `from` before it.
  static std::string chain(const std::map<std::string, std::string>& before,
                           const std::string& from, const std::string& to, std::string text) {
    std::string at = to;
    do {
      at = before.at(at);
      text = at + " replaces " + text;
    } while (at != from);
    return text;
  }

  // Of several that were on a lost machine each would else wait for the others.
  bool has_place(const std::string& name) const {
    const std::string target = registry_.target_machine(*registry_.unit(name));
    return (!target.empty() && !context_.dead.contains(target)) || is_assigned_somewhere(name);
  }

  bool is_assigned_somewhere(const std::string& name) const {
    return std::ranges::any_of(placement_.machines_of(name), [&](const std::string& machine) {
      return !context_.dead.contains(machine) && placement_.on(machine).has_assigned(name);
    });
  }

  // Among the machines that run what it replaces, the least loaded that may run it.
  std::optional<Choice> choose_place_of_replaced() const {
    const auto& replaces = unit_.unit->requirements.replaces;
    if (replaces.empty()) return std::nullopt;
    for (const OpenMachine& open : placement_.open_machines()) {
      const std::string& machine = *open.id;
      const auto replaced = placement_.on(machine).replaced_by(name_, replaces);
      if (replaced.empty() || refusal_of(machine)) continue;
      return Choice{machine, "it takes the place of " + replaced.front(), false};
    }
    return std::nullopt;
  }

  std::optional<Choice> choose() {
    // A machine that still has the unit comes first: it keeps it if it may and is the only one,
    // else the unit waits until all have let go of it.
    std::vector<std::string> there;
    for (const auto& [machine, record] : unit_.schedule) {
      if (record->state != UnitState::inactive || context_.dead.contains(machine)) continue;
      there.push_back(machine);
    }
    if (there.size() == 1 && !refusal_of(there.front())) {
      return Choice{there.front(), "it is still there", false};
    }
    if (!there.empty()) return Choice{there.front(), {}, /*waits_for_stop=*/true};
    for (const auto& [machine, state] : unit_.states) {
      if (unit_.schedule.contains(machine) || !reports_unit(machine)) continue;
      if (!refusal_of(machine)) return Choice{machine, "it runs there already", false};
      withdraw(machine, "the machine " + *refusal_of(machine));
      return Choice{machine, {}, /*waits_for_stop=*/true};
    }
    if (auto choice = choose_place_of_replaced()) return choice;
    const std::string* machine = placement_.first_open(
        unit_.unit->requirements, [this](const std::string& id) { return !refusal_of(id); });
    if (machine == nullptr) return std::nullopt;
    return Choice{*machine, "the least loaded machine that may run it", false};
  }

  std::string placed_nowhere(const std::string& lost) const {
    const std::string before =
        lost.empty() ? std::string() : fmt::format("its machine {} is away and ", lost);
    return before + (placement_.open_machines().empty() ? "there is no machine to run it"
                                                        : "no machine may run it");
  }

  const Registry& registry_;
  const Placement& placement_;
  const std::string& name_;
  const Unit& unit_;
  const DecideContext& context_;
  Verdict verdict_;
};

}  // namespace

Verdict decide(const Registry& registry, const Placement& placement, const std::string& name,
               const DecideContext& context) {
  const Unit* unit = registry.unit(name);
  if (unit == nullptr) return {};
  return Decider(registry, placement, name, *unit, context).run();
}

namespace {

bool is_outage(std::size_t absent, std::size_t all, int percent) {
  return absent >= 2 && percent < 100 && absent * 100 > all * static_cast<std::size_t>(percent);
}

}  // namespace

bool MissingMachines::could_become_outage(std::size_t well, int percent) const {
  const std::size_t all = machines.size() + present;
  return is_outage(all - std::min(well, present), all, percent);
}

MissingMachines missing_machines(const Registry& registry, const std::set<std::string>& dead,
                                 int percent) {
  MissingMachines missing;
  for (const auto& [id, machine] : registry.machines()) {
    if (machine.is_present()) {
      ++missing.present;
      continue;
    }
    if (dead.contains(id)) continue;
    bool assigned = false;
    bool ordered_away = false;
    for (const auto& name : machine.units) {
      const Unit& unit = *registry.unit(name);
      const auto& record = unit.schedule.at(id);
      if (!record.value || (unit.unit.value && unit.unit->requirements.global)) continue;
      (record->state == UnitState::inactive ? ordered_away : assigned) = true;
      if (assigned) break;
    }
    if (assigned) {
      missing.machines.insert(id);
    } else if (ordered_away) {
      missing.emptied.insert(id);
    }
  }
  const std::size_t count = missing.machines.size();
  missing.outage = is_outage(count, count + missing.present, percent);
  return missing;
}

}  // namespace fleet
