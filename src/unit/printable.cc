#include "unit/printable.h"

#include <cstddef>
#include <iterator>

#include <fmt/format.h>

namespace fleet {
namespace {

constexpr std::size_t kPrintedBytes = 100;

}  // namespace

std::string printable(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, kPrintedBytes)) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c >= ' ' && c <= '~') {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  if (text.size() > kPrintedBytes) out += "...";
  out += '"';
  return out;
}

}  // namespace fleet
