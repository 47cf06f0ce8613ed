#include "store/range.h"

#include <algorithm>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "base/limits.h"

namespace fleet {
namespace {

KeyRange range_of(const Operation& operation) {
  if (const auto* put = std::get_if<Put>(&operation)) return {.key = put->key, .prefix = false};
  return std::get<Delete>(operation).range;
}

// Sorted by key, a range that overlaps any later one overlaps its direct successor: all keys that
// lie between a prefix and a key under it are under the prefix too.
Status validate_written_once(const std::vector<Operation>& operations) {
  std::vector<KeyRange> ranges;
  ranges.reserve(operations.size());
  for (const Operation& operation : operations) ranges.push_back(range_of(operation));
  std::ranges::sort(ranges, {}, &KeyRange::key);
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (overlap(ranges[i - 1], ranges[i])) {
      return fail(ErrorCode::invalid,
                  fmt::format("a transaction writes the key {} twice", ranges[i].key));
    }
  }
  return {};
}

Status validate_size(const Transaction& transaction) {
  std::size_t bytes = 0;
  for (const Compare& compare : transaction.compares) bytes += compare.range.key.size();
  for (const Operation& operation : transaction.operations) {
    bytes += range_of(operation).key.size();
    const auto* put = std::get_if<Put>(&operation);
    if (put == nullptr) continue;
    bytes += put->value.size();
    if (put->value.size() > limits::kRegistryValueBytes) {
      return fail(ErrorCode::too_large,
                  fmt::format("the value of {} has {} bytes; at most {} can be stored", put->key,
                              put->value.size(), limits::kRegistryValueBytes));
    }
  }
  if (bytes > limits::kTransactionBytes) {
    return fail(ErrorCode::too_large,
                fmt::format("a transaction of {} bytes passes the limit of {}; write less at once",
                            bytes, limits::kTransactionBytes));
  }
  return {};
}

}  // namespace

bool contains(const KeyRange& range, std::string_view key) {
  return range.prefix ? key.starts_with(range.key) : key == range.key;
}

bool overlap(const KeyRange& a, const KeyRange& b) {
  return contains(a, b.key) || contains(b, a.key);
}

std::string end_of_prefix(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty()) {
    const auto last = static_cast<unsigned char>(end.back());
    if (last < 0xff) {
      end.back() = static_cast<char>(last + 1);
      return end;
    }
    end.pop_back();
  }
  return end;
}

Status validate(const KeyRange& range) {
  if (range.key.empty() && !range.prefix) return fail(ErrorCode::invalid, "a key is empty");
  return {};
}

Status validate(const Transaction& transaction) {
  if (transaction.compares.size() > limits::kTransactionOperations ||
      transaction.operations.size() > limits::kTransactionOperations) {
    return fail(
        ErrorCode::invalid,
        fmt::format("a transaction has {} comparisons and {} operations; at most {} of each "
                    "are allowed",
                    transaction.compares.size(), transaction.operations.size(),
                    limits::kTransactionOperations));
  }
  for (const Compare& compare : transaction.compares) {
    if (Status valid = validate(compare.range); !valid) return valid;
  }
  for (const Operation& operation : transaction.operations) {
    if (Status valid = validate(range_of(operation)); !valid) return valid;
  }
  if (Status valid = validate_written_once(transaction.operations); !valid) return valid;
  return validate_size(transaction);
}

}  // namespace fleet
