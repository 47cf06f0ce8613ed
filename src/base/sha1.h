// SHA-1 (RFC 3174). fleet 1.0 names unit contents by it; it protects nothing.
#pragma once

#include <string>
#include <string_view>

namespace fleet {

// Returns the digest of `data` as 40 lower-case hexadecimal digits.
std::string sha1_hex(std::string_view data);

}  // namespace fleet
