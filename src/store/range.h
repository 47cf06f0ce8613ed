// What every implementation of the Store port needs to know about keys and transactions.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "store/store.h"

namespace fleet {

// Returns whether `key` is one of the keys that `range` means.
bool contains(const KeyRange& range, std::string_view key);

// Returns whether some key is in both ranges.
bool overlap(const KeyRange& a, const KeyRange& b);

// Returns the first byte string that is greater than every string that begins with `prefix`, or
// nothing if there is none (an empty prefix, or one of 0xff bytes only).
std::string end_of_prefix(std::string_view prefix);

// Refuses the empty key: `invalid`.
Status validate(const KeyRange& range);

// Refuses what the port forbids a transaction: `invalid` for its shape, `too_large` for its size.
Status validate(const Transaction& transaction);

}  // namespace fleet
