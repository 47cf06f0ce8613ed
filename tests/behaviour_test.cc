// docs/fleet-1.0-behaviour.md, section 8: what is documented of 1.0, or to be expected, and what it
// does. Each of its rows is kept or fixed on purpose, so each has a test that says so: a comment
// "section 8, row N" stands at it.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fleet {
namespace {

namespace fs = std::filesystem;

bool is_test(const fs::path& file) {
  const std::string name = file.filename();
  return name.ends_with("_test.cc") || name.starts_with("test_") || file.extension() == ".txt";
}

std::string read(const fs::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::set<int> rows_of_section_8() {
  const std::string text = read(FLEET_SOURCE_DIR "/docs/fleet-1.0-behaviour.md");
  const std::size_t begin = text.find("\n## 8.");
  const std::string section = text.substr(begin, text.find("\n## 9.") - begin);
  static const std::regex kRow("\\n\\| ([0-9]+) \\|");
  std::set<int> rows;
  for (std::sregex_iterator it(section.begin(), section.end(), kRow), end; it != end; ++it) {
    rows.insert(std::stoi((*it)[1]));
  }
  return rows;
}

std::set<int> rows_named_in(const fs::path& file) {
  const std::string text = read(file);
  static const std::regex kTag("[Ss]ection 8, rows? ([0-9]+)(?: and ([0-9]+))?");
  std::set<int> rows;
  for (std::sregex_iterator it(text.begin(), text.end(), kTag), end; it != end; ++it) {
    rows.insert(std::stoi((*it)[1]));
    if ((*it)[2].matched) rows.insert(std::stoi((*it)[2]));
  }
  return rows;
}

TEST(BehaviourDocument, EveryRowOfSection8HasATest) {
  std::set<int> named;
  for (const char* folder : {"/src", "/tests"}) {
    for (const auto& entry :
         fs::recursive_directory_iterator(std::string(FLEET_SOURCE_DIR) + folder)) {
      if (entry.is_regular_file() && is_test(entry.path())) named.merge(rows_named_in(entry));
    }
  }
  const std::set<int> rows = rows_of_section_8();
  EXPECT_EQ(rows.size(), 58u);
  EXPECT_THAT(named, testing::ElementsAreArray(rows));
}

}  // namespace
}  // namespace fleet
