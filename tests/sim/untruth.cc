// Whether what is said about a unit without a place is so.

#include <algorithm>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "tests/sim/api_judge.h"
#include "tests/sim/obstacles.h"
#include "unit/unit_name.h"

namespace fleet {

namespace {

// The text between `before` and `after` in `text`; nothing if it is not of that form.
std::optional<std::string> between(const std::string& text, std::string_view before,
                                   std::string_view after) {
  if (!text.starts_with(before)) return std::nullopt;
  const std::size_t end = text.find(after, before.size());
  if (end == std::string::npos) return std::nullopt;
  return text.substr(before.size(), end - before.size());
}

class Truth {
 public:
  Truth(const Registry& registry, const UnitStatusEntity& said, int mass_loss_percent)
      : registry_(registry),
        said_(said),
        unit_(*registry.unit(said.name)),
        mass_loss_percent_(mass_loss_percent) {}

  std::string untruth() const {
    for (const RefusalEntity& refusal : said_.unplaceable) {
      if (!refuses(refusal.machine_id, refusal.reason, /*stays=*/false)) {
        return fmt::format("{} does not refuse it with \"{}\"", refusal.machine_id, refusal.reason);
      }
    }
    if (said_.reason.empty()) return unsaid();
    const std::optional<bool> true_or_not = is_true(said_.reason);
    if (!true_or_not) return "nobody knows how to tell whether that is so";
    return *true_or_not ? "" : "that is not so";
  }

 private:
  bool is_present(const std::string& machine) const {
    const Machine* known = registry_.machine(machine);
    return known != nullptr && known->is_present();
  }
  bool is_leaving(const std::string& machine) const {
    return is_present(machine) && registry_.machine(machine)->presence.value &&
           registry_.machine(machine)->presence->leaving;
  }
  bool is_wanted() const { return unit_.is_known() && unit_.desired() != UnitState::inactive; }

  bool refuses(const std::string& machine, const std::string& why, bool stays) const {
    if (!unit_.is_known()) return false;
    return std::ranges::any_of(
        obstacles(registry_, said_.name, machine, stays),
        [&](const std::string& obstacle) { return why.starts_with(obstacle); });
  }

  bool all_refuse() const {
    return std::ranges::all_of(registry_.machines(), [&](const auto& it) {
      return !it.second.is_present() ||
             !obstacles(registry_, said_.name, it.first, /*stays=*/false).empty();
    });
  }

  // Without a word it must be where it should be.
  std::string unsaid() const {
    if (!is_wanted() || !unit_.unreadable().empty()) return {};
    if (unit_.unit->requirements.global) return {};
    const std::string target = registry_.target_machine(unit_);
    if (target.empty()) return "it has no place, and nothing is said";
    return is_present(target) ? "" : "its machine is away, and nothing is said";
  }

  bool outage() const {
    std::size_t present = 0;
    std::size_t missing = 0;
    for (const auto& [id, machine] : registry_.machines()) {
      if (machine.is_present()) {
        ++present;
        continue;
      }
      missing += std::ranges::any_of(machine.units, [&, &on = id](const std::string& name) {
        const Unit& unit = *registry_.unit(name);
        return unit.schedule.at(on).value && keeps_place(unit.schedule.at(on)) &&
               !(unit.unit.value && unit.unit->requirements.global);
      });
    }
    return missing >= 2 && mass_loss_percent_ < 100 &&
           missing * 100 > (present + missing) * static_cast<std::size_t>(mass_loss_percent_);
  }

  // Nothing: there is no telling.
  std::optional<bool> is_true(std::string reason) const {
    const auto begins = [&](std::string_view with) { return reason.starts_with(with); };
    if (begins("left as it is on machine ")) return true;
    if (begins("left as it is, because a record")) return !unit_.unreadable().empty();
    if (begins("left as it is: its unit file has vanished")) return !unit_.unit.exists();
    if (begins("registry key ")) return !unit_.unreadable().empty();
    if (begins("it is a template")) return split_unit_name(said_.name).is_template();
    if (begins("it replaces units that replace it")) {
      return !unit_.unit->requirements.replaces.empty();
    }
    if (const auto leader = between(reason, "it replaces ", ", which it follows (MachineOf)")) {
      return any_matches(unit_.unit->requirements.replaces, *leader) && follows(*leader);
    }
    if (begins("the leader is about to act")) return registry_.leader().exists();
    if (begins("no engine leads")) return !registry_.leader().exists();
    if (begins("it is global and no machine")) return all_refuse();
    if (const auto machine = between(reason, "it moves once machine ", " has stopped it")) {
      return is_present(*machine) && has_something_of_it(*machine);
    }
    if (const auto machine = between(reason, "machine ", " is away and may not have stopped")) {
      return !is_present(*machine) && has_something_of_it(*machine);
    }
    return is_true_of_its_machine(std::move(reason));
  }

  std::optional<bool> is_true_of_its_machine(std::string reason) const {
    const std::string target = registry_.target_machine(unit_);
    if (const auto machine = between(reason, "its machine ", " is being stopped and hands")) {
      return *machine == target && is_leaving(target);
    }
    // Several machines can have it, as when it was global before.
    if (const auto machine = between(reason, "machine ", " "); machine && is_assigned(*machine)) {
      const auto why =
          between(reason, "machine " + *machine + " ", "; it moves once it has stopped there");
      if (why) return refuses(*machine, *why, /*stays=*/true);
    }
    if (const auto machine = between(reason, "its machine ", " is away")) {
      if (*machine != target || is_present(target)) return false;
      const std::string away = "its machine " + target + " is away";
      if (reason.starts_with(away + " together with so many")) return outage();
      if (reason.starts_with(away + "; it is moved if")) return true;
      if (!reason.starts_with(away + " and ")) return std::nullopt;
      reason = reason.substr(away.size() + 5);
    }
    if (reason == "no machine may run it") return all_refuse();
    if (reason == "there is no machine to run it") {
      return std::ranges::all_of(registry_.machines(), [&](const auto& it) {
        return !it.second.presence.value || is_leaving(it.first);
      });
    }
    return std::nullopt;
  }

  bool is_assigned(const std::string& machine) const {
    const auto found = unit_.schedule.find(machine);
    return found != unit_.schedule.end() && keeps_place(found->second);
  }

  // Itself or through others.
  bool follows(const std::string& leader) const {
    std::set<std::string> followed = {said_.name};
    for (std::size_t before = 0; before != followed.size();) {
      before = followed.size();
      for (const std::string& name : std::set<std::string>(followed)) {
        const Unit* unit = registry_.unit(name);
        if (unit == nullptr || !unit->unit.value) continue;
        const auto& leaders = unit->unit->requirements.machine_of;
        followed.insert(leaders.begin(), leaders.end());
      }
    }
    return leader != said_.name && followed.contains(leader);
  }

  bool has_something_of_it(const std::string& machine) const {
    return unit_.schedule.contains(machine) || unit_.states.contains(machine);
  }

  const Registry& registry_;
  const UnitStatusEntity& said_;
  const Unit& unit_;
  int mass_loss_percent_;
};

}  // namespace

std::string untruth(const Registry& registry, const UnitStatusEntity& said, int mass_loss_percent) {
  return Truth(registry, said, mass_loss_percent).untruth();
}

}  // namespace fleet
