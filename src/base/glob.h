// Glob patterns as fleet 1.0 understands them (behaviour document 2, "Glob").
#pragma once

#include <string_view>

namespace fleet {

// Returns whether the whole of `text` matches `pattern`: `*` any run and `?` one character, neither
// matching '/'; `[a-z]`, `[^a-z]` classes; `\` takes the next character literally. A malformed
// pattern matches nothing. Runs in O(|pattern| * |text|) whatever the pattern.
bool glob_match(std::string_view pattern, std::string_view text);

}  // namespace fleet
