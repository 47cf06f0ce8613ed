// Reads the options of a unit file one by one, without copying (behaviour document 1.2).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"

namespace fleet {

// One option. The views point into the text that is read.
struct OptionView {
  std::string_view section;
  std::string_view name;
  std::string_view value;
};

// Takes any bytes, in time proportional to their number.
class UnitFileLexer {
 public:
  // `text` must outlive the lexer and the views that it returns.
  explicit UnitFileLexer(std::string_view text) : text_(text) {}

  // Reads the next option and returns true; returns false at the end of the text. Fails: invalid,
  // too_large; after that the lexer is of no use. Limits on the whole text fail the first call.
  Result<bool> next(OptionView& option);

 private:
  struct Line {
    std::string_view text;  // without its newline
    bool has_newline = false;
  };

  Status check_limits() const;
  Line rest_of_line();
  void skip_space();
  void skip_comment();
  Status read_section();
  Status read_option(OptionView& option);
  std::string_view read_value();
  std::unexpected<Error> fail_at(std::size_t position, ErrorCode code,
                                 const std::string& what) const;

  std::string_view text_;
  std::string_view section_;
  std::size_t position_ = 0;
  std::size_t options_ = 0;
  bool started_ = false;
  bool in_section_ = false;
};

}  // namespace fleet
