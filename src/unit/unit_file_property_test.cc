// What holds for every text, tried on texts made of the bytes that mean something to the lexer.
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "unit/requirements.h"
#include "unit/unit_file.h"

namespace fleet {
namespace {

class TextMaker {
 public:
  std::string next() {
    static constexpr std::string_view kPieces[] = {
        "[",  "]",    "=", "#",    ";",        "\\",       "\n",   "\r",         " ",
        "\t", "\n[S", "x", "\\\n", "\xC2\x85", "\xE2\x80", "\xFF", "[S]\n",      "\n[T]\n",
        "\"", "A=b",  "%", "%n",   "\n\n",     "A=b\n",    "*",    "[X-Fleet]\n"};
    std::string text;
    const std::uint64_t length = random() % 40;
    for (std::uint64_t i = 0; i < length; ++i) text += kPieces[random() % std::size(kPieces)];
    return text;
  }

 private:
  std::uint64_t random() {  // xorshift64
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }

  std::uint64_t state_ = 0x9E3779B97F4A7C15;
};

// A backslash at the end of a value can swallow the next option when the text is first read back
// (as in 1.0); from then on the text is its own normal form.
TEST(UnitFileProperty, TheWrittenTextReadsBackAndSettles) {
  TextMaker maker;
  int parsed = 0;
  int with_options = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::string text = maker.next();
    const auto file = parse_unit_file(text);
    if (!file) continue;
    ++parsed;
    if (!file->options.empty()) ++with_options;
    const auto stored = parse_unit_file(serialize(*file));
    ASSERT_TRUE(stored.has_value()) << testing::PrintToString(text);
    const std::string normal = serialize(*stored);
    const auto again = parse_unit_file(normal);
    ASSERT_TRUE(again.has_value()) << testing::PrintToString(text);
    ASSERT_EQ(serialize(*again), normal) << testing::PrintToString(text);
  }
  EXPECT_GT(parsed, 10'000);
  EXPECT_GT(with_options, 5'000);
}

TEST(UnitFileProperty, NothingIsLostButWhatIsTrimmed) {
  TextMaker maker;
  for (int i = 0; i < 100'000; ++i) {
    const auto file = parse_unit_file(maker.next());
    if (!file) continue;
    for (const UnitOption& option : file->options) {
      ASSERT_FALSE(option.section.contains(']'));
      ASSERT_FALSE(option.name.contains('='));
      ASSERT_FALSE(option.name.contains('\n'));
      ASSERT_FALSE(option.value.starts_with(' '));
      ASSERT_FALSE(option.value.ends_with(' '));
    }
  }
}

// Requirements and checks take whatever the lexer lets through.
TEST(UnitFileProperty, RequirementsTakeEveryFile) {
  TextMaker maker;
  const UnitName name = split_unit_name("pin@1.service");
  for (int i = 0; i < 20'000; ++i) {
    const auto file = parse_unit_file("[X-Fleet]\nConflicts=" + maker.next());
    if (!file) continue;
    const Requirements wanted = requirements_of(*file, name);
    for (const std::string& glob : wanted.conflicts) ASSERT_FALSE(glob.empty());
    ASSERT_TRUE(check_unit_file(*file).has_value() || !wanted.machine_of.empty() ||
                wanted.machine_id || !wanted.replaces.empty());
    (void)option_warnings(*file);
  }
}

// The largest files of the nastiest kinds take no longer than their size makes them.
TEST(UnitFileProperty, TheLargestFilesStayCheap) {
  const auto filled = [](std::string text, const std::string& with) {
    while (text.size() + with.size() <= limits::kUnitFileBytes - 16) text += with;
    return text;
  };
  const auto begin = std::chrono::steady_clock::now();
  for (const std::string& text :
       {filled("", "[\n"), filled("[S]\n", "#\\\n"), filled("[S]\nA=", "x\\\n"),
        filled("[S]\n", " \n"), filled("[S]\n", "[S]\n"), filled("", "[a]\n[b]\n"),
        filled("[S]\nA=", "\\\n"), filled("", "\xC2\x85\n"), filled("[S]\n", "\xE2\x80\x80\n")}) {
    const auto file = parse_unit_file(text);
    if (file) (void)check_unit_file(*file);
  }
  std::string sections;
  for (int i = 0; i < 10'000; ++i) sections += "[" + std::to_string(i) + "]\nA=b\n";
  const auto file = parse_unit_file(sections);
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(parse_unit_file(serialize(*file)), file);

  std::string metadata = "[X-Fleet]\nMachineMetadata=";
  for (int i = 0; i < 20'000; ++i) metadata += "\"k" + std::to_string(i) + "=v\" \\\n";
  const auto many = parse_unit_file(metadata + "\"a=b\"\n");
  ASSERT_TRUE(many.has_value());
  EXPECT_GT(requirements_of(*many, split_unit_name("a.service")).metadata.size(), 20'000u);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

}  // namespace
}  // namespace fleet
