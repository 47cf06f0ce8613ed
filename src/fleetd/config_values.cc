#include "fleetd/config_values.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

#include "unit/printable.h"

namespace fleet {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n\v\f";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

Result<long long> parse_integer(std::string_view text, long long low, long long high) {
  const std::string copy(text);
  char* end = nullptr;
  errno = 0;
  const long long number = std::strtoll(copy.c_str(), &end, 0);
  if (copy.empty() || end != copy.c_str() + copy.size() || (errno != 0 && errno != ERANGE)) {
    return fail(ErrorCode::invalid, printable(text) + " is not a whole number");
  }
  if (errno == ERANGE || number < low || number > high) {
    return fail(ErrorCode::invalid, fmt::format("{} is not between {} and {}", text, low, high));
  }
  return number;
}

Result<bool> parse_bool(std::string_view text) {
  for (const char* word : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == word) return true;
  }
  for (const char* word : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == word) return false;
  }
  return fail(ErrorCode::invalid, printable(text) + " is neither true nor false");
}

Result<double> parse_seconds(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double seconds = std::strtod(copy.c_str(), &end);
  if (copy.empty() || end != copy.c_str() + copy.size() || !std::isfinite(seconds)) {
    return fail(ErrorCode::invalid, printable(text) + " is not a number of seconds");
  }
  return seconds;
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto bad = [text](const char* why) {
    return fail(
        ErrorCode::invalid,
        fmt::format("{} is not a duration such as 30s, 500ms or 1m30s: {}", printable(text), why));
  };
  if (text.empty()) return bad("it is empty");
  double total = 0;
  std::string_view rest = text;
  while (!rest.empty()) {
    double number = 0;
    const auto [after, error] =
        std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
    if (error != std::errc{} || number < 0) return bad("a number is expected");
    rest.remove_prefix(static_cast<std::size_t>(after - rest.data()));
    const std::size_t length = std::min(rest.find_first_of("0123456789."), rest.size());
    const std::string_view unit = rest.substr(0, length);
    rest.remove_prefix(length);
    if (unit == "ms") {
      total += number;
    } else if (unit == "s") {
      total += number * 1000;
    } else if (unit == "m") {
      total += number * 60'000;
    } else if (unit == "h") {
      total += number * 3'600'000;
    } else {
      return bad(unit.empty() ? "missing unit" : "unknown unit");
    }
    if (!(total <= 1e12)) return bad("it is too long");
  }
  return std::chrono::milliseconds(std::llround(total));
}

std::vector<std::string> parse_list(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    constexpr std::string_view kAround = " \t[]\"";
    const std::size_t first = item.find_first_not_of(kAround);
    if (first != std::string_view::npos) {
      items.emplace_back(item.substr(first, item.find_last_not_of(kAround) - first + 1));
    }
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return items;
}

ParsedMetadata parse_metadata(std::string_view text) {
  ParsedMetadata parsed;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view item = text.substr(0, comma);
    if (const std::size_t equals = item.find('='); equals != std::string_view::npos) {
      parsed.metadata[std::string(trim(item.substr(0, equals)))] = trim(item.substr(equals + 1));
    } else if (!trim(item).empty()) {
      parsed.dropped.emplace_back(trim(item));
    }
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parsed;
}

}  // namespace fleet
