// Metrics in Prometheus's text format, version 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/). Pure: what it is given it writes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fleet {

// How long something took, counted in Prometheus's default buckets, as 1.0's histograms are.
struct Histogram {
  static constexpr std::array<double, 11> kBounds{.005, .01, .025, .05, .1, .25,
                                                  .5,   1,   2.5,  5,   10};  // seconds

  void observe(double seconds);

  std::array<std::uint64_t, kBounds.size()> counts{};  // of each bucket alone: up to its bound
  std::uint64_t count = 0;
  double sum = 0;  // seconds
};

class MetricsText {
 public:
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4";

  // Names of labels with their values. Values are escaped; names must be label names.
  using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

  // Begins a metric: its samples follow. `type` is counter, gauge or histogram.
  void begin(std::string_view name, std::string_view type, std::string_view help);

  void sample(double value, const Labels& labels = {});
  // Integers are written whole, however large.
  void sample(std::uint64_t value, const Labels& labels = {});
  void sample(const Histogram& histogram, const Labels& labels = {});

  std::string take() { return std::move(out_); }

 private:
  void line(std::string_view suffix, const Labels& labels, std::string_view value);

  std::string name_;
  std::string out_;
};

}  // namespace fleet
