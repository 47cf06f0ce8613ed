// SHA-1 (RFC 3174). fleet 1.0 names unit contents by it; it protects nothing.
#pragma once

#include <string>
#include <string_view>

namespace fleet {

// Returns the digest of `data` as 40 lower-case hexadecimal digits. Ends the process if the OpenSSL
// of this machine is configured to have no SHA-1.
std::string sha1_hex(std::string_view data);

}  // namespace fleet
