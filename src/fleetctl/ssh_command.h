// How fleetctl calls the system's OpenSSH client (behaviour document 6.6). Pure functions.
//
// ssh reads no configuration file, as 1.0 read none: what fleetctl connects to, as whom, and which
// host keys it trusts is said by fleetctl's flags alone, on everybody's machine alike. It logs in
// with the agent's keys, as 1.0, and with the default key files (~/.ssh/id_*), which 1.0 did not
// look at; never with a password.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "fleetctl/command.h"
#include "fleetctl/host.h"

namespace fleet::ctl {

// Where an sshd listens.
struct SshHost {
  std::string address;  // name or IP address (IPv6 without brackets)
  int port = 22;

  // Understands HOST, HOST:PORT, an IPv6 address and [IPv6]:PORT. Fails: invalid.
  static Result<SshHost> parse(const std::string& text, long default_port);

  // As parse() takes it, without the port if that is 22.
  std::string text() const;

  bool operator==(const SshHost&) const = default;
};

// What the global flags say about ssh.
struct SshSettings {
  std::string user;
  int connect_timeout = 0;  // seconds; 0: what the system has
  bool check_host_keys = true;
  std::string known_hosts_file;
  std::optional<SshHost> tunnel;
};

// `home` is the home directory of a user, or of the one that runs fleetctl for an empty name; empty
// if there is none. Fails: invalid (a flag's value).
Result<SshSettings> ssh_settings(const Flags& flags,
                                 const std::function<std::string(const std::string&)>& home);

// `words` as one line for a POSIX shell.
std::string shell_line(const Argv& words);

struct SshSession {
  std::string command = {};  // for the remote shell; empty: a login shell
  bool terminal = false;
  bool with_stdin = true;  // without a terminal: the remote command is to read fleetctl's stdin
  bool forward_agent = false;
};

// The ssh that runs a session on `target`, through the tunnel if there is one.
Argv ssh_command(const SshSettings& settings, const SshHost& target, const SshSession& session);

// The ssh whose stdin and stdout become a connection from the tunnel host to `endpoint`.
// Requires a tunnel.
Argv tunnel_command(const SshSettings& settings, const Endpoint& endpoint);

}  // namespace fleet::ctl
