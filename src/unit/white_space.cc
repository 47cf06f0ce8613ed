#include "unit/white_space.h"

namespace fleet {
namespace {

// U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F, U+3000.
bool is_wide_space(std::string_view text) {
  if (text == "\xC2\x85" || text == "\xC2\xA0" || text == "\xE1\x9A\x80") return true;
  if (text == "\xE2\x81\x9F" || text == "\xE3\x80\x80") return true;
  if (text.size() != 3 || !text.starts_with("\xE2\x80")) return false;
  const auto last = static_cast<unsigned char>(text[2]);
  return (last >= 0x80 && last <= 0x8A) || last == 0xA8 || last == 0xA9 || last == 0xAF;
}

}  // namespace

std::size_t wide_space_at_front(std::string_view text) {
  for (const std::size_t bytes : {2u, 3u}) {
    if (text.size() >= bytes && is_wide_space(text.substr(0, bytes))) return bytes;
  }
  return 0;
}

std::size_t wide_space_at_back(std::string_view text) {
  for (const std::size_t bytes : {2u, 3u}) {
    if (text.size() >= bytes && is_wide_space(text.substr(text.size() - bytes))) return bytes;
  }
  return 0;
}

}  // namespace fleet
