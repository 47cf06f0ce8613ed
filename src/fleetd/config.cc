#include "fleetd/config.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <functional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "api/json/json_writer.h"
#include "base/limits.h"
#include "fleetd/config_values.h"
#include "store/etcd/address.h"
#include "unit/printable.h"

namespace fleet {

namespace {

// Stores a value; returns what there is to warn about it, usually nothing. Fails: invalid.
using Setter = std::function<Result<std::string>(Config&, const std::string& value)>;

enum class Takes { at_once, at_restart };

// A key of fleet.conf and the member of Config that it sets.
struct Key {
  Setter set;
  std::function<bool(const Config&, const Config&)> equal;
  std::function<void(Config&, const Config&)> copy;
  Takes takes = Takes::at_restart;
};

template <class Member>
Key key_of(Member Config::*member, Takes takes, Setter set) {
  return {std::move(set),
          [member](const Config& a, const Config& b) { return a.*member == b.*member; },
          [member](Config& to, const Config& from) { to.*member = from.*member; }, takes};
}

// A key whose value is what `parse` makes of the text.
template <class Member, class Parse>
Key parsed_key(Member Config::*member, Takes takes, Parse parse) {
  return key_of(member, takes,
                [member, parse](Config& config, const std::string& value) -> Result<std::string> {
                  auto parsed = parse(value);
                  if (!parsed) return std::unexpected(parsed.error());
                  config.*member = static_cast<Member>(*std::move(parsed));
                  return {};
                });
}

template <class Member>
Key integer_key(Member Config::*member, long long low, long long high, Takes takes) {
  return parsed_key(member, takes, [low, high](const std::string& value) {
    return parse_integer(value, low, high);
  });
}

Key text_key(std::string Config::*member) {
  return parsed_key(member, Takes::at_restart,
                    [](const std::string& value) -> Result<std::string> { return value; });
}

Result<std::vector<std::string>> parse_servers(const std::string& value) {
  auto servers = parse_list(value);
  if (servers.empty()) return fail(ErrorCode::invalid, "it names no server");
  if (servers.size() > limits::kEtcdServers) {
    return fail(ErrorCode::invalid, fmt::format("it names {} servers; {} are allowed",
                                                servers.size(), limits::kEtcdServers));
  }
  for (const std::string& server : servers) {
    const auto address = parse_etcd_address(server, false);
    if (!address) return std::unexpected(address.error());
  }
  return servers;
}

Result<std::string> set_request_timeout(Config& config, const std::string& value) {
  const auto seconds = parse_seconds(value);
  if (!seconds) return std::unexpected(seconds.error());
  // 1.0 took 0 and less for "no limit"; without one a dead store would hang everything, so that it
  // means the longest here.
  const double bounded = *seconds <= 0 ? 60 : std::clamp(*seconds, 0.05, 60.0);
  config.etcd_request_timeout = std::chrono::milliseconds(std::llround(bounded * 1000));
  if (bounded == *seconds) return {};
  return fmt::format("{} is taken for {} s: it is from 0.05 to 60", value, bounded);
}

Result<std::chrono::seconds> parse_agent_ttl(const std::string& value) {
  const auto duration = parse_duration(value);
  if (!duration) return std::unexpected(duration.error());
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*duration);
  if (seconds < std::chrono::seconds(2) || seconds > std::chrono::hours(1)) {
    return fail(ErrorCode::invalid, fmt::format("{} is not between 2s and 1h", value));
  }
  return seconds;
}

// What goes into the machine's record, which others read as JSON.
Status check_text(std::string_view text, std::size_t limit) {
  if (text.size() > limit) {
    return fail(ErrorCode::invalid, fmt::format("{} has {} bytes; {} are allowed", printable(text),
                                                text.size(), limit));
  }
  const bool control = std::ranges::any_of(text, [](char c) { return '\0' <= c && c < ' '; });
  if (control || to_valid_utf8(text) != text) {
    return fail(ErrorCode::invalid, printable(text) + " is not text in UTF-8");
  }
  return {};
}

Result<std::string> parse_public_ip(const std::string& value) {
  if (const Status done = check_text(value, limits::kPublicIpBytes); !done) {
    return std::unexpected(done.error());
  }
  if (value.find(' ') != std::string::npos) {
    return fail(ErrorCode::invalid, printable(value) + " is not an address");
  }
  return value;
}

Result<std::string> set_metadata(Config& config, const std::string& value) {
  auto [metadata, dropped] = parse_metadata(value);
  std::size_t bytes = 0;
  for (const auto& [key, text] : metadata) {
    Status done = check_text(key, limits::kMetadataKeyBytes);
    if (done) done = check_text(text, limits::kMetadataValueBytes);
    if (!done) return std::unexpected(done.error());
    bytes += key.size() + text.size();
  }
  if (bytes > limits::kMetadataBytes) {
    return fail(ErrorCode::invalid,
                fmt::format("it has {} bytes; {} are allowed", bytes, limits::kMetadataBytes));
  }
  config.metadata = std::move(metadata);
  if (dropped.empty()) return {};
  return printable(dropped.front()) + " is ignored: it is not of the form key=value";
}

Result<std::string> parse_units_directory(const std::string& value) {
  if (!value.starts_with('/')) return fail(ErrorCode::invalid, "it is not an absolute path");
  return value.ends_with('/') ? value : value + '/';
}

const std::map<std::string, Key>& keys() {
  using enum Takes;
  static const std::map<std::string, Key> all = {
      {"verbosity", integer_key(&Config::verbosity, INT_MIN, INT_MAX, at_once)},
      {"etcd_servers", parsed_key(&Config::etcd_servers, at_restart, parse_servers)},
      {"etcd_username", text_key(&Config::etcd_username)},
      {"etcd_password", text_key(&Config::etcd_password)},
      {"etcd_cafile", text_key(&Config::etcd_cafile)},
      {"etcd_certfile", text_key(&Config::etcd_certfile)},
      {"etcd_keyfile", text_key(&Config::etcd_keyfile)},
      {"etcd_key_prefix", text_key(&Config::etcd_key_prefix)},
      {"etcd_request_timeout",
       key_of(&Config::etcd_request_timeout, at_restart, set_request_timeout)},
      {"public_ip", parsed_key(&Config::public_ip, at_once, parse_public_ip)},
      {"metadata", key_of(&Config::metadata, at_once, set_metadata)},
      {"agent_ttl", parsed_key(&Config::agent_ttl, at_restart, parse_agent_ttl)},
      {"units_directory", parsed_key(&Config::units_directory, at_restart, parse_units_directory)},
      {"systemd_user", parsed_key(&Config::systemd_user, at_restart, parse_bool)},
      {"token_limit", integer_key(&Config::token_limit, 1, 65535, at_once)},
      {"disable_engine", parsed_key(&Config::disable_engine, at_once, parse_bool)},
      {"engine_mass_loss_percent", integer_key(&Config::engine_mass_loss_percent, 1, 100, at_once)},
  };
  return all;
}

template <class Value>
Status check_with(Result<Value> (*parse)(std::string_view), const std::string& value) {
  const Result<Value> parsed = parse(value);
  return parsed ? Status() : std::unexpected(parsed.error());
}

// A key of 1.0 that has nothing to do here.
struct RetiredKey {
  std::string why;
  Status (*check)(const std::string& value);
};

const std::map<std::string, RetiredKey>& retired() {
  constexpr auto kSeconds = [](const std::string& v) { return check_with(parse_seconds, v); };
  constexpr auto kBool = [](const std::string& v) { return check_with(parse_bool, v); };
  constexpr auto kAnything = [](const std::string&) { return Status(); };
  static const std::map<std::string, RetiredKey> all = {
      {"engine_reconcile_interval", {"the engine acts on changes at once", kSeconds}},
      {"disable_watches", {"fleet works by watching", kBool}},
      {"enable_grpc", {"etcd is spoken to over gRPC always", kBool}},
      {"verify_units", {"signed units were retired by fleet 1.0", kAnything}},
      {"authorized_keys_file", {"signed units were retired by fleet 1.0", kAnything}},
  };
  return all;
}

Error at(const std::string& where, const std::string& key, const Error& error) {
  return {error.code, fmt::format("{}: {}: {}", where, key, error.message)};
}

class Loader {
 public:
  Status read_file(const std::string& file_name, std::string_view text);
  Status read_environment(const Environment& environment);
  Status check_together() const;
  LoadedConfig take() { return std::move(loaded_); }

 private:
  Status read_line(const std::string& where, std::string_view content);
  Status apply(const std::string& where, const std::string& key, const std::string& value);
  Status apply_unknown(const std::string& where, const std::string& key, const std::string& value);

  LoadedConfig loaded_;
  std::set<std::string> warned_;  // keys
};

Status Loader::apply_unknown(const std::string& where, const std::string& key,
                             const std::string& value) {
  const auto old = retired().find(key);
  if (old != retired().end()) {
    if (const Status valid = old->second.check(value); !valid) {
      return std::unexpected(at(where, key, valid.error()));
    }
  }
  if (!warned_.insert(key).second) return {};
  loaded_.warnings.push_back(
      old == retired().end()
          ? fmt::format("{}: unknown key {} is ignored", where, printable(key))
          : fmt::format("{}: {} has no effect: {}", where, key, old->second.why));
  return {};
}

Status Loader::apply(const std::string& where, const std::string& key, const std::string& value) {
  const auto known = keys().find(key);
  if (known == keys().end()) return apply_unknown(where, key, value);
  const Result<std::string> warning = known->second.set(loaded_.config, value);
  if (!warning) return std::unexpected(at(where, key, warning.error()));
  if (!warning->empty())
    loaded_.warnings.push_back(fmt::format("{}: {}: {}", where, key, *warning));
  loaded_.origins[key] = where;
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

std::string with_case(std::string_view text, char from, char to, int shift) {
  std::string changed(text);
  for (char& c : changed) {
    if (from <= c && c <= to) c = static_cast<char>(c + shift);
  }
  return changed;
}

std::string to_lower(std::string_view text) {
  return with_case(text, 'A', 'Z', 'a' - 'A');
}

// Takes the next line off `text`, joined with those that it is continued on.
std::string next_line(std::string_view& text, int& line_number) {
  std::string line;
  bool joined = true;
  while (joined && !text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line_number;
    part = part.substr(0, part.find_last_not_of(" \t\r\v\f") + 1);
    joined = part.ends_with('\\');
    if (joined) part.remove_suffix(1);
    line += part;
  }
  return line;
}

Status Loader::read_file(const std::string& file_name, std::string_view text) {
  int lines_read = 0;
  while (!text.empty()) {
    const std::string where = fmt::format("{}:{}", file_name, lines_read + 1);
    const std::string line = next_line(text, lines_read);
    const std::string_view content = trim(line);
    if (content.empty() || content.front() == '#' || content.front() == ';') continue;
    // 1.0 reads only what stands before the first section; what follows is not fleet's.
    if (content.front() == '[') {
      loaded_.warnings.push_back(where + ": this section and all after it are ignored");
      return {};
    }
    if (const Status done = read_line(where, content); !done) return done;
  }
  return {};
}

Status Loader::read_line(const std::string& where, std::string_view content) {
  const std::size_t equals = content.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    // Only its first word: the rest may be a password.
    const std::string_view word = content.substr(0, content.find_first_of(" \t:"));
    return fail(ErrorCode::invalid, fmt::format("{}: the line that begins with {} is not of the "
                                                "form key=value",
                                                where, printable(word)));
  }
  return apply(where, to_lower(trim(content.substr(0, equals))),
               value_of(content.substr(equals + 1)));
}

Status Loader::read_environment(const Environment& environment) {
  constexpr std::string_view kPrefix = "FLEET_";
  for (const auto& [name, value] : environment) {
    if (!name.starts_with(kPrefix)) continue;
    const std::string key = to_lower(std::string_view(name).substr(kPrefix.size()));
    // Variables are upper case only: FLEET_metadata is somebody else's.
    if (with_case(name, 'a', 'z', 'A' - 'a') != name) continue;
    if (const Status done = apply("environment variable " + name, key, value); !done) return done;
  }
  return {};
}

Status Loader::check_together() const {
  const Config& config = loaded_.config;
  if (config.etcd_certfile.empty() == config.etcd_keyfile.empty()) return {};
  const char* set = config.etcd_certfile.empty() ? "etcd_keyfile" : "etcd_certfile";
  return fail(ErrorCode::invalid,
              fmt::format("{}: {}: etcd_certfile and etcd_keyfile belong together: set both or "
                          "neither",
                          loaded_.origins.at(set), set));
}

}  // namespace

Result<LoadedConfig> load_config(const std::string& file_name, std::string_view text,
                                 const Environment& environment) {
  Loader loader;
  Status done = loader.read_file(file_name, text);
  if (done) done = loader.read_environment(environment);
  if (done) done = loader.check_together();
  if (!done) return std::unexpected(done.error());
  return loader.take();
}

ConfigChanges changes_between(const Config& running, const Config& wanted) {
  ConfigChanges changes;
  for (const auto& [name, key] : keys()) {
    if (key.equal(running, wanted)) continue;
    (key.takes == Takes::at_once ? changes.at_once : changes.at_restart).push_back(name);
  }
  return changes;
}

Config reconfigured(Config running, const Config& wanted) {
  for (const auto& [name, key] : keys()) {
    if (key.takes == Takes::at_once) key.copy(running, wanted);
  }
  return running;
}

}  // namespace fleet
