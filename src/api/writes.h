// What a request that changes something comes to, decided from one revision of the registry
// (behaviour document 5.3 and 5.5). Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/api.h"
#include "api/json/entities.h"
#include "cluster/registry.h"
#include "store/store.h"

namespace fleet {

struct WriteDecision {
  // Without a transaction the answer as it is; with one, the answer once it has been committed.
  ApiResponse answer;
  std::optional<Transaction> transaction;
};

// PUT of the unit `name`, which has been checked, as has the word of `wanted.desired_state`.
WriteDecision decide_put(const Registry& registry, const std::string& name,
                         const UnitEntity& wanted);

WriteDecision decide_delete(const Registry& registry, const std::string& name);

// PATCH of machine metadata. It says what shall be, whatever is, and so compares nothing.
WriteDecision decide_patch(const Keys& keys, const std::vector<MetadataChange>& changes);

// Checks what can be seen in a PUT itself: steps 1 to 4 of 5.3, and the word of the desired state.
// Nothing if all is well; else `wanted` is void.
std::optional<ApiResponse> check_put(const ApiRequest& request, const std::string& name,
                                     UnitEntity& wanted);

}  // namespace fleet
