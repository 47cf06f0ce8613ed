// Writes JSON text as fleet 1.0 does: compact, and with `<`, `>` and `&` escaped, so that an answer
// can stand in a web page. The caller writes members in alphabetical order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fleet {

class JsonWriter {
 public:
  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);

  // Text that is not UTF-8 is written with U+FFFD in the place of each byte that does not fit.
  JsonWriter& text(std::string_view value);
  JsonWriter& number(std::int64_t value);
  JsonWriter& flag(bool value);

  // A whole member; the `_unless_` forms leave it out where it says nothing.
  JsonWriter& member(std::string_view name, std::string_view value);
  JsonWriter& member_unless_empty(std::string_view name, std::string_view value);
  JsonWriter& member_unless_zero(std::string_view name, std::int64_t value);
  JsonWriter& member_unless_false(std::string_view name, bool value);

  std::string take() { return std::move(out_); }

 private:
  void separate();

  std::string out_;
  bool needs_comma_ = false;
};

// The same text with U+FFFD in the place of each byte that is not UTF-8.
std::string to_valid_utf8(std::string_view text);

}  // namespace fleet
