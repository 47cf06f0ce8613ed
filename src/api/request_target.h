// The target of a request taken apart: path and query, percent-decoded.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace fleet {

struct RequestTarget {
  std::string path;                                        // decoded; not empty
  std::string raw_path;                                    // as it was sent
  std::string raw_query;                                   // without '?'
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order

  // The values of every parameter called `name`, in order.
  std::vector<std::string> values(std::string_view name) const;
  // The value of the first parameter called `name`; empty if there is none.
  std::string first(std::string_view name) const;
};

// Takes "/path?query", also with "http://host" in front. Parameters that cannot be decoded are left
// out. Fails: invalid (a path that cannot be decoded or does not begin with a slash).
Result<RequestTarget> parse_request_target(std::string_view target);

// The path without empty, "." and ".." elements; a slash at its end stays.
std::string clean_path(std::string_view path);

// `path`, percent-encoded so that it can stand in a Location header.
std::string encode_path(std::string_view path);

}  // namespace fleet
