#include "engine/transactions.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "base/limits.h"

namespace fleet {

namespace {

using Field = Compare::Field;
using Relation = Compare::Relation;

// The machines of a unit that are compared one by one.
constexpr std::size_t kMachinesCompared = 16;

Compare unchanged(std::string key, Revision mod_revision) {
  return {{std::move(key), false}, Field::mod_revision, Relation::equal, mod_revision};
}

// Of the decision about a unit on a machine; 0: there is none.
Revision record_revision(const Unit* unit, const std::string& machine) {
  if (unit == nullptr) return 0;
  const auto found = unit->schedule.find(machine);
  return found == unit->schedule.end() ? 0 : found->second.mod_revision;
}

bool gives_place(const Decision& decision) {
  return !decision.forget_target && decision.record.state != UnitState::inactive;
}

Operation operation_of(const Keys& keys, const Decision& decision) {
  if (decision.forget_target) return Delete{{keys.target(decision.unit), false}};
  return Put{keys.schedule(decision.machine, decision.unit), encode(decision.record), 0};
}

std::size_t size_of(const Operation& operation) {
  if (const auto* put = std::get_if<Put>(&operation)) return put->key.size() + put->value.size();
  return std::get<Delete>(operation).range.key.size();
}

class Packer {
 public:
  Packer(const Registry& registry, Revision term) : registry_(registry), term_(term) { begin(); }

  void add(std::vector<Decision> group) {
    std::vector<Operation> operations;
    std::size_t bytes = 0;
    for (const Decision& decision : group) {
      operations.push_back(operation_of(registry_.keys(), decision));
      bytes += size_of(operations.back());
    }
    if (!fits(group, bytes) || changes_what_it_rests_on(group)) finish();
    if (!fits(group, bytes) && group.size() > 1) return add_one_by_one(std::move(group));
    bytes_ += bytes;
    std::ranges::move(operations, std::back_inserter(current_.transaction.operations));
    for (Decision& decision : group) {
      add_compares(decision);
      current_.decisions.push_back(std::move(decision));
    }
  }

  std::vector<PlannedTransaction> take() {
    finish();
    return std::move(done_);
  }

 private:
  void add_one_by_one(std::vector<Decision> group) {
    for (Decision& decision : group) {
      std::vector<Decision> alone;
      alone.push_back(std::move(decision));
      add(std::move(alone));
    }
  }

  bool fits(const std::vector<Decision>& group, std::size_t bytes) const {
    std::size_t compares = current_.transaction.compares.size();
    for (const Decision& decision : group) {
      if (&decision == &group.front() && !current_.units.contains(decision.unit)) compares += 2;
      if (!decision.forget_target) compares += machines_.contains(decision.machine) ? 1 : 3;
      if (gives_place(decision)) {
        const Unit& unit = *registry_.unit(decision.unit);
        compares += 1 + unit.unit->requirements.machine_of.size();
        if (!unit.unit->requirements.global) {
          compares += std::min(unit.schedule.size(), kMachinesCompared + 1);
        }
      }
    }
    return compares <= limits::kTransactionOperations &&
           current_.transaction.operations.size() + group.size() <=
               limits::kTransactionOperations &&
           bytes_ + bytes <= limits::kTransactionBytes;
  }

  // Whether a decision of `group` is about what a unit follows whose place the transaction gives:
  // then that place was right only before.
  bool changes_what_it_rests_on(const std::vector<Decision>& group) const {
    return std::ranges::any_of(group, [this](const Decision& decision) {
      return followed_.contains({decision.machine, decision.unit});
    });
  }

  // Each key that the decision was made from, unless the transaction compares it already.
  void add_compares(const Decision& decision) {
    const Keys& keys = registry_.keys();
    std::vector<Compare>& compares = current_.transaction.compares;
    const Unit* unit = registry_.unit(decision.unit);
    if (current_.units.insert(decision.unit).second) {
      compares.push_back(unchanged(keys.unit(decision.unit), unit ? unit->unit.mod_revision : 0));
      compares.push_back(
          unchanged(keys.target(decision.unit), unit ? unit->target.mod_revision : 0));
    }
    if (decision.forget_target) return;
    if (gives_place(decision)) add_what_it_rests_on(decision);
    compares.push_back(unchanged(keys.schedule(decision.machine, decision.unit),
                                 record_revision(unit, decision.machine)));

    if (!machines_.insert(decision.machine).second) return;
    const Machine* machine = registry_.machine(decision.machine);
    compares.push_back(
        unchanged(keys.machine(decision.machine), machine ? machine->presence.mod_revision : 0));
    // No metadata of the machine newer than what was decided from. (A removal leaves a value
    // behind, so that it shows here too.)
    compares.push_back({{keys.metadata_of(decision.machine), true},
                        Field::mod_revision,
                        Relation::less,
                        registry_.revision() + 1});
  }

  // What the other units ask for, the places of those that the unit follows, and that machines
  // which are lost and were ordered to let go of it are still away: one that is back lets go first.
  void add_what_it_rests_on(const Decision& decision) {
    const Keys& keys = registry_.keys();
    std::vector<Compare>& compares = current_.transaction.compares;
    if (!std::exchange(compares_requirements_, true)) {
      compares.push_back(unchanged(keys.requirements(), registry_.requirements_changed()));
    }
    const Unit& unit = *registry_.unit(decision.unit);
    if (!unit.unit->requirements.global) compare_away(unit, decision.machine);
    for (const std::string& leader : unit.unit->requirements.machine_of) {
      if (!followed_.emplace(decision.machine, leader).second) continue;
      compares.push_back(unchanged(keys.schedule(decision.machine, leader),
                                   record_revision(registry_.unit(leader), decision.machine)));
    }
  }

  // Those machines of the unit that are away still are. Machines that never return leave records
  // behind: of many it is compared that none has registered since, whichever it is.
  void compare_away(const Unit& unit, const std::string& chosen) {
    const Keys& keys = registry_.keys();
    std::vector<Compare>& compares = current_.transaction.compares;
    if (unit.schedule.size() > kMachinesCompared) {
      if (std::exchange(compares_machines_, true)) return;
      compares.push_back({{keys.machine(""), true},
                          Field::mod_revision,
                          Relation::less,
                          registry_.revision() + 1});
      return;
    }
    for (const auto& [other, record] : unit.schedule) {
      const Machine* machine = registry_.machine(other);
      const bool away = machine == nullptr || !machine->is_present();
      if (!away || other == chosen || !machines_.insert(other).second) continue;
      compares.push_back(unchanged(keys.machine(other), 0));
    }
  }

  void begin() {
    current_ = {};
    bytes_ = 0;
    machines_.clear();
    followed_.clear();
    compares_requirements_ = false;
    compares_machines_ = false;
    current_.transaction.compares.reserve(limits::kTransactionOperations);
    // The fence: the leader key is still the one that this term began with.
    current_.transaction.compares.push_back(
        {{registry_.keys().leader(), false}, Field::create_revision, Relation::equal, term_});
  }

  void finish() {
    if (current_.decisions.empty()) return;
    done_.push_back(std::move(current_));
    begin();
  }

  const Registry& registry_;
  Revision term_;
  PlannedTransaction current_;
  std::set<std::string> machines_;                          // that the current transaction compares
  std::set<std::pair<std::string, std::string>> followed_;  // machine and unit, the same
  bool compares_requirements_ = false;
  bool compares_machines_ = false;
  std::size_t bytes_ = 0;
  std::vector<PlannedTransaction> done_;
};

}  // namespace

std::vector<PlannedTransaction> plan_transactions(const Registry& registry, Revision term,
                                                  std::vector<std::vector<Decision>> groups) {
  Packer packer(registry, term);
  for (auto& group : groups) packer.add(std::move(group));
  return packer.take();
}

}  // namespace fleet
