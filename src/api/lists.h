// The resources that are read: lists, page by page, and single entities (behaviour document 5.1).
#pragma once

#include <string>

#include "api/api.h"
#include "api/request_target.h"
#include "cluster/registry.h"

namespace fleet {

// GET /fleet/v1/info: what answers, and where the registry is.
ApiResponse get_info(const Registry& registry, const ApiOptions& options);

// `limit` is the number of entries a page.
ApiResponse list_units(const Registry& registry, const RequestTarget& target, unsigned limit);
ApiResponse list_states(const Registry& registry, const RequestTarget& target, unsigned limit);
ApiResponse list_machines(const Registry& registry, const RequestTarget& target, unsigned limit);

ApiResponse get_unit(const Registry& registry, const std::string& name);
// Of a global unit any one machine's state.
ApiResponse get_state(const Registry& registry, const std::string& name);

}  // namespace fleet
