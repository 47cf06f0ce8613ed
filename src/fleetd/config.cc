#include "fleetd/config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

namespace fleet {

namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n\v\f";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::string to_lower(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

Result<long long> parse_integer(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  errno = 0;
  const long long number = std::strtoll(copy.c_str(), &end, 0);  // 0x and leading 0, as 1.0
  if (copy.empty() || *end != '\0' || errno != 0) {
    return fail(ErrorCode::invalid, fmt::format("\"{}\" is not a whole number", text));
  }
  return number;
}

Result<long long> parse_integer_between(std::string_view text, long long low, long long high) {
  auto number = parse_integer(text);
  if (number && (*number < low || *number > high)) {
    return fail(ErrorCode::invalid, fmt::format("{} is not between {} and {}", *number, low, high));
  }
  return number;
}

Result<bool> parse_bool(std::string_view text) {
  for (const char* word : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == word) return true;
  }
  for (const char* word : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == word) return false;
  }
  return fail(ErrorCode::invalid, fmt::format("\"{}\" is neither true nor false", text));
}

Result<double> parse_seconds(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double seconds = std::strtod(copy.c_str(), &end);
  if (copy.empty() || *end != '\0' || !std::isfinite(seconds)) {
    return fail(ErrorCode::invalid, fmt::format("\"{}\" is not a number of seconds", text));
  }
  return seconds;
}

std::vector<std::string> parse_list(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    constexpr std::string_view kAround = " \t[]\"";
    const std::size_t first = item.find_first_not_of(kAround);
    if (first != std::string_view::npos) {
      items.emplace_back(item.substr(first, item.find_last_not_of(kAround) - first + 1));
    }
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return items;
}

using Setter = std::function<Status(Config&, const std::string& value)>;

// Stores what `parse` made of the value into a member of the configuration.
template <class Parsed, class Member>
Setter set(Result<Parsed> (*parse)(std::string_view), Member Config::*member) {
  return [parse, member](Config& config, const std::string& value) -> Status {
    auto parsed = parse(value);
    if (!parsed) return std::unexpected(parsed.error());
    config.*member = static_cast<Member>(*parsed);
    return {};
  };
}

Setter set_text(std::string Config::*member) {
  return [member](Config& config, const std::string& value) -> Status {
    config.*member = value;
    return {};
  };
}

template <class Member>
Setter set_between(long long low, long long high, Member Config::*member) {
  return [=](Config& config, const std::string& value) -> Status {
    const auto number = parse_integer_between(value, low, high);
    if (!number) return std::unexpected(number.error());
    config.*member = static_cast<Member>(*number);
    return {};
  };
}

Status set_servers(Config& config, const std::string& value) {
  config.etcd_servers = parse_list(value);
  if (config.etcd_servers.empty()) return fail(ErrorCode::invalid, "it names no server");
  return {};
}

Status set_request_timeout(Config& config, const std::string& value) {
  const auto seconds = parse_seconds(value);
  if (!seconds) return std::unexpected(seconds.error());
  // 1.0 took 0 and less for "no limit"; without one a dead store would hang everything, so that it
  // means the longest here.
  const double bounded = *seconds <= 0 ? 60 : std::clamp(*seconds, 0.05, 60.0);
  config.etcd_request_timeout = std::chrono::milliseconds(std::llround(bounded * 1000));
  return {};
}

Status set_agent_ttl(Config& config, const std::string& value) {
  const auto duration = parse_duration(value);
  if (!duration) return std::unexpected(duration.error());
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*duration);
  if (seconds < std::chrono::seconds(2) || seconds > std::chrono::hours(1)) {
    return fail(ErrorCode::invalid, fmt::format("{} is not between 2s and 1h", value));
  }
  config.agent_ttl = seconds;
  return {};
}

Status set_metadata(Config& config, const std::string& value) {
  config.metadata = parse_metadata(value);
  return {};
}

Status set_units_directory(Config& config, const std::string& value) {
  if (!value.starts_with('/')) return fail(ErrorCode::invalid, "it is not an absolute path");
  config.units_directory = value.ends_with('/') ? value : value + '/';
  return {};
}

const std::map<std::string, Setter>& setters() {
  static const std::map<std::string, Setter> all = {
      {"verbosity", set(&parse_integer, &Config::verbosity)},
      {"etcd_servers", set_servers},
      {"etcd_username", set_text(&Config::etcd_username)},
      {"etcd_password", set_text(&Config::etcd_password)},
      {"etcd_cafile", set_text(&Config::etcd_cafile)},
      {"etcd_certfile", set_text(&Config::etcd_certfile)},
      {"etcd_keyfile", set_text(&Config::etcd_keyfile)},
      {"etcd_key_prefix", set_text(&Config::etcd_key_prefix)},
      {"etcd_request_timeout", set_request_timeout},
      {"public_ip", set_text(&Config::public_ip)},
      {"metadata", set_metadata},
      {"agent_ttl", set_agent_ttl},
      {"units_directory", set_units_directory},
      {"systemd_user", set(&parse_bool, &Config::systemd_user)},
      {"token_limit", set_between(1, 65535, &Config::token_limit)},
      {"disable_engine", set(&parse_bool, &Config::disable_engine)},
      {"engine_mass_loss_percent", set_between(1, 100, &Config::engine_mass_loss_percent)},
  };
  return all;
}

// Keys of 1.0 that have nothing to do here, and why.
const std::map<std::string, std::string>& retired() {
  static const std::map<std::string, std::string> all = {
      {"engine_reconcile_interval", "the engine acts on changes at once"},
      {"disable_watches", "fleet works by watching"},
      {"enable_grpc", "etcd is spoken to over gRPC always"},
      {"verify_units", "signed units were retired by fleet 1.0"},
      {"authorized_keys_file", "signed units were retired by fleet 1.0"},
  };
  return all;
}

Status apply(LoadedConfig& loaded, const std::string& where, const std::string& key,
             const std::string& value) {
  if (const auto setter = setters().find(key); setter != setters().end()) {
    const Status done = setter->second(loaded.config, value);
    if (!done) {
      return fail(done.error().code, fmt::format("{}: {}: {}", where, key, done.error().message));
    }
  } else if (const auto old = retired().find(key); old != retired().end()) {
    loaded.warnings.push_back(fmt::format("{}: {} has no effect: {}", where, key, old->second));
  } else {
    loaded.warnings.push_back(fmt::format("{}: unknown key {} is ignored", where, key));
  }
  return {};
}

// The value of a line, without quotes and comment.
std::string value_of(std::string_view text) {
  text = trim(text);
  if (!text.empty() && (text.front() == '"' || text.front() == '\'')) {
    const std::size_t close = text.find(text.front(), 1);
    if (close != std::string_view::npos) {
      const std::string_view rest = trim(text.substr(close + 1));
      if (rest.empty() || rest.front() == '#' || rest.front() == ';') {
        return std::string(text.substr(1, close - 1));
      }
    }
  }
  return std::string(trim(text.substr(0, text.find_first_of("#;"))));
}

Status read_file(LoadedConfig& loaded, const std::string& file_name, std::string_view text) {
  int line_number = 0;
  while (!text.empty()) {
    std::string line;
    int first_line = 0;
    bool joined = true;
    while (joined && !text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      std::string_view part = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      ++line_number;
      if (first_line == 0) first_line = line_number;
      if (part.ends_with('\r')) part.remove_suffix(1);
      joined = part.ends_with('\\');
      if (joined) part.remove_suffix(1);
      line += part;
    }
    const std::string_view content = trim(line);
    if (content.empty() || content.front() == '#' || content.front() == ';') continue;
    const std::string where = fmt::format("{}:{}", file_name, first_line);
    // 1.0 reads only what stands before the first section; what follows is not fleet's.
    if (content.front() == '[') {
      loaded.warnings.push_back(where + ": this section and all after it are ignored");
      return {};
    }
    const std::size_t equals = content.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return fail(ErrorCode::invalid,
                  fmt::format("{}: \"{}\" is not of the form key=value", where, content));
    }
    const Status done = apply(loaded, where, to_lower(trim(content.substr(0, equals))),
                              value_of(content.substr(equals + 1)));
    if (!done) return done;
  }
  return {};
}

std::string variable_of(const std::string& key) {
  std::string name = "FLEET_" + key;
  std::ranges::transform(name, name.begin(), [](char c) {
    return 'a' <= c && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return name;
}

Status read_environment(LoadedConfig& loaded, const Environment& environment) {
  std::vector<std::string> keys;
  for (const auto& [key, setter] : setters()) keys.push_back(key);
  for (const auto& [key, why] : retired()) keys.push_back(key);
  for (const std::string& key : keys) {
    const std::string name = variable_of(key);
    const auto value = environment(name);
    if (!value) continue;
    if (const Status done = apply(loaded, "environment variable " + name, key, *value); !done) {
      return done;
    }
  }
  return {};
}

Status check_together(const Config& config) {
  if (config.etcd_certfile.empty() != config.etcd_keyfile.empty()) {
    return fail(ErrorCode::invalid,
                "etcd_certfile and etcd_keyfile belong together: set both or neither");
  }
  return {};
}

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto bad = [text](const char* why) {
    return fail(ErrorCode::invalid,
                fmt::format("\"{}\" is not a duration such as 30s, 500ms or 1m30s: {}", text, why));
  };
  if (text.empty()) return bad("it is empty");
  double total = 0;
  std::string_view rest = text;
  while (!rest.empty()) {
    double number = 0;
    const auto [after, error] =
        std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
    if (error != std::errc{} || number < 0) return bad("a number is expected");
    rest.remove_prefix(static_cast<std::size_t>(after - rest.data()));
    const std::size_t length = std::min(rest.find_first_of("0123456789."), rest.size());
    const std::string_view unit = rest.substr(0, length);
    rest.remove_prefix(length);
    if (unit == "ms") {
      total += number;
    } else if (unit == "s") {
      total += number * 1000;
    } else if (unit == "m") {
      total += number * 60'000;
    } else if (unit == "h") {
      total += number * 3'600'000;
    } else {
      return bad(unit.empty() ? "missing unit" : "unknown unit");
    }
    if (total > 1e12) return bad("it is too long");
  }
  return std::chrono::milliseconds(std::llround(total));
}

std::map<std::string, std::string> parse_metadata(std::string_view text) {
  std::map<std::string, std::string> metadata;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view item = text.substr(0, comma);
    if (const std::size_t equals = item.find('='); equals != std::string_view::npos) {
      metadata[std::string(trim(item.substr(0, equals)))] = trim(item.substr(equals + 1));
    }
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return metadata;
}

Result<LoadedConfig> load_config(const std::string& file_name, std::string_view text,
                                 const Environment& environment) {
  LoadedConfig loaded;
  Status done = read_file(loaded, file_name, text);
  if (done) done = read_environment(loaded, environment);
  if (done) done = check_together(loaded.config);
  if (!done) return std::unexpected(done.error());
  return loaded;
}

}  // namespace fleet
