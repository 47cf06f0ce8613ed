#include "cluster/values.h"

#include <algorithm>
#include <concepts>
#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/limits.h"
#include "base/sha1.h"
#include "unit/unit_name.h"

namespace fleet {
namespace {

namespace json = boost::json;

constexpr std::int64_t kVersion = 1;

// Boost 1.81 has a string view of its own.
json::string_view view(std::string_view text) {
  return {text.data(), text.size()};
}

// Writes a value member by member; the order of the calls is the order in the text.
class Writer {
 public:
  Writer() { add("v", kVersion); }

  void add(std::string_view name, bool value) { begin(name).append(value ? "true" : "false"); }
  template <std::integral Number>
  void add(std::string_view name, Number value) {
    begin(name).append(std::to_string(value));
  }
  void add_text(std::string_view name, std::string_view text) { quote(text, begin(name)); }
  void add_list(std::string_view name, const std::vector<std::string>& texts) {
    if (texts.empty()) return;
    char separator = '[';
    for (std::string& out = begin(name); const std::string& text : texts) {
      out += std::exchange(separator, ',');
      quote(text, out);
    }
    out_ += ']';
  }
  void add_texts(std::string_view name, const std::map<std::string, std::string>& texts) {
    if (texts.empty()) return;
    char separator = '{';
    for (std::string& out = begin(name); const auto& [key, text] : texts) {
      out += std::exchange(separator, ',');
      quote(key, out);
      out += ':';
      quote(text, out);
    }
    out_ += '}';
  }
  // Left out where it says nothing, to keep values short for people to read.
  void add_unless_empty(std::string_view name, const std::string& text) {
    if (!text.empty()) add_text(name, text);
  }

  std::string finish() {
    out_ += '}';
    return std::move(out_);
  }

 private:
  std::string& begin(std::string_view name) {
    out_ += out_.empty() ? '{' : ',';
    quote(name, out_);
    out_ += ':';
    return out_;
  }

  // RFC 8259, 7. Bytes that are no UTF-8 go as they are: unit files may hold any.
  static void quote(std::string_view text, std::string& out) {
    out += '"';
    for (std::size_t done = 0; done < text.size();) {
      const auto special = std::find_if(
          text.begin() + static_cast<std::ptrdiff_t>(done), text.end(),
          [](char c) { return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20; });
      const auto at = static_cast<std::size_t>(special - text.begin());
      out.append(text, done, at - done);
      done = at + 1;
      if (special == text.end()) break;
      if (*special == '\n') {
        out += "\\n";
      } else if (static_cast<unsigned char>(*special) < 0x20) {
        out += fmt::format("\\u{:04x}", static_cast<unsigned>(*special));
      } else {
        out += '\\';
        out += *special;
      }
    }
    out += '"';
  }

  std::string out_;
};

enum class Need { required, optional };

// Reads a value member by member and keeps the first thing that is wrong.
class Reader {
 public:
  explicit Reader(std::string_view text) {
    parse(text);
    if (good()) check_version();
  }

  void text(std::string_view name, std::string& out, Need need) {
    if (const json::value* value = find(name, need)) {
      if (!value->is_string()) return wrong_type(name, "a string");
      out.assign(value->get_string().data(), value->get_string().size());
    }
  }

  void flag(std::string_view name, bool& out) {
    if (const json::value* value = find(name, Need::optional)) {
      if (!value->is_bool()) return wrong_type(name, "true or false");
      out = value->get_bool();
    }
  }

  template <std::integral Number>
  void number(std::string_view name, Number& out) {
    if (const json::value* value = find(name, Need::optional)) {
      boost::system::error_code code;
      const Number number = value->to_number<Number>(code);
      if (code || number < 0 || value->is_double()) return wrong_type(name, "a whole number");
      out = number;
    }
  }

  void state(std::string_view name, UnitState& out) {
    std::string word;
    text(name, word, Need::required);
    if (!error_.message.empty()) return;
    const Result<UnitState> parsed = parse_unit_state(word);
    if (!parsed) return invalid(fmt::format("\"{}\": {}", name, parsed.error().message));
    out = *parsed;
  }

  void list(std::string_view name, std::vector<std::string>& out) {
    const json::value* value = find(name, Need::optional);
    if (value == nullptr) return;
    if (!value->is_array()) return wrong_type(name, "a list of strings");
    for (const json::value& item : value->get_array()) {
      if (!item.is_string()) return wrong_type(name, "a list of strings");
      out.emplace_back(item.get_string());
    }
  }

  void texts(std::string_view name, std::map<std::string, std::string>& out) {
    const json::value* value = find(name, Need::optional);
    if (value == nullptr) return;
    if (!value->is_object()) return wrong_type(name, "an object of strings");
    for (const json::key_value_pair& member : value->get_object()) {
      if (!member.value().is_string()) return wrong_type(name, "an object of strings");
      out[std::string(member.key())] = std::string(member.value().get_string());
    }
  }

  void invalid(std::string message) {
    if (error_.message.empty()) error_ = {ErrorCode::invalid, std::move(message)};
  }

  void check_hash(const std::string& text, const std::string& hash) {
    const std::string actual = sha1_hex(text);
    if (actual != hash) invalid(fmt::format("the hash of the text is {}, not {}", actual, hash));
  }

  bool good() const { return error_.message.empty(); }

  template <class T>
  Result<T> finish(T record) const {
    if (!good()) return std::unexpected(error_);
    return record;
  }

 private:
  void parse(std::string_view text) {
    if (text.size() > limits::kRegistryValueBytes) {
      error_ = {ErrorCode::too_large, fmt::format("the value has {} bytes; the limit is {}",
                                                  text.size(), limits::kRegistryValueBytes)};
      return;
    }
    json::parse_options options;
    options.max_depth = limits::kJsonDepth;
    // Unit files may hold any bytes, and what was written must be read back the same.
    options.allow_invalid_utf8 = true;
    json::parser parser({}, options);
    boost::system::error_code code;
    parser.write(view(text), code);
    if (code) return invalid(fmt::format("not JSON: {}", code.message()));
    json::value value = parser.release();
    if (!value.is_object()) return invalid("not a JSON object");
    object_ = std::move(value.get_object());
  }

  const json::value* find(std::string_view name, Need need) {
    if (!good()) return nullptr;
    const json::value* value = object_.if_contains(view(name));
    if (value == nullptr && need == Need::required) {
      invalid(fmt::format("the member \"{}\" is missing", name));
    }
    return value;
  }

  void wrong_type(std::string_view name, std::string_view wanted) {
    invalid(fmt::format("\"{}\" is not {}", name, wanted));
  }

  void check_version() {
    const json::value* value = object_.if_contains("v");
    if (value == nullptr) return invalid("the format version \"v\" is missing");
    if (!value->is_int64() || value->get_int64() != kVersion) {
      invalid(fmt::format("format version {} is not known here; this fleet reads version {}",
                          json::serialize(*value), kVersion));
    }
  }

  json::object object_;
  Error error_;
};

}  // namespace

std::string_view to_string(UnitState state) {
  switch (state) {
    case UnitState::inactive:
      return "inactive";
    case UnitState::loaded:
      return "loaded";
    case UnitState::launched:
      return "launched";
  }
  return "inactive";
}

Result<UnitState> parse_unit_state(std::string_view word) {
  for (UnitState state : {UnitState::inactive, UnitState::loaded, UnitState::launched}) {
    if (word == to_string(state)) return state;
  }
  // What was given may be long and from anywhere: only its start is repeated.
  constexpr std::size_t kShown = 40;
  return fail(ErrorCode::invalid,
              fmt::format("unit state \"{}{}\" is not one of inactive, loaded, launched",
                          word.substr(0, kShown), word.size() > kShown ? "..." : ""));
}

UnitRecord make_unit_record(std::string_view name, const UnitFile& file) {
  UnitRecord record;
  record.text = serialize(file);
  record.hash = sha1_hex(record.text);
  // The text is what every reader will see, so the requirements are the text's: an option that is
  // named `a=b` reads back as `a` with a longer value.
  const UnitName parts = split_unit_name(name);
  Result<Requirements> read_back = requirements_of(record.text, parts);
  record.requirements = read_back ? std::move(*read_back) : requirements_of(file, parts);
  return record;
}

std::string encode(const UnitRecord& record) {
  Writer out;
  out.add_text("hash", record.hash);
  out.add_text("text", record.text);
  return out.finish();
}

std::string encode(const TargetRecord& record) {
  Writer out;
  out.add_text("state", to_string(record.state));
  if (record.destroyed) out.add("destroyed", true);
  if (record.restarts != 0) out.add("restarts", record.restarts);
  return out.finish();
}

std::string encode(const ScheduleRecord& record) {
  Writer out;
  out.add_text("state", to_string(record.state));
  out.add_unless_empty("hash", record.hash);
  if (record.restarts != 0) out.add("restarts", record.restarts);
  out.add_list("after", record.after);
  out.add("term", record.term);
  out.add_unless_empty("reason", record.reason);
  out.add_unless_empty("text", record.text);
  return out.finish();
}

std::string encode(const MachineRecord& record) {
  Writer out;
  out.add_text("id", record.id);
  out.add_unless_empty("public_ip", record.public_ip);
  out.add_texts("metadata", record.metadata);
  out.add_unless_empty("version", record.version);
  out.add_unless_empty("boot_id", record.boot_id);
  if (record.leaving) out.add("leaving", true);
  return out.finish();
}

std::string encode(const StateRecord& record) {
  Writer out;
  out.add_text("current", to_string(record.current));
  out.add_unless_empty("hash", record.hash);
  out.add_unless_empty("load_state", record.load_state);
  out.add_unless_empty("active_state", record.active_state);
  out.add_unless_empty("sub_state", record.sub_state);
  out.add_unless_empty("problem", record.problem);
  if (record.restarts != 0) out.add("restarts", record.restarts);
  return out.finish();
}

Result<UnitRecord> decode_unit(std::string_view name, std::string_view json) {
  UnitRecord record;
  Reader in(json);
  in.text("hash", record.hash, Need::required);
  in.text("text", record.text, Need::required);
  if (in.good()) {
    in.check_hash(record.text, record.hash);
    if (Result<Requirements> wanted = requirements_of(record.text, split_unit_name(name))) {
      record.requirements = std::move(*wanted);
    } else {
      return std::unexpected(with_context(wanted.error(), "the unit file cannot be read"));
    }
  }
  return in.finish(std::move(record));
}

Result<TargetRecord> decode_target(std::string_view json) {
  TargetRecord record;
  Reader in(json);
  in.state("state", record.state);
  in.flag("destroyed", record.destroyed);
  in.number("restarts", record.restarts);
  return in.finish(record);
}

Result<ScheduleRecord> decode_schedule(std::string_view json) {
  ScheduleRecord record;
  Reader in(json);
  in.state("state", record.state);
  in.text("hash", record.hash, Need::optional);
  in.number("restarts", record.restarts);
  in.list("after", record.after);
  in.number("term", record.term);
  in.text("reason", record.reason, Need::optional);
  in.text("text", record.text, Need::optional);
  // The file and its hash are one: what is not whole must not be put in place of what runs.
  const bool has_file =
      record.state != UnitState::inactive || !record.text.empty() || !record.hash.empty();
  if (in.good() && has_file) in.check_hash(record.text, record.hash);
  return in.finish(std::move(record));
}

Result<MachineRecord> decode_machine(std::string_view json) {
  MachineRecord record;
  Reader in(json);
  in.text("id", record.id, Need::required);
  in.text("public_ip", record.public_ip, Need::optional);
  in.texts("metadata", record.metadata);
  in.text("version", record.version, Need::optional);
  in.text("boot_id", record.boot_id, Need::optional);
  in.flag("leaving", record.leaving);
  return in.finish(std::move(record));
}

Result<StateRecord> decode_state(std::string_view json) {
  StateRecord record;
  Reader in(json);
  in.state("current", record.current);
  in.text("hash", record.hash, Need::optional);
  in.text("load_state", record.load_state, Need::optional);
  in.text("active_state", record.active_state, Need::optional);
  in.text("sub_state", record.sub_state, Need::optional);
  in.text("problem", record.problem, Need::optional);
  in.number("restarts", record.restarts);
  return in.finish(std::move(record));
}

}  // namespace fleet
