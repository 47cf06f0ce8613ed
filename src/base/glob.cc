#include "base/glob.h"

#include <cstddef>
#include <cstdint>
#include <optional>

// The algorithm is greedy: between two stars stands a chunk, and each chunk is placed at the first
// position where it fits. An earlier place is never revisited, which keeps the bound; it is also
// what 1.0 does where it matters, because a class may match '/' while a star may not cross it.
namespace fleet {
namespace {

struct Character {
  std::uint32_t code;
  std::size_t bytes;
  bool malformed;
};

// Decodes the UTF-8 character at the front of `text`, which is not empty. A byte that does not
// begin a well-formed character stands for itself as one malformed character.
Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const Character malformed{0xFFFD, 1, true};
  if (lead < 0x80) return {lead, 1, false};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return malformed;
  std::uint32_t code = lead & (0xFFu >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return malformed;
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  const std::uint32_t least = bytes == 4 ? 0x10000 : bytes == 3 ? 0x800 : 0x80;
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < least || code > 0x10FFFF || surrogate) return malformed;
  return {code, bytes, false};
}

// Takes one end of a range in a class off the front of `pattern`.
std::optional<std::uint32_t> take_class_character(std::string_view& pattern) {
  if (pattern.empty() || pattern[0] == '-' || pattern[0] == ']') return std::nullopt;
  if (pattern[0] == '\\') pattern.remove_prefix(1);
  if (pattern.empty()) return std::nullopt;
  const Character character = first_character(pattern);
  if (character.malformed) return std::nullopt;
  pattern.remove_prefix(character.bytes);
  return character.code;
}

// Takes a class, from behind its '[', off the front of `pattern` and says whether `code` is in it;
// nothing if the class is malformed.
std::optional<bool> take_class(std::string_view& pattern, std::uint32_t code) {
  const bool negated = pattern.starts_with('^');
  if (negated) pattern.remove_prefix(1);
  bool found = false;
  for (bool first = true; first || !pattern.starts_with(']'); first = false) {
    const auto low = take_class_character(pattern);
    if (!low) return std::nullopt;
    auto high = low;
    if (pattern.starts_with('-')) {
      pattern.remove_prefix(1);
      high = take_class_character(pattern);
      if (!high) return std::nullopt;
    }
    if (*low <= code && code <= *high) found = true;
  }
  pattern.remove_prefix(1);
  return found != negated;
}

// Matches a chunk, a pattern without stars, at the front of `text` and returns what is left of
// `text`; nothing if it does not match or is malformed.
std::optional<std::string_view> match_chunk(std::string_view chunk, std::string_view text) {
  while (!chunk.empty()) {
    if (text.empty()) return std::nullopt;
    const char kind = chunk[0];
    if (kind == '[') {
      const Character character = first_character(text);
      chunk.remove_prefix(1);
      if (take_class(chunk, character.code) != true) return std::nullopt;
      text.remove_prefix(character.bytes);
    } else if (kind == '?') {
      if (text[0] == '/') return std::nullopt;
      chunk.remove_prefix(1);
      text.remove_prefix(first_character(text).bytes);
    } else {
      if (kind == '\\') chunk.remove_prefix(1);
      if (chunk.empty() || chunk[0] != text[0]) return std::nullopt;
      chunk.remove_prefix(1);
      text.remove_prefix(1);
    }
  }
  return text;
}

// The length of the chunk at the front of `pattern`: up to a star that is neither escaped nor in a
// class.
std::size_t chunk_length(std::string_view pattern) {
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      ++i;
    } else if (pattern[i] == '[') {
      in_class = true;
    } else if (pattern[i] == ']') {
      in_class = false;
    } else if (pattern[i] == '*' && !in_class) {
      return i;
    }
  }
  return pattern.size();
}

// Places `chunk` at the first position of `text` where it fits, or only at its front without
// `star`, and returns what follows. The last chunk has to reach the end of `text`.
std::optional<std::string_view> place_chunk(std::string_view chunk, bool star, bool last,
                                            std::string_view text) {
  while (true) {
    const auto rest = match_chunk(chunk, text);
    if (rest && (!last || rest->empty())) return rest;
    if (!star || text.empty() || text[0] == '/') return std::nullopt;
    text.remove_prefix(1);
  }
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) {
  while (!pattern.empty()) {
    const bool star = pattern[0] == '*';
    while (pattern.starts_with('*')) pattern.remove_prefix(1);
    const std::string_view chunk = pattern.substr(0, chunk_length(pattern));
    pattern.remove_prefix(chunk.size());
    if (chunk.empty()) return !text.contains('/');  // only a star can stand before an empty chunk
    const auto rest = place_chunk(chunk, star, pattern.empty(), text);
    if (!rest) return false;
    text = *rest;
  }
  return text.empty();
}

}  // namespace fleet
