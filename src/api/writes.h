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

// PUT of the unit `name`, which has been checked, as has the word of `wanted.desired_state`. A unit
// that is as it is wanted is written all the same: only a transaction shows that it still is so.
WriteDecision decide_put(const Registry& registry, const std::string& name,
                         const UnitEntity& wanted);

// PUT of several units in one request, which takes effect at one revision or not at all. Each is
// checked and put as by a PUT of its own, but that a unit which is already as it is wanted is
// answered with 204. The answer has the code of each; a refusal names the unit that is refused.
WriteDecision decide_put_all(const Registry& registry, const std::vector<UnitEntity>& wanted);

// POST /units/<name>/restart: asks for one more restart of a unit that is to be launched. Its
// answer says how often that has now been asked for: {"restarts":N}.
WriteDecision decide_restart(const Registry& registry, const std::string& name);

WriteDecision decide_delete(const Registry& registry, const std::string& name);

// PATCH of machine metadata. It says what shall be, whatever is, and so compares nothing.
WriteDecision decide_patch(const Registry& registry, const std::vector<MetadataChange>& changes);

// Checks what can be seen in a PUT itself: steps 1 to 4 of 5.3, and the word of the desired state.
// Nothing if all is well; else `wanted` is void.
std::optional<ApiResponse> check_put(const ApiRequest& request, const std::string& name,
                                     UnitEntity& wanted);

// The same of a PUT of several units: {"units":[...]}, each with its name, at most
// limits::kPutUnits of them and none twice.
std::optional<ApiResponse> check_put_all(const ApiRequest& request,
                                         std::vector<UnitEntity>& wanted);

}  // namespace fleet
