#include "api/metrics_text.h"

#include <limits>

#include <gtest/gtest.h>

namespace fleet {
namespace {

TEST(MetricsTextTest, WritesNamesTypesHelpAndSamples) {
  MetricsText text;
  text.begin("a_total", "counter", "Counts a.");
  text.sample(std::uint64_t{18'446'744'073'709'551'615U}, {{"type", "x"}, {"b", ""}});
  text.sample(std::uint64_t{0}, {{"type", "y"}});
  text.begin("b", "gauge", "Is b.");
  text.sample(1759500000.25);
  EXPECT_EQ(text.take(),
            "# HELP a_total Counts a.\n"
            "# TYPE a_total counter\n"
            "a_total{type=\"x\",b=\"\"} 18446744073709551615\n"
            "a_total{type=\"y\"} 0\n"
            "# HELP b Is b.\n"
            "# TYPE b gauge\n"
            "b 1759500000.25\n");
}

TEST(MetricsTextTest, EscapesLabelsAndHelp) {
  MetricsText text;
  text.begin("a", "gauge", "a \"quoted\" \\ and\na line");
  text.sample(1.0, {{"l", "a \"quoted\" \\ and\na line é"}});
  EXPECT_EQ(text.take(),
            "# HELP a a \"quoted\" \\\\ and\\na line\n"
            "# TYPE a gauge\n"
            "a{l=\"a \\\"quoted\\\" \\\\ and\\na line é\"} 1\n");
}

TEST(MetricsTextTest, WritesNumbersThatAreNone) {
  MetricsText text;
  text.begin("a", "gauge", "A.");
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double value : {infinity, -infinity, std::numeric_limits<double>::quiet_NaN()}) {
    text.sample(value);
  }
  EXPECT_TRUE(text.take().ends_with("a +Inf\na -Inf\na NaN\n"));
}

TEST(MetricsTextTest, BucketsOfAHistogramContainTheSmallerOnes) {
  Histogram histogram;
  for (const double seconds : {0.001, 0.005, 0.006, 10.0, 11.0}) histogram.observe(seconds);
  MetricsText text;
  text.begin("h", "histogram", "H.");
  text.sample(histogram, {{"ops", "get"}});
  EXPECT_EQ(text.take(),
            "# HELP h H.\n"
            "# TYPE h histogram\n"
            "h_bucket{ops=\"get\",le=\"0.005\"} 2\n"
            "h_bucket{ops=\"get\",le=\"0.01\"} 3\n"
            "h_bucket{ops=\"get\",le=\"0.025\"} 3\n"
            "h_bucket{ops=\"get\",le=\"0.05\"} 3\n"
            "h_bucket{ops=\"get\",le=\"0.1\"} 3\n"
            "h_bucket{ops=\"get\",le=\"0.25\"} 3\n"
            "h_bucket{ops=\"get\",le=\"0.5\"} 3\n"
            "h_bucket{ops=\"get\",le=\"1\"} 3\n"
            "h_bucket{ops=\"get\",le=\"2.5\"} 3\n"
            "h_bucket{ops=\"get\",le=\"5\"} 3\n"
            "h_bucket{ops=\"get\",le=\"10\"} 4\n"
            "h_bucket{ops=\"get\",le=\"+Inf\"} 5\n"
            "h_sum{ops=\"get\"} 21.012\n"
            "h_count{ops=\"get\"} 5\n");
}

}  // namespace
}  // namespace fleet
