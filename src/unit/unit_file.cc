#include "unit/unit_file.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include "base/limits.h"
#include "base/sha1.h"
#include "unit/unit_file_lexer.h"

namespace fleet {
namespace {

// Most options are at least this long: a guess that saves the vector from growing in steps.
constexpr std::size_t kUsualOptionBytes = 32;

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// The options of a unit file by section: a list through `next` for each section.
struct SectionOrder {
  struct Section {
    std::size_t first_option;
    std::size_t last_option;
  };

  std::vector<Section> sections;  // in order of first appearance
  std::vector<std::size_t> next;  // by option: the next one of its section
};

SectionOrder order_by_section(const std::vector<UnitOption>& options) {
  SectionOrder order;
  order.next.resize(options.size(), kNone);
  std::map<std::string_view, std::size_t> section_by_name;
  std::size_t current = kNone;
  for (std::size_t i = 0; i < options.size(); ++i) {
    // Options of one section mostly stand together, which saves the look-up.
    if (i == 0 || options[i].section != options[i - 1].section) {
      const auto [it, is_new] =
          section_by_name.try_emplace(options[i].section, order.sections.size());
      current = it->second;
      if (is_new) {
        order.sections.push_back({i, i});
        continue;
      }
    }
    auto& section = order.sections[current];
    order.next[section.last_option] = i;
    section.last_option = i;
  }
  return order;
}

}  // namespace

std::vector<std::string> UnitFile::values(std::string_view section, std::string_view name) const {
  std::vector<std::string> found;
  for (const UnitOption& option : options) {
    if (option.section == section && option.name == name) found.push_back(option.value);
  }
  return found;
}

Result<UnitFile> parse_unit_file(std::string_view text) {
  UnitFile file;
  file.options.reserve(std::min(text.size(), limits::kUnitFileBytes) / kUsualOptionBytes);
  UnitFileLexer lexer(text);
  OptionView option;
  while (true) {
    const auto more = lexer.next(option);
    if (!more) return std::unexpected(more.error());
    if (!*more) return file;
    file.options.emplace_back(std::string(option.section), std::string(option.name),
                              std::string(option.value));
  }
}

std::size_t line_of_option(std::string_view text, std::size_t index) {
  UnitFileLexer lexer(text);
  OptionView option;
  for (std::size_t i = 0; i <= index; ++i) {
    const auto more = lexer.next(option);
    if (!more || !*more) return 0;
  }
  const char* begin = option.name.empty() ? option.value.data() : option.name.data();
  const auto newlines = std::count(text.data(), begin, '\n');
  return static_cast<std::size_t>(newlines) + 1;
}

std::string serialize(const UnitFile& file) {
  const SectionOrder order = order_by_section(file.options);
  std::size_t bytes = 0;
  for (const UnitOption& option : file.options) {
    bytes += option.name.size() + option.value.size() + 2;
  }
  for (const auto& section : order.sections) {
    bytes += file.options[section.first_option].section.size() + 4;
  }

  std::string text;
  text.reserve(bytes);
  for (const auto& section : order.sections) {
    if (!text.empty()) text += '\n';
    text.append("[").append(file.options[section.first_option].section).append("]\n");
    for (std::size_t i = section.first_option; i != kNone; i = order.next[i]) {
      const UnitOption& option = file.options[i];
      text.append(option.name).append("=").append(option.value).append("\n");
    }
  }
  return text;
}

std::string hash_of(const UnitFile& file) {
  return sha1_hex(serialize(file));
}

}  // namespace fleet
