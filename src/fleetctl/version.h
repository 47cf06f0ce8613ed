// Versions, as in `Server: fleetd/2.0.0`.
#pragma once

#include <string_view>

namespace fleet::ctl {

// Whether version `a` comes after `b`: by the numbers between their dots, with or without a leading
// v; what follows the numbers does not count. False if either is no version.
bool is_newer(std::string_view a, std::string_view b);

}  // namespace fleet::ctl
