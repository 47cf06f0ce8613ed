#include "api/metrics_text.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace fleet {
namespace {

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

std::string escaped(std::string_view text, bool quoted) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quoted) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

void Histogram::observe(double seconds) {
  ++count;
  sum += seconds;
  const auto* const bound = std::ranges::lower_bound(kBounds, seconds);
  if (bound != kBounds.end()) ++counts.at(static_cast<std::size_t>(bound - kBounds.begin()));
}

void MetricsText::begin(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  out_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, escaped(help, false), name, type);
}

void MetricsText::sample(double value, const Labels& labels) {
  line("", labels, number(value));
}

void MetricsText::sample(std::uint64_t value, const Labels& labels) {
  line("", labels, std::to_string(value));
}

void MetricsText::sample(const Histogram& histogram, const Labels& labels) {
  Labels with_bound = labels;
  with_bound.emplace_back("le", "");
  std::uint64_t up_to = 0;
  for (std::size_t i = 0; i < Histogram::kBounds.size(); ++i) {
    const std::string bound = number(Histogram::kBounds.at(i));
    up_to += histogram.counts.at(i);
    with_bound.back().second = bound;
    line("_bucket", with_bound, std::to_string(up_to));
  }
  with_bound.back().second = "+Inf";
  line("_bucket", with_bound, std::to_string(histogram.count));
  line("_sum", labels, number(histogram.sum));
  line("_count", labels, std::to_string(histogram.count));
}

void MetricsText::line(std::string_view suffix, const Labels& labels, std::string_view value) {
  out_ += name_;
  out_ += suffix;
  char before = '{';
  for (const auto& [label, text] : labels) {
    out_ += fmt::format("{}{}=\"{}\"", before, label, escaped(text, true));
    before = ',';
  }
  if (!labels.empty()) out_ += '}';
  out_ += fmt::format(" {}\n", value);
}

}  // namespace fleet
