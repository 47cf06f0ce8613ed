// Reads JSON as fleet 1.0 does: member names match in any case, members without a meaning and
// whatever follows the first value are ignored, null leaves things as they are, and any other value
// of the wrong type is an error. Includes Boost.JSON: for the .cc files of this folder only.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>

#include "base/error.h"

namespace fleet {

class JsonReader {
 public:
  using Value = boost::json::value;
  struct Member {
    std::string_view name;
    std::function<void(const Value&)> read;
  };

  // Fails: invalid.
  static Result<Value> parse(std::string_view text);

  // Each takes a value that belongs to what `what` names, for the message.
  void text(std::string_view what, const Value& value, std::string& out);
  void flag(std::string_view what, const Value& value, bool& out);
  void number(std::string_view what, const Value& value, std::int64_t& out);
  void texts(std::string_view what, const Value& value, std::vector<std::string>& out);
  void texts(std::string_view what, const Value& value, std::map<std::string, std::string>& out);
  void object(std::string_view what, const Value& value, std::initializer_list<Member> members);

  // An array whose elements `read_one` makes; a null among them is an error.
  template <class T, class ReadOne>
  void array(std::string_view what, const Value& value, std::vector<T>& out, ReadOne read_one) {
    if (value.is_null()) return out.clear();
    if (!value.is_array()) return wrong_type(what, "an array");
    out.clear();
    for (const Value& element : value.get_array()) {
      if (element.is_null()) return wrong_type(what, "an array without nulls");
      out.emplace_back();
      read_one(element, out.back());
      if (!error_.empty()) return;
    }
  }

  void wrong_type(std::string_view what, std::string_view wanted);

  template <class T>
  Result<T> finish(T entity) const {
    if (!error_.empty()) return fail(ErrorCode::invalid, error_);
    return entity;
  }

 private:
  std::string error_;  // the first
};

}  // namespace fleet
