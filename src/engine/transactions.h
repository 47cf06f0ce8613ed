// Turns decisions into transactions that take effect only if nothing they were decided from has
// changed: the leader is still the leader, the unit, its target, its record and the machine are
// what the registry showed, what it
// follows is where it was, and no unit asks for other neighbours. Pure.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "cluster/registry.h"
#include "engine/decide.h"
#include "store/store.h"

namespace fleet {

struct PlannedTransaction {
  Transaction transaction;
  std::vector<Decision> decisions;
  std::set<std::string> units;
};

// Packs groups of decisions into as few transactions as the store's limits allow
// (limits::kTransactionOperations, kTransactionBytes). A group, one unit's verdict, is kept
// together, unless it is a global unit's and larger than a transaction: then it is cut, which is
// harmless because each machine's record stands alone.
std::vector<PlannedTransaction> plan_transactions(const Registry& registry, Revision term,
                                                  std::vector<std::vector<Decision>> groups);

}  // namespace fleet
