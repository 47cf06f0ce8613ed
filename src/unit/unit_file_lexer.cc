#include "unit/unit_file_lexer.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"
#include "unit/printable.h"
#include "unit/white_space.h"

namespace fleet {

Result<bool> UnitFileLexer::next(OptionView& option) {
  if (!started_) {
    started_ = true;
    if (auto status = check_limits(); !status) return std::unexpected(status.error());
  }
  while (true) {
    if (in_section_) {
      skip_space();
    } else {
      // Junk before the first section is dropped, but for comments, which may hide a '['.
      position_ = std::min(text_.find_first_of("[#;", position_), text_.size());
    }
    if (position_ == text_.size()) return false;
    const char first = text_[position_];
    if (first == '[') {
      if (auto status = read_section(); !status) return std::unexpected(status.error());
    } else if (first == '#' || first == ';') {
      skip_comment();
    } else {
      if (auto status = read_option(option); !status) return std::unexpected(status.error());
      return true;
    }
  }
}

Status UnitFileLexer::check_limits() const {
  if (text_.size() > limits::kUnitFileBytes) {
    return fail(ErrorCode::too_large, fmt::format("unit file too large: {} bytes (max {} bytes)",
                                                  text_.size(), limits::kUnitFileBytes));
  }
  for (std::size_t begin = 0; begin < text_.size();) {
    const std::size_t end = std::min(text_.find('\n', begin), text_.size());
    std::size_t bytes = end - begin;
    if (bytes > 0 && text_[end - 1] == '\r') --bytes;  // a line may end in CR LF
    if (bytes >= limits::kUnitFileLineBytes) {
      return fail_at(begin, ErrorCode::too_large,
                     fmt::format("line too long (max {} bytes)", limits::kUnitFileLineBytes));
    }
    begin = end + 1;
  }
  return {};
}

UnitFileLexer::Line UnitFileLexer::rest_of_line() {
  const std::size_t begin = position_;
  const std::size_t newline = text_.find('\n', begin);
  if (newline == std::string_view::npos) {
    position_ = text_.size();
    return {text_.substr(begin), false};
  }
  position_ = newline + 1;
  return {text_.substr(begin, newline - begin), true};
}

void UnitFileLexer::skip_space() {
  while (const std::size_t bytes = space_at_front(text_.substr(position_))) position_ += bytes;
}

// A comment takes the next line with it if it ends in a backslash, or in one and a single blank.
void UnitFileLexer::skip_comment() {
  while (true) {
    const Line line = rest_of_line();
    std::string_view text = line.text;
    if (text.ends_with(' ')) text.remove_suffix(1);
    if (!line.has_newline || !text.ends_with('\\')) return;
  }
}

Status UnitFileLexer::read_section() {
  const std::size_t begin = position_ + 1;
  const std::size_t end = text_.find(']', begin);
  if (end == std::string_view::npos) {
    return fail_at(position_, ErrorCode::invalid,
                   "unable to find end of section: \"]\" is missing");
  }
  section_ = text_.substr(begin, end - begin);
  in_section_ = true;
  position_ = end + 1;
  const std::string_view garbage = trimmed(rest_of_line().text);
  if (!garbage.empty()) {
    return fail_at(end, ErrorCode::invalid,
                   fmt::format("found garbage after section name {}: {}", printable(section_),
                               printable(garbage)));
  }
  return {};
}

Status UnitFileLexer::read_option(OptionView& option) {
  const std::size_t begin = position_;
  // By hand: find_first_of is several times slower, and names are most of what is looked at singly.
  std::size_t end = begin;
  while (end < text_.size() && text_[end] != '=' && text_[end] != '\n' && text_[end] != '\r') ++end;
  const std::string_view name = trimmed(text_.substr(begin, end - begin));
  if (end == text_.size()) {
    return fail_at(begin, ErrorCode::invalid,
                   fmt::format("EOF after option name {}: \"=\" is missing", printable(name)));
  }
  if (text_[end] != '=') {
    return fail_at(begin, ErrorCode::invalid,
                   fmt::format("unexpected newline encountered while parsing option name {}: \"=\" "
                               "is missing",
                               printable(name)));
  }
  if (++options_ > limits::kUnitFileOptions) {
    return fail_at(
        begin, ErrorCode::too_large,
        fmt::format("too many options in a unit file (max {})", limits::kUnitFileOptions));
  }
  position_ = end + 1;
  option = {section_, name, read_value()};
  return {};
}

// A line whose last byte is a backslash goes on in the next one. The value keeps backslash, newline
// and next line as they are, so that it is one piece of the text. A blank line ends it and leaves
// backslash and newline as its last bytes.
std::string_view UnitFileLexer::read_value() {
  const std::size_t begin = position_;
  std::size_t end = begin;
  while (true) {
    const std::size_t line_begin = position_;
    const Line line = rest_of_line();
    if (trimmed(line.text).empty()) break;
    end = line_begin + line.text.size();
    if (!line.text.ends_with('\\') || !line.has_newline) break;
    ++end;
  }
  const std::string_view raw = text_.substr(begin, end - begin);
  const std::string_view value = trimmed(raw);
  // A final newline stands directly behind its backslash, where trimming has stopped.
  return raw.ends_with('\n') ? std::string_view(value.data(), value.size() + 1) : value;
}

std::unexpected<Error> UnitFileLexer::fail_at(std::size_t position, ErrorCode code,
                                              const std::string& what) const {
  const auto line = 1 + std::ranges::count(text_.substr(0, position), '\n');
  return fail(code, fmt::format("line {}: {}", line, what));
}

}  // namespace fleet
