#include "api/json/json_writer.h"

#include <gtest/gtest.h>

namespace fleet {
namespace {

std::string quoted(std::string_view text) {
  return JsonWriter().text(text).take();
}

TEST(JsonWriterTest, EscapesAs1_0Does) {
  EXPECT_EQ(quoted("a\"b\\c/d"), R"("a\"b\\c/d")");
  EXPECT_EQ(quoted("\n\r\t\b\f"), R"("\n\r\t\u0008\u000c")");
  EXPECT_EQ(quoted(std::string_view("\0\x1f\x7f", 3)), "\"\\u0000\\u001f\x7f\"");
  EXPECT_EQ(quoted("<>&'"), R"("\u003c\u003e\u0026'")");
  EXPECT_EQ(quoted("é€😀"), "\"é€😀\"");
  EXPECT_EQ(quoted("\xe2\x80\xa8\xe2\x80\xa9"), R"("\u2028\u2029")");
}

TEST(JsonWriterTest, BytesThatAreNotUtf8AreReplacedOneByOne) {
  for (const char* bytes : {"\x80", "\xff", "\xc0", "\xc3", "\xf5"}) {
    EXPECT_EQ(quoted(bytes), R"("\ufffd")");
    EXPECT_EQ(to_valid_utf8(bytes), "\xef\xbf\xbd");
  }
  EXPECT_EQ(quoted("\xed\xa0\x80"), R"("\ufffd\ufffd\ufffd")");  // a surrogate
  EXPECT_EQ(quoted("\xe0\x80\x80"), R"("\ufffd\ufffd\ufffd")");  // overlong
  EXPECT_EQ(quoted("\xf4\x90\x80\x80"
                   "a"),
            R"("\ufffd\ufffd\ufffd\ufffda")");  // past the end
  EXPECT_EQ(to_valid_utf8("a\xe9z é"), "a\xef\xbf\xbdz é");
}

TEST(JsonWriterTest, CommasStandBetween) {
  JsonWriter out;
  out.begin_object().member("a", "1").key("b").begin_array();
  out.number(1).flag(false).begin_object().end_object().begin_array().end_array();
  out.end_array().member_unless_empty("c", "").member_unless_false("d", false).member("e", "");
  EXPECT_EQ(out.end_object().take(), R"({"a":"1","b":[1,false,{},[]],"e":""})");
}

}  // namespace
}  // namespace fleet
