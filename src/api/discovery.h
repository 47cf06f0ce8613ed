#pragma once

#include <string_view>

namespace fleet {

// The Google discovery document of /fleet/v1 (behaviour document 5.6), from which clients can be
// made.
std::string_view discovery_document();

}  // namespace fleet
