#include "api/json/json_reader.h"

#include <algorithm>

#include <fmt/format.h>

#include "api/json/json_writer.h"
#include "base/limits.h"

namespace fleet {
namespace {

namespace json = boost::json;

std::string plain(const json::string& text) {
  return to_valid_utf8(std::string_view(text.data(), text.size()));
}

bool equal_in_any_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  return std::ranges::equal(a, b, {}, lower, lower);
}

}  // namespace

Result<JsonReader::Value> JsonReader::parse(std::string_view text) {
  json::parse_options options;
  options.max_depth = limits::kJsonDepth;
  options.allow_invalid_utf8 = true;  // mended where a text is read
  json::stream_parser parser({}, options);
  boost::system::error_code code;
  // Ends with the first value; what follows it is not looked at.
  parser.write_some(text.data(), text.size(), code);
  if (!code && !parser.done()) parser.finish(code);
  if (code) return fail(ErrorCode::invalid, fmt::format("not valid JSON: {}", code.message()));
  return parser.release();
}

void JsonReader::text(std::string_view what, const Value& value, std::string& out) {
  if (value.is_null()) return;
  if (!value.is_string()) return wrong_type(what, "a string");
  out = plain(value.get_string());
}

void JsonReader::flag(std::string_view what, const Value& value, bool& out) {
  if (value.is_null()) return;
  if (!value.is_bool()) return wrong_type(what, "true or false");
  out = value.get_bool();
}

void JsonReader::number(std::string_view what, const Value& value, std::int64_t& out) {
  if (value.is_null()) return;
  if (!value.is_int64()) return wrong_type(what, "a whole number");
  out = value.get_int64();
}

void JsonReader::texts(std::string_view what, const Value& value, std::vector<std::string>& out) {
  array(what, value, out,
        [&](const Value& element, std::string& one) { text(what, element, one); });
}

void JsonReader::texts(std::string_view what, const Value& value,
                       std::map<std::string, std::string>& out) {
  if (value.is_null()) return;
  if (!value.is_object()) return wrong_type(what, "an object");
  for (const json::key_value_pair& member : value.get_object()) {
    const std::string key = to_valid_utf8({member.key().data(), member.key().size()});
    text(what, member.value(), out[key]);
  }
}

void JsonReader::object(std::string_view what, const Value& value,
                        std::initializer_list<Member> members) {
  if (value.is_null()) return;
  if (!value.is_object()) return wrong_type(what, "an object");
  for (const json::key_value_pair& given : value.get_object()) {
    const std::string_view name(given.key().data(), given.key().size());
    for (const Member& member : members) {
      if (equal_in_any_case(name, member.name)) member.read(given.value());
    }
  }
}

void JsonReader::wrong_type(std::string_view what, std::string_view wanted) {
  if (error_.empty()) error_ = fmt::format("{} must be {}", what, wanted);
}

}  // namespace fleet
