#include "fleetctl/ssh_command.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace fleet::ctl {
namespace {

// A machine that lost its power or its network says no farewell.
constexpr int kAliveInterval = 15;  // seconds; ssh gives up after three without an answer

bool is_safe_in_shell(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("_@%+=:,./-").contains(c);
}

std::string shell_word(std::string_view word) {
  if (!word.empty() && std::ranges::all_of(word, is_safe_in_shell)) return std::string(word);
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

// ssh expands %h and the like in many options; a percent sign of our own is to stay one.
std::string without_tokens(std::string_view text) {
  std::string escaped;
  for (const char c : text) escaped.append(c == '%' ? 2 : 1, c);
  return escaped;
}

// A file name as ssh takes it in an option that may list several.
std::string option_word(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : without_tokens(text)) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::optional<int> parse_port(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (port < 1 || port > 65535) return std::nullopt;
  return port;
}

// It becomes an argument of ssh, and may come from the registry. ("%" is for fe80::1%eth0.)
bool is_host(std::string_view text) {
  return !text.empty() && text.front() != '-' && std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("._-:%").contains(c);
  });
}

std::string in_brackets(const std::string& address) {
  return address.contains(':') ? "[" + address + "]" : address;
}

// What every ssh of ours is called with.
Argv base_command(const SshSettings& settings, const SshHost& host) {
  Argv argv{"ssh", "-F", "none", "-l", settings.user, "-p", std::to_string(host.port)};
  const auto set = [&argv](std::string option) {
    argv.emplace_back("-o");
    argv.push_back(std::move(option));
  };
  set("PreferredAuthentications=publickey");
  if (settings.connect_timeout > 0) set(fmt::format("ConnectTimeout={}", settings.connect_timeout));
  set(fmt::format("ServerAliveInterval={}", kAliveInterval));
  set("GlobalKnownHostsFile=/dev/null");
  if (settings.check_host_keys) {
    set("StrictHostKeyChecking=ask");
    set("UserKnownHostsFile=" + option_word(settings.known_hosts_file));
  } else {
    set("StrictHostKeyChecking=no");
    set("UserKnownHostsFile=/dev/null");
    set("LogLevel=ERROR");  // else each call tells that it has noted the key, in /dev/null
  }
  return argv;
}

void tell_login(Argv& argv) {
  argv.insert(argv.end(),
              {"-o", "PermitLocalCommand=yes", "-o", std::string("LocalCommand=") + kTellLogin});
}

// -W, and the tunnel host that it goes through. ssh's own -J would not pass on which host keys
// count.
Argv forward_command(const SshSettings& settings, const std::string& host, int port, bool tell) {
  Argv argv = base_command(settings, *settings.tunnel);
  if (tell) tell_login(argv);
  argv.insert(argv.end(), {"-W", fmt::format("{}:{}", in_brackets(host), port), "--",
                           settings.tunnel->address});
  return argv;
}

}  // namespace

Result<SshHost> SshHost::parse(const std::string& text, long default_port) {
  SshHost host{text, static_cast<int>(default_port)};
  std::string_view port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string::npos || (end + 1 < text.size() && text[end + 1] != ':')) {
      return fail(ErrorCode::invalid, fmt::format("\"{}\" is no [IPv6]:PORT", text));
    }
    host.address = text.substr(1, end - 1);
    has_port = end + 1 < text.size();
    if (has_port) port = std::string_view(text).substr(end + 2);
  } else if (std::ranges::count(text, ':') == 1) {
    const std::size_t colon = text.find(':');
    host.address = text.substr(0, colon);
    has_port = true;
    port = std::string_view(text).substr(colon + 1);
  }
  if (!has_port && (default_port < 1 || default_port > 65535)) {
    return fail(ErrorCode::invalid,
                fmt::format("a port is a number from 1 to 65535, not {}", default_port));
  }
  if (has_port) {
    const auto number = parse_port(port);
    if (!number) {
      return fail(ErrorCode::invalid,
                  fmt::format("\"{}\": a port is a number from 1 to 65535", text));
    }
    host.port = *number;
  }
  if (!is_host(host.address)) {
    return fail(ErrorCode::invalid,
                fmt::format("\"{}\" is no host (write HOST or HOST:PORT)", text));
  }
  return host;
}

std::string SshHost::text() const {
  return port == 22 ? address : fmt::format("{}:{}", in_brackets(address), port);
}

Result<SshSettings> ssh_settings(const Flags& flags,
                                 const std::function<std::string(const std::string&)>& home) {
  SshSettings settings;
  settings.user = flags.text("ssh-username");
  if (settings.user.empty() || settings.user.starts_with('-')) {
    return fail(ErrorCode::invalid,
                fmt::format("--ssh-username: \"{}\" is no user's name", settings.user));
  }
  const double timeout = std::min(flags.number("ssh-timeout"), 86'400.0);
  if (timeout > 0) settings.connect_timeout = static_cast<int>(std::ceil(timeout));
  settings.check_host_keys = flags.flag("strict-host-key-checking");
  settings.known_hosts_file = flags.text("known-hosts-file");
  if (settings.known_hosts_file.starts_with('~')) {
    const std::string& file = settings.known_hosts_file;
    const std::size_t end = std::min(file.find('/'), file.size());
    const std::string directory = home(file.substr(1, end - 1));
    if (!directory.empty()) settings.known_hosts_file = directory + file.substr(end);
  }
  if (settings.check_host_keys && settings.known_hosts_file.empty()) {
    return fail(ErrorCode::invalid,
                "--known-hosts-file names no file; --strict-host-key-checking=false does without");
  }
  if (!flags.text("tunnel").empty()) {
    auto tunnel = SshHost::parse(flags.text("tunnel"), 22);
    if (!tunnel) return std::unexpected(with_context(std::move(tunnel.error()), "--tunnel"));
    settings.tunnel = std::move(*tunnel);
  }
  return settings;
}

std::string shell_line(const Argv& words) {
  std::string line;
  for (const std::string& word : words) {
    if (!line.empty()) line += ' ';
    line += shell_word(word);
  }
  return line;
}

Argv ssh_command(const SshSettings& settings, const SshHost& target, const SshSession& session) {
  Argv argv = base_command(settings, target);
  tell_login(argv);
  if (settings.tunnel) {
    const Argv through = forward_command(settings, target.address, target.port, false);
    argv.insert(argv.end(), {"-o", "ProxyCommand=" + without_tokens(shell_line(through))});
  }
  if (session.forward_agent) argv.emplace_back("-A");
  argv.emplace_back(session.terminal ? "-t" : "-T");
  if (!session.terminal && !session.with_stdin) argv.emplace_back("-n");
  argv.insert(argv.end(), {"--", target.address});
  if (!session.command.empty()) argv.push_back(session.command);
  return argv;
}

Argv tunnel_command(const SshSettings& settings, const Endpoint& endpoint) {
  if (endpoint.scheme != Endpoint::Scheme::unix_socket) {
    return forward_command(settings, endpoint.host, endpoint.port, true);
  }
  Argv argv = base_command(settings, *settings.tunnel);
  tell_login(argv);
  argv.insert(argv.end(), {"-T", "--", settings.tunnel->address,
                           shell_line({"fleetctl", "fd-forward", endpoint.path})});
  return argv;
}

}  // namespace fleet::ctl
