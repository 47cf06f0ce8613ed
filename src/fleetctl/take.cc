// stop and unload: units taken down from a state.
#include <algorithm>

#include <fmt/format.h>

#include "fleetctl/units.h"
#include "fleetctl/wait.h"

namespace fleet::ctl {
namespace {

std::string bracketed(const std::vector<std::string>& names) {
  return fmt::format("[{}]", fmt::join(names, " "));
}

// The units among `names` that there are. Tells of those that there are not.
std::vector<UnitStatusEntity> existing(Context& context, const StatusEntity& status,
                                       const std::vector<std::string>& names) {
  std::vector<UnitStatusEntity> units;
  std::vector<std::string> unknown;
  for (const std::string& name : names) {
    const auto found = std::ranges::find(status.units, name, &UnitStatusEntity::name);
    if (found == status.units.end() || found->destroyed) {
      unknown.push_back(name);
    } else {
      units.push_back(*found);
    }
  }
  if (units.empty()) {
    context.err << "Units not found in registry\n";
  } else {
    for (const std::string& name : unknown) {
      context.err << "Unit " << name << " not found in registry, skipped\n";
    }
  }
  return units;
}

class Taker {
 public:
  Taker(Context& context, const Verb& verb)
      : context_(context),
        verb_(verb),
        goal_(verb.state == "loaded" ? Goal::stopped : Goal::inactive) {}

  int run(const std::vector<UnitStatusEntity>& units) {
    // All are looked at before the first is changed.
    for (const UnitStatusEntity& unit : units) {
      if (is_inactive(unit) && !unit.global) {
        context_.err << "Unable to stop unit " << unit.name << " in state inactive\n";
        return 1;
      }
    }
    std::vector<const UnitStatusEntity*> taken;
    std::vector<UnitEntity> changes;
    for (const UnitStatusEntity& unit : units) {
      if (is_inactive(unit)) continue;  // a global one, which 1.0 does not refuse
      const bool wanted = unit.desired_state == verb_.state;
      // By what is wanted, not by what is: a unit that waits for a machine can be taken back too.
      if (wanted && judge(&unit, goal_).kind == Judgement::Kind::reached) continue;
      taken.push_back(&unit);
      if (wanted) continue;
      UnitEntity& change = changes.emplace_back();
      change.name = unit.name;
      change.desired_state = verb_.state;
    }
    std::size_t put = 0;
    const Status changed =
        context_.api.put_units(changes, [&put](std::size_t index) { put = index + 1; });
    for (const UnitStatusEntity* unit : taken) {
      if (!changed && unit->name == changes[put].name) return failed(unit->name, changed.error());
      announce(*unit);
    }
    context_.out.flush();
    if (context_.flags.flag("no-block")) return 0;
    if (const Status done = wait_for(context_, waiting_, goal_); !done) {
      context_.err << "Error waiting for units: " << done.error().message << "\n";
      context_.err << fmt::format("Failed to {} units {}. err: {}\n", verb_.word, bracketed(names_),
                                  done.error().message);
      return 1;
    }
    context_.err << fmt::format("Successfully {} units {}.\n", verb_.past, bracketed(names_));
    return 0;
  }

 private:
  bool is_inactive(const UnitStatusEntity& unit) const {
    return goal_ == Goal::stopped && unit.desired_state == "inactive";
  }

  void announce(const UnitStatusEntity& unit) {
    waiting_.push_back(unit.name);
    if (unit.global) {
      context_.out << "Triggered global unit " << unit.name << " " << verb_.word << "\n";
      return;
    }
    names_.push_back(unit.name);
    if (context_.flags.flag("no-block")) {
      context_.out << "Triggered unit " << unit.name << " " << verb_.word << "\n";
    }
  }

  int failed(const std::string& name, const Error& error) {
    context_.err << fmt::format("Failed to {} units [{}]. err: {}\n", verb_.word, name,
                                error.message);
    return 1;
  }

  Context& context_;
  const Verb& verb_;
  const Goal goal_;
  std::vector<std::string> waiting_;
  std::vector<std::string> names_;  // of those that are not global
};

}  // namespace

int take_units(Context& context, const Verb& verb) {
  if (context.args.empty()) {
    context.err << "No units given\n";
    return 0;
  }
  const std::vector<std::string> names = unit_names(context.args);
  const auto status = context.api.status(names);
  if (!status) {
    context.err << "Error retrieving list of units from repository: " << status.error().message
                << "\n";
    return 1;
  }
  const auto units = existing(context, *status, names);
  return units.empty() ? 0 : Taker(context, verb).run(units);
}

}  // namespace fleet::ctl
