#include "api/paging.h"

#include <gtest/gtest.h>

namespace fleet {
namespace {

Result<Pager> pager(const std::string& query, unsigned limit) {
  return Pager::from(*parse_request_target("/units" + query), limit);
}

// The indices that are on the page, and the token of the next.
std::pair<std::vector<std::size_t>, std::string> page(const std::string& query, unsigned limit,
                                                      std::size_t total) {
  Result<Pager> walk = pager(query, limit);
  std::vector<std::size_t> taken;
  if (!walk) return {taken, walk.error().message};
  for (std::size_t i = 0; i < total; ++i) {
    if (walk->takes_next()) taken.push_back(i);
  }
  return {taken, walk->next_token()};
}

using Indices = std::vector<std::size_t>;

TEST(PagingTest, TokensAreThoseOf1_0) {
  EXPECT_EQ(page("", 100, 230).second, "ZAACAA==");
  EXPECT_EQ(page("?nextPageToken=ZAACAA==", 100, 231).second, "ZAADAA==");
  EXPECT_EQ(page("?nextPageToken=ZAACAA%3D%3D", 100, 231).second, "ZAADAA==");
  EXPECT_EQ(page("?nextPageToken=ZAADAA==", 100, 231).second, "");
}

TEST(PagingTest, PagesFollowEachOther) {
  EXPECT_EQ(page("", 2, 3), (std::pair(Indices{0, 1}, std::string("AgACAA=="))));
  EXPECT_EQ(page("?nextPageToken=AgACAA==", 2, 3), (std::pair(Indices{2}, std::string())));
}

// section 8, row 10.
TEST(PagingTest, AFullLastPageNamesAnEmptyOne) {
  EXPECT_EQ(page("", 2, 2).second, "AgACAA==");
  EXPECT_EQ(page("?nextPageToken=AgACAA==", 2, 2), (std::pair(Indices{}, std::string())));
}

TEST(PagingTest, APagePastTheEndIsEmpty) {
  EXPECT_EQ(page("?nextPageToken=AgAJAA==", 2, 3), (std::pair(Indices{}, std::string())));
}

TEST(PagingTest, BadTokensAreRefused) {
  for (const char* query :
       {"?nextPageToken=", "?nextPageToken", "?nextPageToken=bad", "?nextPageToken=e30=",
        "?nextPageToken=a&nextPageToken=b", "?nextPageToken=ZAACAA==&nextPageToken=ZAACAA==",
        "?nextPageToken=ZAAAAA==",  // page 0
        "?nextPageToken=ZQACAA==",  // another limit
        "?nextPageToken=ZAACAA", "?nextPageToken=ZAA*AA==", "?nextPageToken====="}) {
    EXPECT_FALSE(pager(query, 100)) << query;
  }
  EXPECT_TRUE(pager("?nextPageToken=ZAACAAAAAAA%3D", 100)) << "extra bytes are ignored";
}

// section 8, row 11: 1.0 reckons with 16 bits, so that long lists begin again, and 0 entries a page
// never end.
TEST(PagingTest, LongListsAndNoLimit) {
  constexpr std::size_t kTotal = 70'000;
  std::string query;
  std::size_t seen = 0;
  std::size_t pages = 0;
  std::string token = "first";
  while (!token.empty() && pages < kTotal + 10) {
    // Only the page's place is of interest; walking the whole list each time takes too long.
    Result<Pager> walk = pager(query, 1000);
    ASSERT_TRUE(walk);
    for (std::size_t i = 0; i < kTotal; ++i) seen += walk->takes_next() ? 1 : 0;
    token = walk->next_token();
    query = "?nextPageToken=" + token;
    ++pages;
  }
  EXPECT_EQ(seen, kTotal);
  EXPECT_EQ(pages, 71U);

  // Page 65,536 of one entry each.
  EXPECT_EQ(page("?nextPageToken=AQD__w==", 1, kTotal).first, Indices{65'534});
  const std::string next = page("?nextPageToken=AQD__w==", 1, kTotal).second;
  EXPECT_EQ(page("?nextPageToken=" + next, 1, kTotal).first, Indices{65'535});

  EXPECT_EQ(page("", 0, 150).first.size(), 100U);
  EXPECT_EQ(page("", 70'000, kTotal).first.size(), 65'535U);
}

}  // namespace
}  // namespace fleet
