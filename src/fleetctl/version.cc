#include "fleetctl/version.h"

#include <charconv>
#include <vector>

namespace fleet::ctl {
namespace {

// Empty: that is no version.
std::vector<unsigned> numbers_of(std::string_view text) {
  if (text.starts_with('v')) text.remove_prefix(1);
  std::vector<unsigned> numbers;
  while (true) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{}) return {};
    numbers.push_back(number);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (!text.starts_with('.')) return numbers;
    text.remove_prefix(1);
  }
}

}  // namespace

bool is_newer(std::string_view a, std::string_view b) {
  const auto mine = numbers_of(a);
  const auto other = numbers_of(b);
  return !mine.empty() && !other.empty() && mine > other;
}

}  // namespace fleet::ctl
