#include "api/paging.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace fleet {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::size_t kMaxPage = 0xffffffff;

// URL-safe base64 with padding (RFC 4648, 5).
std::string base64(const std::vector<unsigned char>& bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) group = (group << 8) | (k < count ? bytes[i + k] : 0U);
    for (std::size_t k = 0; k < 4; ++k) {
      out += k <= count ? kAlphabet[(group >> (18 - 6 * k)) & 63U] : '=';
    }
  }
  return out;
}

std::optional<std::vector<unsigned char>> unbase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && text.ends_with('=')) {
    text.remove_suffix(1);
    ++padding;
  }
  std::vector<unsigned char> bytes;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const std::size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = (bits << 6) | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes.push_back(static_cast<unsigned char>((bits >> count) & 0xffU));
    }
  }
  return bytes;
}

std::size_t little_endian(const std::vector<unsigned char>& bytes, std::size_t at) {
  return bytes[at] + (static_cast<std::size_t>(bytes[at + 1]) << 8);
}

void append_little_endian(std::vector<unsigned char>& bytes, std::size_t value) {
  bytes.push_back(static_cast<unsigned char>(value & 0xffU));
  bytes.push_back(static_cast<unsigned char>((value >> 8) & 0xffU));
}

}  // namespace

Result<Pager> Pager::from(const RequestTarget& target, unsigned limit) {
  // A token has 16 bits for the limit, and 0 would make endless empty pages.
  const std::size_t entries = limit == 0 ? 100 : std::min(limit, 0xffffU);
  const std::vector<std::string> tokens = target.values("nextPageToken");
  if (tokens.empty()) return Pager(entries, 1);
  if (tokens.size() > 1) {
    return fail(ErrorCode::invalid, "there is more than one nextPageToken parameter");
  }
  const std::optional<std::vector<unsigned char>> bytes = unbase64(tokens.front());
  if (!bytes || bytes->size() < 4) {
    return fail(ErrorCode::invalid,
                "nextPageToken is not a token of this list; begin again without one");
  }
  std::size_t page = little_endian(*bytes, 2);
  // Tokens of exactly 6 bytes are ours: 1.0's lists went wrong past 65,535 entries.
  if (bytes->size() == 6) page += little_endian(*bytes, 4) << 16;
  if (little_endian(*bytes, 0) != entries || page == 0) {
    return fail(ErrorCode::invalid,
                "nextPageToken does not fit the server's page size; begin again without one");
  }
  return Pager(entries, page);
}

std::string Pager::next_token() const {
  if (page_ * limit_ > total_ || page_ >= kMaxPage) return {};
  const std::size_t next = page_ + 1;
  std::vector<unsigned char> bytes;
  append_little_endian(bytes, limit_);
  append_little_endian(bytes, next);
  if (next > 0xffff) append_little_endian(bytes, next >> 16);
  return base64(bytes);
}

}  // namespace fleet
