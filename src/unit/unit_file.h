// Unit files: parsing, writing and naming their contents (behaviour document 1.2, 1.3).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace fleet {

struct UnitOption {
  std::string section;
  std::string name;
  std::string value;

  bool operator==(const UnitOption&) const = default;
};

// A unit file is its options, in order; comments and layout are not kept.
struct UnitFile {
  std::vector<UnitOption> options;

  bool operator==(const UnitFile&) const = default;

  // The values of every option `name` in `section`, in order.
  std::vector<std::string> values(std::string_view section, std::string_view name) const;
};

// Parses a unit file by behaviour document 1.2. The error names the line (from 1) and what is
// wrong. Limits: base/limits.h. Fails: invalid, too_large.
Result<UnitFile> parse_unit_file(std::string_view text);

// The line, from 1, on which option number `index` (from 0) of `text` begins; 0 if there is none.
std::size_t line_of_option(std::string_view text, std::size_t index);

// The canonical text (behaviour document 1.3).
std::string serialize(const UnitFile& file);

// SHA-1 of serialize(file), 40 lower-case hexadecimal digits.
std::string hash_of(const UnitFile& file);

}  // namespace fleet
