#include "unit/unit_file.h"

#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.h"

namespace fleet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

using Options = std::vector<UnitOption>;

// The options of a text that has to be right.
Options options_of(std::string_view text) {
  const auto file = parse_unit_file(text);
  EXPECT_TRUE(file.has_value()) << text << ": " << (file ? "" : file.error().message);
  return file ? file->options : Options();
}

// The values of a [S] section with the option lines `lines`.
std::vector<std::string> values_in(const std::string& lines) {
  std::vector<std::string> values;
  for (const UnitOption& option : options_of("[S]\n" + lines)) values.push_back(option.value);
  return values;
}

void expect_error(const std::string& text, ErrorCode code, const std::string& start,
                  const std::string& part = "") {
  const auto file = parse_unit_file(text);
  ASSERT_FALSE(file.has_value()) << text;
  EXPECT_EQ(file.error().code, code) << file.error().message;
  EXPECT_THAT(file.error().message, StartsWith(start));
  EXPECT_THAT(file.error().message, HasSubstr(part));
}

TEST(ParseUnitFile, ReadsOptionsInOrder) {
  EXPECT_EQ(options_of("[Unit]\n"
                       "Description=Hello World\n"
                       "\n"
                       "[Service]\n"
                       "ExecStart=/bin/sleep 100000\n"
                       "Environment=\"A=1\" B=2\n"
                       "Environment=\n"),
            (Options{{"Unit", "Description", "Hello World"},
                     {"Service", "ExecStart", "/bin/sleep 100000"},
                     {"Service", "Environment", "\"A=1\" B=2"},
                     {"Service", "Environment", ""}}));
}

TEST(ParseUnitFile, TakesFilesWithoutOptions) {
  for (const std::string_view text :
       {"", "\n\n", "junk", "[]", "[Unit]", "[Unit]\n[Service]\n", "# [Unit]\\", ";", "]=x\n"}) {
    EXPECT_EQ(options_of(text), Options()) << text;
  }
}

TEST(ParseUnitFile, DropsJunkBeforeTheFirstSection) {
  EXPECT_EQ(options_of("A=1\n] junk\n[S]\nB=2\n"), (Options{{"S", "B", "2"}}));
  EXPECT_EQ(options_of("junk [S]\nB=2\n"), (Options{{"S", "B", "2"}}));
  EXPECT_EQ(options_of("\xEF\xBB\xBF[S]\nB=2\n"), (Options{{"S", "B", "2"}}));
  EXPECT_EQ(options_of("junk # [T]\n[S]\nB=2\n"), (Options{{"S", "B", "2"}}));
  expect_error("A=[1\n", ErrorCode::invalid, "line 1: unable to find end of section");
}

TEST(ParseUnitFile, DropsComments) {
  EXPECT_EQ(options_of("# a\n; b\n[S]\n# c\n  ; d\nA=1\n#e"), (Options{{"S", "A", "1"}}));
  EXPECT_EQ(options_of("[S]\nA=1 # no comment\n"), (Options{{"S", "A", "1 # no comment"}}));
}

TEST(ParseUnitFile, CommentsThatEndInABackslashTakeTheNextLine) {
  EXPECT_EQ(options_of("[S]\n# a\\\nA=1\nB=2\n"), (Options{{"S", "B", "2"}}));
  EXPECT_EQ(options_of("[S]\n# a\\ \nA=1\nB=2\n"), (Options{{"S", "B", "2"}}));
  EXPECT_EQ(options_of("[S]\n# a\\\nA=1\\\nB=2\nC=3\n"), (Options{{"S", "C", "3"}}));
  EXPECT_EQ(options_of("[S]\n# a\\  \nA=1\n"), (Options{{"S", "A", "1"}}));
  EXPECT_EQ(options_of("[S]\n# a\\\r\nA=1\n"), (Options{{"S", "A", "1"}}));
  EXPECT_EQ(options_of("# a\\\n[S]\n[T]\nA=1\n"), (Options{{"T", "A", "1"}}));
  EXPECT_EQ(options_of("[S]\n# a\\"), Options());
}

TEST(ParseUnitFile, TakesSectionNamesLiterally) {
  EXPECT_EQ(options_of("[ S [ \n]\nA=1\n"), (Options{{" S [ \n", "A", "1"}}));
  EXPECT_EQ(options_of("[]\nA=1\n"), (Options{{"", "A", "1"}}));
  EXPECT_EQ(options_of("[S] \t\r\nA=1\n"), (Options{{"S", "A", "1"}}));
  EXPECT_EQ(options_of("[S]\nA=1\n  [T]\nA=2"), (Options{{"S", "A", "1"}, {"T", "A", "2"}}));
}

TEST(ParseUnitFile, TrimsNamesAndValues) {
  EXPECT_EQ(options_of("[S]\n \t A b \t=\t c  d \r\n"), (Options{{"S", "A b", "c  d"}}));
  EXPECT_EQ(options_of("[S]\n=x\n"), (Options{{"S", "", "x"}}));
  EXPECT_EQ(options_of("[S]\nA==b=c\n"), (Options{{"S", "A", "=b=c"}}));
  EXPECT_EQ(options_of("[S]\nA=b"), (Options{{"S", "A", "b"}}));
  EXPECT_EQ(options_of("[S]\nA="), (Options{{"S", "A", ""}}));
  EXPECT_EQ(options_of("[S]\nA= \t \nB=1\n"), (Options{{"S", "A", ""}, {"S", "B", "1"}}));
}

TEST(ParseUnitFile, KnowsUnicodeWhiteSpace) {
  for (const std::string space :
       {"\v", "\f", "\xC2\x85", "\xC2\xA0", "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x8A",
        "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"}) {
    EXPECT_EQ(options_of("[S]" + space + "\n" + space + "A" + space + "=" + space + "b" + space),
              (Options{{"S", "A", "b"}}));
  }
  for (const std::string other : {"\xE2\x80\x8B", "\xC2\x86", "\x85", "\xA0", "\xE2\x80"}) {
    EXPECT_EQ(options_of("[S]\n" + other + "A=" + other), (Options{{"S", other + "A", other}}));
  }
}

TEST(ParseUnitFile, PassesRawBytes) {
  const std::string raw = std::string("\0\xff\xfe\x80", 4) + "\x1b[0m";
  EXPECT_EQ(options_of("[S]\nA=" + raw + "\n"), (Options{{"S", "A", raw}}));
}

TEST(ParseUnitFile, ContinuesValuesBehindABackslash) {
  EXPECT_THAT(values_in("A=/bin/sh -c \"\\\n  sleep 1000\"\nB=1\n"),
              ElementsAre("/bin/sh -c \"\\\n  sleep 1000\"", "1"));
  EXPECT_THAT(values_in("A= a \\\n # b \\\n[c]  \nB=1\n"), ElementsAre("a \\\n # b \\\n[c]", "1"));
  EXPECT_THAT(values_in("A=\\\nb\n"), ElementsAre("\\\nb"));
}

TEST(ParseUnitFile, BlankLinesEndAValue) {
  EXPECT_THAT(values_in("A=a \\\n\nB=1\n"), ElementsAre("a \\\n", "1"));
  EXPECT_THAT(values_in("A=a \\\n \t\nB=1\n"), ElementsAre("a \\\n", "1"));
  EXPECT_THAT(values_in("A=a\\\nb\\\n\n"), ElementsAre("a\\\nb\\\n"));
  EXPECT_THAT(values_in("A=tail \\\n"), ElementsAre("tail \\\n"));
  EXPECT_THAT(values_in("A=tail \\"), ElementsAre("tail \\"));
  EXPECT_THAT(values_in("A=\\\n"), ElementsAre("\\\n"));
}

TEST(ParseUnitFile, ContinuesOnlyBehindTheLastByte) {
  EXPECT_THAT(values_in("A=a \\ \nB=1\n"), ElementsAre("a \\", "1"));
  EXPECT_THAT(values_in("A=a \\\r\nB=1\r\n"), ElementsAre("a \\", "1"));
  EXPECT_THAT(values_in("A=a \\ b\nB=1\n"), ElementsAre("a \\ b", "1"));
}

TEST(ParseUnitFile, NamesTheLineThatIsWrong) {
  expect_error("[Service\nExecStart=x\n", ErrorCode::invalid,
               "line 1: unable to find end of section");
  expect_error("[S]\nA=1\n\n[T] x\n", ErrorCode::invalid, "line 4: found garbage", "\"T\": \"x\"");
  expect_error("[[x]]\na=b\n", ErrorCode::invalid, "line 1: found garbage", "\"]\"");
  expect_error("[S]\nA=1\nBroken\nB=2\n", ErrorCode::invalid, "line 3: unexpected newline",
               "\"Broken\"");
  expect_error("[S]\nBroken\r=x\n", ErrorCode::invalid, "line 2: unexpected newline");
  expect_error("[S]\nA=1\nBroken", ErrorCode::invalid, "line 3: EOF", "\"Broken\"");
}

TEST(ParseUnitFile, RefusesLongLines) {
  const std::string longest(limits::kUnitFileLineBytes - 3, 'x');  // and "A=" makes 2047
  EXPECT_THAT(values_in("A=" + longest + "\nB=1"), ElementsAre(longest, "1"));
  EXPECT_THAT(values_in("A=" + longest + "\r\n"), ElementsAre(longest));
  EXPECT_THAT(values_in("A=" + longest), ElementsAre(longest));
}

TEST(ParseUnitFile, RefusesLongLinesEverywhere) {
  const std::string long_line(limits::kUnitFileLineBytes, 'x');
  const std::string start = "line 2: line too long (max 2048 bytes)";
  expect_error("[S]\nA=" + long_line + "\n", ErrorCode::too_large, start);
  expect_error("[S]\nA=" + long_line.substr(2) + "\n", ErrorCode::too_large, start);
  expect_error("[S]\nA=" + long_line.substr(2), ErrorCode::too_large, start);
  expect_error("[S]\n#" + long_line + "\n", ErrorCode::too_large, start);
  expect_error("\n" + long_line, ErrorCode::too_large, start);
  expect_error("[S]\n" + long_line + "\r\n", ErrorCode::too_large, start);
  // Each line of a continued value counts for itself.
  const std::string half(1'500, 'x');
  EXPECT_THAT(values_in("A=" + half + "\\\n" + half), ElementsAre(half + "\\\n" + half));
}

TEST(ParseUnitFile, RefusesHugeFiles) {
  std::string text = "[S]\n";
  for (std::size_t i = 0; i < limits::kUnitFileOptions; ++i) text += "A=1\n";
  EXPECT_EQ(options_of(text).size(), limits::kUnitFileOptions);
  expect_error(text + "A=1\n", ErrorCode::too_large, "line 10002: too many options");

  const std::string fill(limits::kUnitFileBytes, '\n');
  EXPECT_EQ(options_of(fill), Options());
  expect_error(fill + "\n", ErrorCode::too_large, "unit file too large");
}

TEST(Serialize, GroupsSectionsByFirstAppearance) {
  const UnitFile file{{{"B", "one", "1"},
                       {"A", "two", ""},
                       {"B", "three", "3"},
                       {"", "four", "x\\\n y"},
                       {"A", "", "5"}}};
  EXPECT_EQ(serialize(file),
            "[B]\none=1\nthree=3\n"
            "\n[A]\ntwo=\n=5\n"
            "\n[]\nfour=x\\\n y\n");
}

TEST(Serialize, WritesNothingForNoOptions) {
  EXPECT_EQ(serialize({}), "");
}

TEST(UnitFile, KnowsOnWhichLineAnOptionBegins) {
  constexpr std::string_view kText =
      "# a comment\n[S]\nA=1\n\n  B = two \\\n lines\n; C=\n[T]\n=no name\nD=";
  EXPECT_EQ(line_of_option(kText, 0), 3u);
  EXPECT_EQ(line_of_option(kText, 1), 5u);
  EXPECT_EQ(line_of_option(kText, 2), 9u);
  EXPECT_EQ(line_of_option(kText, 3), 10u);
  EXPECT_EQ(line_of_option(kText, 4), 0u);
  EXPECT_EQ(line_of_option("", 0), 0u);
}

TEST(UnitFile, FindsValues) {
  const UnitFile file{{{"S", "A", "1"}, {"T", "A", "2"}, {"S", "a", "3"}, {"S", "A", "4"}}};
  EXPECT_THAT(file.values("S", "A"), ElementsAre("1", "4"));
  EXPECT_THAT(file.values("S", "B"), ElementsAre());
}

struct Named {
  std::string_view hash;
  std::string_view text;
};

// Hashes that a running 1.0 reported.
constexpr Named kRecorded[] = {
    {"f2c95611864379c4747edbab79167477cc7566d3", "[Service]\nExecStart=/bin/sleep 100000\n"},
    {"9fbc0c702b0f68cf26b0d867042a4bbd36d3bd4b",
     "[Unit]\nDescription=Hello World\n\n[Service]\nExecStart=/bin/sleep 100000\n"},
    {"b928165", "[Service]\nExecStart=/bin/sh -c \"\\\n  sleep 1000\"\nEnvironment=\"A=1\" B=2\n"},
    {"8a2e413",
     "[Service]\nExecStart=/bin/sleep "
     "100000\nEnvironment=V=2\n\n[X-Fleet]\nMachineMetadata=az=z2\n"},
    {"3f0da0e", "[Service]\nExecStart=/bin/sleep 100000\n\n[X-Fleet]\nMachineMetadata=az=z2\n"},
    {"652e558",
     "[Service]\nExecStart=/bin/sleep 100000\n\n[X-Fleet]\nMachineMetadata=az=nowhere\n"},
    {"ad33b09", "[Service]\nExecStart=/bin/sleep 100000\n\n[X-Fleet]\nConflicts=app@*.service\n"},
    {"1b380e0",
     "[Unit]\nBindsTo=app@%i.service\nAfter=app@%i.service\n\n[Service]\n"
     "ExecStart=/bin/sleep 100000\n\n[X-Fleet]\nMachineOf=app@%i.service\n"},
    {"b563664", "[Service]\nType=oneshot\nExecStart=/bin/true\n"},
    {"1fa41b0", "[Service]\nExecStart=/bin/false\n"},
};

TEST(HashOf, IsWhatFleetReported) {
  for (const Named& unit : kRecorded) {
    const UnitFile file{options_of(unit.text)};
    EXPECT_EQ(serialize(file), unit.text);
    EXPECT_THAT(hash_of(file), StartsWith(std::string(unit.hash)));
  }
}

TEST(HashOf, ChangesOnlyWithOptionsAndTheirOrder) {
  const auto hash = [](std::string_view text) { return hash_of({options_of(text)}); };
  const std::string plain = hash("[A]\nx=1\ny=2\n[B]\nz=3\n");
  EXPECT_EQ(hash("# c\n\n[A]\n x = 1\r\n\ny=2\n[B]\nz=3"), plain);
  EXPECT_EQ(hash("[A]\nx=1\n[B]\nz=3\n[A]\ny=2\n"), plain);
  EXPECT_NE(hash("[A]\ny=2\nx=1\n[B]\nz=3\n"), plain);
  EXPECT_NE(hash("[B]\nz=3\n[A]\nx=1\ny=2\n"), plain);
  EXPECT_EQ(hash(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

}  // namespace
}  // namespace fleet
