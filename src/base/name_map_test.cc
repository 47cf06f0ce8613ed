#include "base/name_map.h"

#include <vector>

#include <gtest/gtest.h>

namespace fleet {
namespace {

std::vector<std::string> names(const NameMap<int>& map) {
  std::vector<std::string> names;
  for (const auto& [name, value] : map) names.push_back(name);
  return names;
}

NameMap<int> three() {
  NameMap<int> map;
  map["b"] = 2;
  map["c"] = 3;
  map["a"] = 1;
  return map;
}

TEST(NameMap, FindsWhatIsThereAndWalksInOrder) {
  NameMap<int> map = three();
  EXPECT_EQ(names(map), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(map.find("b")->second, 2);
  EXPECT_EQ(map.find("d"), map.end());
  EXPECT_EQ(map.lower_bound("aa")->first, "b");
  map["b"] = 20;
  EXPECT_EQ(map.entry("b").second, 20);
  EXPECT_EQ(map.size(), 3U);
}

TEST(NameMap, ForgetsWhatIsErased) {
  NameMap<int> map = three();
  map.erase(map.find("b"));
  EXPECT_FALSE(map.contains("b"));
  EXPECT_EQ(names(map), (std::vector<std::string>{"a", "c"}));
  map["b"] = 4;
  EXPECT_EQ(map.find("b")->second, 4);
  map.clear();
  EXPECT_TRUE(map.empty());
  EXPECT_FALSE(map.contains("a"));
}

// A copy finds its own entries, not those of the original.
TEST(NameMap, IsCopiedAndMovedWhole) {
  NameMap<int> original = three();
  NameMap<int> copy = original;
  copy.find("a")->second = 10;
  EXPECT_EQ(original.find("a")->second, 1);
  NameMap<int> moved = std::move(original);
  EXPECT_EQ(moved.find("a")->second, 1);
  moved = copy;
  EXPECT_EQ(moved.find("a")->second, 10);
  EXPECT_EQ(names(moved), (std::vector<std::string>{"a", "b", "c"}));
}

}  // namespace
}  // namespace fleet
