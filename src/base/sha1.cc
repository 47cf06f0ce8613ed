#include "base/sha1.h"

#include <array>
#include <cstdio>
#include <cstdlib>

#include <openssl/evp.h>

namespace fleet {

std::string sha1_hex(std::string_view data) {
  // Looked up once: that costs more than the digest of a unit file.
  static const EVP_MD* const sha1 = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  std::array<unsigned char, 20> digest{};
  if (sha1 == nullptr ||
      EVP_Digest(data.data(), data.size(), digest.data(), nullptr, sha1, nullptr) != 1) {
    std::fputs("fleet: OpenSSL has no SHA-1, by which unit files are named; see openssl.cnf\n",
               stderr);
    std::abort();
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * digest.size());
  for (const unsigned char byte : digest) {
    hex += kDigits[byte >> 4U];
    hex += kDigits[byte & 0xFU];
  }
  return hex;
}

}  // namespace fleet
