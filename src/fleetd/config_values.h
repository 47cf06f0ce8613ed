// The value forms of fleet.conf (behaviour document 7). Each fails with `invalid` and a sentence
// that quotes the value; the caller says where it stands.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace fleet {

// Without the white space around it.
std::string_view trim(std::string_view text);

// Decimal, 0x... or octal with a leading 0, as in 1.0.
Result<long long> parse_integer(std::string_view text, long long low, long long high);

// 1 t T true TRUE True and 0 f F false FALSE False.
Result<bool> parse_bool(std::string_view text);

// A number of seconds, "1.5".
Result<double> parse_seconds(std::string_view text);

// "1h30m", "5s", "500ms" (Go's time.ParseDuration).
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// "a,b" or "[\"a\", \"b\"]": what stands between the commas, without blanks, brackets and quotes
// around it; empty items are left out.
std::vector<std::string> parse_list(std::string_view text);

// "k=v,k2=v2": both sides trimmed, the last of a key wins. Items without "=" are dropped, and told
// in `dropped`.
struct ParsedMetadata {
  std::map<std::string, std::string> metadata;
  std::vector<std::string> dropped;
};
ParsedMetadata parse_metadata(std::string_view text);

}  // namespace fleet
