#include "base/sha1.h"

#include <string>

#include <gtest/gtest.h>

namespace fleet {
namespace {

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

// RFC 3174, 7.3.
TEST(Sha1, GivesTheVectorsOfTheRfc) {
  EXPECT_EQ(sha1_hex("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(sha1_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(sha1_hex(repeated("a", 1'000'000)), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
  EXPECT_EQ(
      sha1_hex(repeated("0123456701234567012345670123456701234567012345670123456701234567", 10)),
      "dea356a2cddd90c7a7ecedc5ebb563934f460452");
}

TEST(Sha1, NamesTheEmptyTextAsFleetDoes) {
  EXPECT_EQ(sha1_hex(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

// Around 55, 56, 63 and 64 bytes the padding changes from one block to two and back. The expected
// digests are those of coreutils' sha1sum.
TEST(Sha1, PadsRightAroundBlockBoundaries) {
  EXPECT_EQ(sha1_hex(repeated("x", 54)), "31045e7bb077ff8d188a776b196b980388735dbb");
  EXPECT_EQ(sha1_hex(repeated("x", 55)), "cef734ba81a024479e09eb5a75b6ddae62e6abf1");
  EXPECT_EQ(sha1_hex(repeated("x", 56)), "901305367c259952f4e7af8323f480d59f81335b");
  EXPECT_EQ(sha1_hex(repeated("x", 63)), "0ddc4e0cccd9a12850deb5abb0853a4425559fec");
  EXPECT_EQ(sha1_hex(repeated("x", 64)), "bb2fa3ee7afb9f54c6dfb5d021f14b1ffe40c163");
  EXPECT_EQ(sha1_hex(repeated("x", 65)), "78c741ddc482e4cdf8c474a0876347a0905b6233");
  EXPECT_EQ(sha1_hex(repeated("x", 119)), "4300320394f7ee239bcdce7d3b8bcee173a0cd5c");
  EXPECT_EQ(sha1_hex(repeated("x", 120)), "ceb2821639c4b6dcb10bce0e522ca2e608ce056d");
  EXPECT_EQ(sha1_hex(repeated("x", 128)), "150fa3fbdc899bd0b8f95a9fb6027f564d953762");
}

TEST(Sha1, TakesAnyByte) {
  std::string all_bytes;
  for (int byte = 0; byte < 256; ++byte) all_bytes += static_cast<char>(byte);
  EXPECT_EQ(sha1_hex(all_bytes), "4916d6bdb7f78e6803698cab32d1586ea457dfc8");
}

}  // namespace
}  // namespace fleet
