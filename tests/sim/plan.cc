#include "tests/sim/plan.h"

#include <charconv>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace fleet {

namespace {

// "12.345" -> 12.345 s. Nothing finer than a millisecond.
Result<Duration> parse_time(const std::string& text) {
  const std::size_t point = text.find('.');
  std::string digits = text.substr(0, point);
  std::string fraction = point == std::string::npos ? "" : text.substr(point + 1);
  fraction.resize(3, '0');
  digits += fraction;
  std::int64_t milliseconds = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, milliseconds);
  if (error != std::errc() || stop != end || milliseconds < 0) {
    return fail(ErrorCode::invalid, "not a time in seconds: " + text);
  }
  return std::chrono::milliseconds(milliseconds);
}

}  // namespace

std::string to_text(const Action& action) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(action.at).count();
  return fmt::format("@{}.{:03} {}", ms / 1000, ms % 1000, fmt::join(action.words, " "));
}

std::string to_text(const Plan& plan) {
  std::string text;
  for (const Words& words : plan.setup) text += fmt::format("{}\n", fmt::join(words, " "));
  for (const Action& action : plan.actions) text += to_text(action) + "\n";
  return text;
}

Result<Plan> parse_plan(std::string_view text) {
  Plan plan;
  std::istringstream lines{std::string(text)};
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream in(line);
    Words words;
    for (std::string word; in >> word;) words.push_back(word);
    if (words.empty() || words[0].starts_with('#')) continue;
    if (!words[0].starts_with('@')) {
      plan.setup.push_back(std::move(words));
      continue;
    }
    const Result<Duration> at = parse_time(words[0].substr(1));
    if (!at) return fail(ErrorCode::invalid, line + ": " + at.error().message);
    words.erase(words.begin());
    if (words.empty()) return fail(ErrorCode::invalid, line + ": there is no action");
    plan.actions.push_back({*at, std::move(words)});
  }
  return plan;
}

}  // namespace fleet
