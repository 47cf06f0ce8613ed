#include "engine/transactions.h"

#include <map>
#include <utility>

#include "base/limits.h"

namespace fleet {

namespace {

using Field = Compare::Field;
using Relation = Compare::Relation;

// The comparisons of a transaction, each once.
using Compares = std::map<std::pair<std::string, bool>, Compare>;

void add_compare(Compares& compares, Compare compare) {
  compares.emplace(std::pair{compare.range.key, compare.range.prefix}, std::move(compare));
}

void add_unchanged(Compares& compares, std::string key, Revision mod_revision) {
  add_compare(compares,
              {{std::move(key), false}, Field::mod_revision, Relation::equal, mod_revision});
}

void add_compares(Compares& compares, const Registry& registry, const Decision& decision) {
  const Keys& keys = registry.keys();
  const Unit* unit = registry.unit(decision.unit);
  add_unchanged(compares, keys.unit(decision.unit), unit ? unit->unit.mod_revision : 0);
  add_unchanged(compares, keys.target(decision.unit), unit ? unit->target.mod_revision : 0);
  if (decision.forget_target) return;

  Revision record = 0;
  if (unit != nullptr) {
    if (const auto found = unit->schedule.find(decision.machine); found != unit->schedule.end()) {
      record = found->second.mod_revision;
    }
  }
  add_unchanged(compares, keys.schedule(decision.machine, decision.unit), record);

  const Machine* machine = registry.machine(decision.machine);
  add_unchanged(compares, keys.machine(decision.machine),
                machine ? machine->presence.mod_revision : 0);
  // No metadata of the machine newer than what was decided from. (A removal leaves a value behind,
  // so that it shows here too.)
  add_compare(compares, {{keys.metadata_of(decision.machine), true},
                         Field::mod_revision,
                         Relation::less,
                         registry.revision() + 1});
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

  void add(const std::vector<Decision>& group) {
    Compares compares = compares_;
    std::vector<Operation> operations;
    std::size_t bytes = 0;
    for (const Decision& decision : group) {
      add_compares(compares, registry_, decision);
      operations.push_back(operation_of(registry_.keys(), decision));
      bytes += size_of(operations.back());
    }
    const bool fits = compares.size() <= limits::kTransactionOperations &&
                      current_.transaction.operations.size() + operations.size() <=
                          limits::kTransactionOperations &&
                      bytes_ + bytes <= limits::kTransactionBytes;
    if (!fits && !current_.decisions.empty()) {
      finish();
      return add(group);
    }
    if (!fits && group.size() > 1) return add_one_by_one(group);
    compares_ = std::move(compares);
    bytes_ += bytes;
    for (auto& operation : operations) {
      current_.transaction.operations.push_back(std::move(operation));
    }
    for (const Decision& decision : group) {
      current_.decisions.push_back(decision);
      current_.units.insert(decision.unit);
    }
  }

  std::vector<PlannedTransaction> take() {
    finish();
    return std::move(done_);
  }

 private:
  void add_one_by_one(const std::vector<Decision>& group) {
    for (const Decision& decision : group) add({decision});
  }

  void begin() {
    current_ = {};
    bytes_ = 0;
    compares_.clear();
    // The fence: the leader key is still the one that this term began with.
    add_compare(
        compares_,
        {{registry_.keys().leader(), false}, Field::create_revision, Relation::equal, term_});
  }

  void finish() {
    if (current_.decisions.empty()) return;
    for (auto& [key, compare] : compares_) current_.transaction.compares.push_back(compare);
    done_.push_back(std::move(current_));
    begin();
  }

  const Registry& registry_;
  Revision term_;
  PlannedTransaction current_;
  Compares compares_;
  std::size_t bytes_ = 0;
  std::vector<PlannedTransaction> done_;
};

}  // namespace

std::vector<PlannedTransaction> plan_transactions(
    const Registry& registry, Revision term, const std::vector<std::vector<Decision>>& groups) {
  Packer packer(registry, term);
  for (const auto& group : groups) packer.add(group);
  return packer.take();
}

}  // namespace fleet
