// White space as unit files see it: Unicode's, in UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

namespace fleet {

// The length in bytes of the white-space character beyond ASCII that `text` begins or ends with; 0
// if it does not.
std::size_t wide_space_at_front(std::string_view text);
std::size_t wide_space_at_back(std::string_view text);

inline bool is_ascii(char c) {
  return static_cast<unsigned char>(c) < 0x80;
}
inline bool is_ascii_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// The same for every white-space character. Inline, because the lexer asks at every turn and the
// answer is almost always in the first comparison.
inline std::size_t space_at_front(std::string_view text) {
  if (text.empty()) return 0;
  if (is_ascii(text.front())) return is_ascii_space(text.front()) ? 1 : 0;
  return wide_space_at_front(text);
}
inline std::size_t space_at_back(std::string_view text) {
  if (text.empty()) return 0;
  if (is_ascii(text.back())) return is_ascii_space(text.back()) ? 1 : 0;
  return wide_space_at_back(text);
}

// `text` without white space at its ends.
inline std::string_view trimmed(std::string_view text) {
  while (const std::size_t bytes = space_at_front(text)) text.remove_prefix(bytes);
  while (const std::size_t bytes = space_at_back(text)) text.remove_suffix(bytes);
  return text;
}

}  // namespace fleet
