#include "base/sha1.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace fleet {
namespace {

constexpr std::size_t kBlockBytes = 64;

using Digest = std::array<std::uint32_t, 5>;

std::uint32_t load_big_endian(const char* bytes) {
  std::uint32_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return std::endian::native == std::endian::little ? std::byteswap(word) : word;
}

// RFC 3174, 6.2: mixes one block of 64 bytes into the digest. Of the 80 words of the schedule only
// the last 16 are kept; the loops are unrolled so that these stay in registers, which doubles the
// speed.
void add_block(Digest& digest, const char* block) {
  std::array<std::uint32_t, 16> w;
  for (std::size_t t = 0; t < 16; ++t) w[t] = load_big_endian(block + 4 * t);
  auto [a, b, c, d, e] = digest;
  const auto step = [&](std::size_t t, std::uint32_t k, std::uint32_t f) {
    std::uint32_t& word = w[t % 16];
    if (t >= 16) {
      word = std::rotl(w[(t + 13) % 16] ^ w[(t + 8) % 16] ^ w[(t + 2) % 16] ^ word, 1);
    }
    const std::uint32_t next = std::rotl(a, 5) + f + (e + k + word);
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  };
#pragma unroll
  for (std::size_t t = 0; t < 20; ++t) step(t, 0x5A827999, d ^ (b & (c ^ d)));
#pragma unroll
  for (std::size_t t = 20; t < 40; ++t) step(t, 0x6ED9EBA1, b ^ c ^ d);
#pragma unroll
  for (std::size_t t = 40; t < 60; ++t) step(t, 0x8F1BBCDC, (b & c) | (d & (b | c)));
#pragma unroll
  for (std::size_t t = 60; t < 80; ++t) step(t, 0xCA62C1D6, b ^ c ^ d);
  digest[0] += a;
  digest[1] += b;
  digest[2] += c;
  digest[3] += d;
  digest[4] += e;
}

}  // namespace

std::string sha1_hex(std::string_view data) {
  Digest digest{0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
  std::string_view rest = data;
  for (; rest.size() >= kBlockBytes; rest.remove_prefix(kBlockBytes)) {
    add_block(digest, rest.data());
  }

  // RFC 3174, 4: the tail is padded with one 1 bit, zeros, and the length in bits; if the length
  // does not fit behind the tail, a second block takes it.
  std::array<char, 2 * kBlockBytes> tail{};
  rest.copy(tail.data(), rest.size());
  tail[rest.size()] = static_cast<char>(0x80);
  const std::size_t tail_bytes = rest.size() + 9 <= kBlockBytes ? kBlockBytes : 2 * kBlockBytes;
  std::uint64_t bits = std::uint64_t{data.size()} * 8;
  for (std::size_t i = 1; i <= sizeof bits; ++i, bits >>= 8) {
    tail[tail_bytes - i] = static_cast<char>(bits & 0xFF);
  }
  for (std::size_t i = 0; i < tail_bytes; i += kBlockBytes) add_block(digest, tail.data() + i);

  std::string hex;
  hex.reserve(40);
  for (const std::uint32_t word : digest) {
    for (int shift = 28; shift >= 0; shift -= 4) hex += "0123456789abcdef"[(word >> shift) & 0xF];
  }
  return hex;
}

}  // namespace fleet
