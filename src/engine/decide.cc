#include "engine/decide.h"

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

  std::optional<std::string> refusal_of(const std::string& machine) const {
    const Machine* known = registry_.machine(machine);
    if (known == nullptr) return "is not there";
    return refusal(name_, unit_.unit->requirements, machine, *known, placement_.on(machine));
  }

  // A machine reports the unit as loaded, by its own lease.
  bool reports_unit(const std::string& machine) const {
    const auto found = unit_.states.find(machine);
    return found != unit_.states.end() && found->second.value &&
           found->second->current != UnitState::inactive && is_present(machine);
  }

  void assign(const std::string& machine, std::string reason) {
    ScheduleRecord record;
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
      assign(machine, "its unit file was replaced");
    } else if (record.state != unit_.desired()) {
      assign(machine, fmt::format("its desired state is {}", to_string(unit_.desired())));
    } else if (record.restarts != restarts) {
      assign(machine, "a restart was asked for");
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
      // A machine that is away keeps its global units: it may come back with them running.
      if (is_leaving(machine)) continue;
      const auto why_not = is_present(machine) ? refusal_of(machine) : std::nullopt;
      if (why_not) {
        withdraw(machine, "the machine " + *why_not);
      } else {
        keep_up_to_date(machine, record.value.value());
      }
    }
    for (const auto& [load, machine] : placement_.open_machines()) {
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
      return wait("it is global and no machine may run it");
    }
    return std::move(verdict_);
  }

  Verdict settle_single() {
    std::string assigned;
    for (const auto& [machine, record] : unit_.schedule) {
      if (record->state == UnitState::inactive) continue;
      if (assigned.empty()) {
        assigned = machine;
      } else {
        // Cannot come about through fleet; one machine at a time is the rule all the same.
        withdraw(machine, fmt::format("it is assigned to {} too", assigned));
      }
    }
    if (!assigned.empty()) return settle_assigned(assigned);
    return place({});
  }

  Verdict settle_assigned(const std::string& machine) {
    if (!is_present(machine)) {
      if (context_.dead.contains(machine)) return place(machine);
      if (context_.held == Held::brake) {
        return wait(fmt::format(
            "its machine {} is away together with so many others that it looks like an outage: "
            "nothing is moved until some return (engine_mass_loss_percent)",
            machine));
      }
      return wait(fmt::format("its machine {} is away; it is moved if the machine does not return",
                              machine));
    }
    if (is_leaving(machine)) {
      return wait(fmt::format("its machine {} is being stopped and hands it over", machine));
    }
    if (const auto why_not = refusal_of(machine)) {
      withdraw(machine, "the machine " + *why_not);
      return wait(
          fmt::format("machine {} {}; it moves once it has stopped there", machine, *why_not));
    }
    keep_up_to_date(machine, unit_.schedule.at(machine).value.value());
    return std::move(verdict_);
  }

  // Finds a machine; `lost` is the machine that had it and is dead, or empty.
  Verdict place(const std::string& lost) {
    const auto choice = choose();
    // Without a place elsewhere it stays assigned to the lost machine, which goes on running it if
    // it is only cut off, and takes it up again when it returns.
    if (!choice) return wait(placed_nowhere(lost));
    if (choice->waits_for_stop) {
      return wait(fmt::format("it moves once machine {} has stopped it", choice->machine));
    }
    if (!lost.empty()) {
      withdraw(lost, fmt::format("the machine was lost; it moves to {}", choice->machine));
      assign(choice->machine, fmt::format("machine {} was lost", lost));
    } else {
      assign(choice->machine, choice->reason);
    }
    return std::move(verdict_);
  }

  struct Choice {
    std::string machine;
    std::string reason;
    bool waits_for_stop = false;
  };

  std::optional<Choice> choose() {
    // A machine that still has the unit comes first: it keeps it if it may, else the unit waits
    // until that machine has let go of it.
    for (const auto& [machine, record] : unit_.schedule) {
      if (record->state != UnitState::inactive || !is_present(machine)) continue;
      if (refusal_of(machine)) return Choice{machine, {}, /*waits_for_stop=*/true};
      return Choice{machine, "it is still there", false};
    }
    for (const auto& [machine, state] : unit_.states) {
      if (unit_.schedule.contains(machine) || !reports_unit(machine)) continue;
      if (!refusal_of(machine)) return Choice{machine, "it runs there already", false};
      if (is_leaving(machine)) continue;  // stops it by itself
      withdraw(machine, "the machine " + *refusal_of(machine));
      return Choice{machine, {}, /*waits_for_stop=*/true};
    }
    for (const auto& [load, machine] : placement_.open_machines()) {
      if (!refusal_of(machine)) {
        return Choice{machine, "the least loaded machine that may run it", false};
      }
    }
    return std::nullopt;
  }

  std::string placed_nowhere(const std::string& lost) const {
    const std::string before =
        lost.empty() ? std::string() : fmt::format("its machine {} was lost and ", lost);
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

MissingMachines missing_machines(const Registry& registry, const std::set<std::string>& dead,
                                 int percent) {
  MissingMachines missing;
  std::size_t present = 0;
  for (const auto& [id, machine] : registry.machines()) {
    if (machine.is_present()) {
      ++present;
      continue;
    }
    if (dead.contains(id)) continue;
    for (const auto& name : machine.units) {
      const Unit& unit = *registry.unit(name);
      const auto& record = unit.schedule.at(id);
      const bool global = unit.unit.value && unit.unit->requirements.global;
      if (global || !record.value || record->state == UnitState::inactive) continue;
      missing.machines.insert(id);
      break;
    }
  }
  const std::size_t count = missing.machines.size();
  missing.outage = count >= 2 && percent < 100 &&
                   count * 100 > (count + present) * static_cast<std::size_t>(percent);
  return missing;
}

}  // namespace fleet
