#include "store/range.h"

#include <gtest/gtest.h>

namespace fleet {
namespace {

KeyRange one(std::string key) {
  return {.key = std::move(key), .prefix = false};
}
KeyRange under(std::string prefix) {
  return {.key = std::move(prefix), .prefix = true};
}

TEST(RangeTest, ContainsOneKeyOrAllUnderAPrefix) {
  EXPECT_TRUE(contains(one("a"), "a"));
  EXPECT_FALSE(contains(one("a"), "ab"));
  EXPECT_TRUE(contains(under("a"), "a"));
  EXPECT_TRUE(contains(under("a"), "ab"));
  EXPECT_FALSE(contains(under("ab"), "a"));
  EXPECT_TRUE(contains(under(""), "anything"));
}

TEST(RangeTest, OverlapsIfAKeyIsInBoth) {
  EXPECT_TRUE(overlap(one("a"), one("a")));
  EXPECT_FALSE(overlap(one("a"), one("b")));
  EXPECT_TRUE(overlap(one("ab"), under("a")));
  EXPECT_FALSE(overlap(one("a"), under("ab")));
  EXPECT_TRUE(overlap(under("a"), under("ab")));
  EXPECT_FALSE(overlap(under("aa"), under("ab")));
}

TEST(RangeTest, EndOfPrefixIsTheNextString) {
  EXPECT_EQ(end_of_prefix("a"), "b");
  EXPECT_EQ(end_of_prefix("a/"), "a0");
  EXPECT_EQ(end_of_prefix("a\xff\xff"), "b");
  EXPECT_EQ(end_of_prefix("\x7f"), "\x80");
  EXPECT_EQ(end_of_prefix("\xff\xff"), "");
  EXPECT_EQ(end_of_prefix(""), "");
}

TEST(RangeTest, FindsAKeyThatIsWrittenTwiceWhateverStandsBetween) {
  const auto put = [](std::string key) {
    return Put{.key = std::move(key), .value = "", .lease = 0};
  };
  const Delete all{.range = under("a")};
  EXPECT_TRUE(validate(Transaction{.compares = {}, .operations = {put("a"), put("b"), put("aa")}}));
  EXPECT_FALSE(validate(
      Transaction{.compares = {}, .operations = {put("b"), all, put("0"), put("az"), put("c")}}));
  EXPECT_TRUE(validate(Transaction{.compares = {}, .operations = {put("b"), all, put("0")}}));
}

}  // namespace
}  // namespace fleet
