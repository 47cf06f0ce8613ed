#include "base/glob.h"

#include <chrono>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace fleet {
namespace {

struct Case {
  std::string_view pattern;
  std::string_view text;
  bool matches;
};

// The documented behaviour of Go's path.Match, which defines 1.0's patterns.
constexpr Case kCases[] = {
    {"abc", "abc", true},
    {"abc", "abcd", false},
    {"", "", true},
    {"", "a", false},
    {"*", "", true},
    {"*", "abc", true},
    {"*", "a/b", false},
    {"**", "abc", true},
    {"*c", "abc", true},
    {"*c", "abcd", false},
    {"a*", "a", true},
    {"a*", "abc", true},
    {"a*", "ab/c", false},
    {"a*/b", "abc/b", true},
    {"a*/b", "a/c/b", false},
    {"a*b*c*d*e*/f", "axbxcxdxe/f", true},
    {"a*b*c*d*e*/f", "axbxcxdxexxx/f", true},
    {"a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false},
    {"a*b*c*d*e*/f", "axbxcxdxexxx/fff", false},
    {"a*b?c*x", "abxbbxdbxebxczzx", true},
    {"a*b?c*x", "abxbbxdbxebxczzy", false},
    {"*x", "xxx", true},
    {"ab[c]", "abc", true},
    {"ab[b-d]", "abc", true},
    {"ab[e-g]", "abc", false},
    {"ab[^c]", "abc", false},
    {"ab[^b-d]", "abc", false},
    {"ab[^e-g]", "abc", true},
    {"ab[!c]", "abd", false},  // '!' is no negation
    {"ab[!c]", "ab!", true},
    {"ab[*]", "ab*", true},
    {"ab[*]", "abc", false},
    {"a?b", "a/b", false},
    {"a*b", "a/b", false},
    {"a[/]b", "a/b", true},
    {"a?", "a", false},
    {"a[a-z]", "a", false},
    {"A*", "abc", false},
    {"{a,b}", "a", false},
    {"{a,b}", "{a,b}", true},
};

constexpr Case kEscapes[] = {
    {"a\\*b", "a*b", true},
    {"a\\*b", "ab", false},
    {"a\\*b", "axb", false},
    {"a\\x2db.service", "a\\x2db.service", false},  // an escaped name is not its own pattern
    {"a\\\\x2db.service", "a\\x2db.service", true},
    {"[\\]a]", "]", true},
    {"[\\-]", "-", true},
    {"[x\\-]", "x", true},
    {"[x\\-]", "-", true},
    {"[x\\-]", "z", false},
    {"[\\-x]", "x", true},
    {"[\\-x]", "-", true},
    {"[\\-x]", "a", false},
};

constexpr Case kMalformed[] = {
    {"[]a]", "]", false},     {"[-]", "-", false},     {"[x-]", "x", false}, {"[x-]", "-", false},
    {"[-x]", "x", false},     {"[a-b-c]", "a", false}, {"[", "a", false},    {"[", "[", false},
    {"[^", "a", false},       {"[^bc", "a", false},    {"[a", "a", false},   {"a[", "a", false},
    {"a[", "ab", false},      {"a\\", "a\\", false},   {"\\", "\\", false},  {"*[", "a", false},
    {"[a-\xff]", "b", false}, {"[bad", "[bad", false}, {"[]", "a", false},
};

constexpr Case kBeyondAscii[] = {
    {"a?b",
     "a\xe2\x98\xba"
     "b",
     true},  // one character of three bytes
    {"a???b",
     "a\xe2\x98\xba"
     "b",
     false},
    {"a[^a]b",
     "a\xe2\x98\xba"
     "b",
     true},
    {"a[^a][^a][^a]b",
     "a\xe2\x98\xba"
     "b",
     false},
    {"[a-\xce\xb6]*", "\xce\xb1", true},
    {"*[a-\xce\xb6]", "A", false},
    {"?", "\xff", true},  // a malformed byte is one character
    {"??", "\xe2\x98", true},
    {"?", "\xe2\x98", false},
    {"?", "\xed\xa0\x80", false},  // no surrogates, no over-long forms
    {"?", "\xc0\x80", false},
    {"?", "\xf0\x9f\x98\x80", true},
};

// What units use.
constexpr Case kUnitNames[] = {
    {"apache@*.service", "apache@1.service", true},
    {"apache@*.service", "apache-discovery@1.service", false},
    {"app@*", "app@.service", true},
    {"webapp*", "webapp.eu.service", true},
    {"*", "a.service", true},
    {"web.service", "web_service", false},
};

void expect_all(const auto& cases) {
  for (const Case& c : cases) {
    EXPECT_EQ(glob_match(c.pattern, c.text), c.matches)
        << "'" << c.pattern << "' '" << c.text << "'";
  }
}

TEST(Glob, MatchesAsGoDoes) {
  expect_all(kCases);
}

TEST(Glob, TakesEscapedCharactersLiterally) {
  expect_all(kEscapes);
}

TEST(Glob, MalformedPatternsMatchNothing) {
  expect_all(kMalformed);
}

TEST(Glob, CountsCharactersNotBytes) {
  expect_all(kBeyondAscii);
}

TEST(Glob, MatchesUnitNames) {
  expect_all(kUnitNames);
}

// Matchers that try every split of the text for every star need ages here.
TEST(Glob, ManyStarsStayCheap) {
  std::string pattern;
  for (int i = 0; i < 1'000; ++i) pattern += "a*";
  const std::string text(4'000, 'a');
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(glob_match(pattern, text));
  EXPECT_FALSE(glob_match(pattern + "b", text));
  EXPECT_FALSE(glob_match("*" + std::string(2'000, 'a') + "b", text));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

}  // namespace
}  // namespace fleet
