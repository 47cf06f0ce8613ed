#include "api/request_target.h"

#include <gtest/gtest.h>

namespace fleet {
namespace {

TEST(RequestTargetTest, PathIsDecoded) {
  EXPECT_EQ(parse_request_target("/a%20b%2Fc+d")->path, "/a b/c+d");
  EXPECT_EQ(parse_request_target("http://host:80/a?b")->path, "/a");
  EXPECT_EQ(parse_request_target("http://host")->path, "/");
  for (const char* target : {"", "a", "*", "?a=b", "/%", "/%4", "/%zz", "/%4"}) {
    EXPECT_FALSE(parse_request_target(target)) << target;
  }
}

TEST(RequestTargetTest, QueryIsDecodedPairByPair) {
  const RequestTarget target = *parse_request_target("/x?a=1&b&a=%20+&&c%3D=d=e&bad=%zz&");
  EXPECT_EQ(target.raw_query, "a=1&b&a=%20+&&c%3D=d=e&bad=%zz&");
  EXPECT_EQ(target.values("a"), (std::vector<std::string>{"1", "  "}));
  EXPECT_EQ(target.first("a"), "1");
  EXPECT_EQ(target.values("b"), std::vector<std::string>{""});
  EXPECT_EQ(target.first("c="), "d=e");
  EXPECT_TRUE(target.values("bad").empty());
  EXPECT_EQ(target.first("none"), "");
}

TEST(RequestTargetTest, PathsAreCleaned) {
  const std::pair<const char*, const char*> cases[] = {
      {"/", "/"},        {"//", "/"},     {"/a//b", "/a/b"}, {"/a/./b", "/a/b"},
      {"/a/../b", "/b"}, {"/../a", "/a"}, {"/a/", "/a/"},    {"/a//", "/a/"},
      {"/a/..", "/"},    {"/a/.", "/a"},  {"/...", "/..."},  {"/a/b/../", "/a/"},
  };
  for (const auto& [path, clean] : cases) EXPECT_EQ(clean_path(path), clean) << path;
}

TEST(RequestTargetTest, LocationsCannotBreakOut) {
  EXPECT_EQ(encode_path("/a b\r\nX:y%?#é"), "/a%20b%0D%0AX:y%25%3F%23%C3%A9");
  EXPECT_EQ(encode_path("/fleet/v1/units/a@1.service"), "/fleet/v1/units/a@1.service");
}

}  // namespace
}  // namespace fleet
