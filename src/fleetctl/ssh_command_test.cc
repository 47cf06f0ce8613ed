#include "fleetctl/ssh_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fleet::ctl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

SshSettings settings() {
  SshSettings settings;
  settings.user = "core";
  settings.connect_timeout = 10;
  settings.known_hosts_file = "/home/me/.fleetctl/known_hosts";
  return settings;
}

// The value that an option of ssh is given, empty if it is not.
std::string option(const Argv& argv, const std::string& name) {
  for (std::size_t i = 1; i < argv.size(); ++i) {
    if (argv[i - 1] == "-o" && argv[i].starts_with(name + "=")) {
      return argv[i].substr(name.size() + 1);
    }
  }
  return "";
}

Argv tail(const Argv& argv, std::size_t count) {
  return {argv.end() - static_cast<std::ptrdiff_t>(count), argv.end()};
}

TEST(SshHostTest, TakesHostAndPort) {
  EXPECT_EQ(*SshHost::parse("10.0.0.1", 22), (SshHost{"10.0.0.1", 22}));
  EXPECT_EQ(*SshHost::parse("10.0.0.1", 2222), (SshHost{"10.0.0.1", 2222}));
  EXPECT_EQ(*SshHost::parse("bastion.example:2022", 22), (SshHost{"bastion.example", 2022}));
  // An address that names a port has the last word over --ssh-port.
  EXPECT_EQ(*SshHost::parse("10.0.0.1:2022", 2222), (SshHost{"10.0.0.1", 2022}));
  EXPECT_EQ(*SshHost::parse("fe80::1%eth0", 22), (SshHost{"fe80::1%eth0", 22}));
  EXPECT_EQ(*SshHost::parse("[fe80::1]", 2222), (SshHost{"fe80::1", 2222}));
  EXPECT_EQ(*SshHost::parse("[fe80::1]:2022", 22), (SshHost{"fe80::1", 2022}));
}

TEST(SshHostTest, RefusesWhatIsNoHost) {
  // The address of a machine comes from the registry, and becomes an argument of ssh.
  for (const char* text :
       {"", "-oProxyCommand=reboot", "core@bastion", "a b", "a:", "a:0", "a:65536", "a:22x", ":22",
        "[fe80::1", "[fe80::1]22", "[]:22", "a;reboot", "a\nb", "$(reboot)"}) {
    EXPECT_FALSE(SshHost::parse(text, 22)) << text;
  }
  EXPECT_FALSE(SshHost::parse("10.0.0.1", 0));
  EXPECT_FALSE(SshHost::parse("10.0.0.1", 70'000));
}

TEST(ShellLine, QuotesWhatAShellWouldTakeApart) {
  EXPECT_EQ(shell_line({"journalctl", "--unit", "app@1.service", "-n", "10"}),
            "journalctl --unit app@1.service -n 10");
  EXPECT_EQ(shell_line({"a b", "", "$(x)", "it's", "a\\x2db", "*", "~"}),
            "'a b' '' '$(x)' 'it'\\''s' 'a\\x2db' '*' '~'");
}

TEST(SshCommand, ALoginShell) {
  SshSession session;
  session.terminal = true;
  EXPECT_THAT(ssh_command(settings(), {"172.18.1.2", 22}, session),
              ElementsAre("ssh", "-F", "none", "-l", "core", "-p", "22", "-o",
                          "PreferredAuthentications=publickey", "-o", "ConnectTimeout=10", "-o",
                          "ServerAliveInterval=15", "-o", "GlobalKnownHostsFile=/dev/null", "-o",
                          "StrictHostKeyChecking=ask", "-o",
                          "UserKnownHostsFile=\"/home/me/.fleetctl/known_hosts\"", "-o",
                          "PermitLocalCommand=yes", "-o", "LocalCommand=kill -USR1 $FLEETCTL_PID",
                          "-t", "--", "172.18.1.2"));
}

TEST(SshCommand, ACommandWithoutATerminal) {
  EXPECT_THAT(tail(ssh_command(settings(), {"fe80::1", 2222}, {.command = "ls -l"}), 4),
              ElementsAre("-T", "--", "fe80::1", "ls -l"));
  // It reads nothing, so it must not eat the stdin of a script.
  EXPECT_THAT(tail(ssh_command(settings(), {"a", 22}, {.command = "x", .with_stdin = false}), 5),
              ElementsAre("-T", "-n", "--", "a", "x"));
  EXPECT_THAT(tail(ssh_command(settings(), {"a", 22},
                               {.command = "x", .terminal = true, .with_stdin = false}),
                   4),
              ElementsAre("-t", "--", "a", "x"));
}

TEST(SshCommand, ForwardsTheAgentOnlyWhenAsked) {
  EXPECT_THAT(ssh_command(settings(), {"a", 22}, {}), testing::Not(testing::Contains("-A")));
  EXPECT_THAT(ssh_command(settings(), {"a", 22}, {.forward_agent = true}), testing::Contains("-A"));
}

TEST(SshCommand, WithoutChecksNoFileIsReadOrWritten) {
  SshSettings unchecked = settings();
  unchecked.check_host_keys = false;
  const Argv argv = ssh_command(unchecked, {"a", 22}, {});
  EXPECT_EQ(option(argv, "StrictHostKeyChecking"), "no");
  EXPECT_EQ(option(argv, "UserKnownHostsFile"), "/dev/null");
  EXPECT_EQ(option(argv, "GlobalKnownHostsFile"), "/dev/null");
}

TEST(SshCommand, FileNamesStayThemselves) {
  SshSettings odd = settings();
  odd.known_hosts_file = "/home/a \"b\"/100%h\\x";
  EXPECT_EQ(option(ssh_command(odd, {"a", 22}, {}), "UserKnownHostsFile"),
            "\"/home/a \\\"b\\\"/100%%h\\\\x\"");
}

TEST(SshCommand, NoTimeoutLeavesItToTheSystem) {
  SshSettings patient = settings();
  patient.connect_timeout = 0;
  EXPECT_EQ(option(ssh_command(patient, {"a", 22}, {}), "ConnectTimeout"), "");
}

// The target is reached through the tunnel host, but trusted and logged in to from here.
TEST(SshCommand, ThroughATunnel) {
  SshSettings tunnelled = settings();
  tunnelled.tunnel = {"10.0.0.9", 2022};
  tunnelled.known_hosts_file = "/home/a 100%/k";
  const Argv argv =
      ssh_command(tunnelled, {"fe80::1", 2222}, {.command = "x", .forward_agent = true});
  EXPECT_EQ(option(argv, "ProxyCommand"),
            "ssh -F none -l core -p 2022 -o PreferredAuthentications=publickey -o "
            "ConnectTimeout=10 -o ServerAliveInterval=15 -o GlobalKnownHostsFile=/dev/null -o "
            "StrictHostKeyChecking=ask -o 'UserKnownHostsFile=\"/home/a 100%%%%/k\"' -W "
            "'[fe80::1]:2222' -- 10.0.0.9");
  EXPECT_EQ(option(argv, "UserKnownHostsFile"), "\"/home/a 100%%/k\"");
  EXPECT_THAT(tail(argv, 3), ElementsAre("--", "fe80::1", "x"));
}

TEST(TunnelCommand, ForwardsToWhatTheEndpointNames) {
  SshSettings tunnelled = settings();
  tunnelled.tunnel = {"10.0.0.9", 22};
  const Argv tcp = tunnel_command(tunnelled, *Endpoint::parse("http://node1:49153"));
  EXPECT_THAT(tail(tcp, 4), ElementsAre("-W", "node1:49153", "--", "10.0.0.9"));
  EXPECT_EQ(option(tcp, "LocalCommand"), kTellLogin);
  const Argv ipv6 = tunnel_command(tunnelled, *Endpoint::parse("https://[::1]:443"));
  EXPECT_THAT(tail(ipv6, 4), ElementsAre("-W", "[::1]:443", "--", "10.0.0.9"));
  const Argv unix_socket =
      tunnel_command(tunnelled, *Endpoint::parse("unix:///var/run/fleet.sock"));
  EXPECT_THAT(tail(unix_socket, 4),
              ElementsAre("-T", "--", "10.0.0.9", "fleetctl fd-forward /var/run/fleet.sock"));
  EXPECT_EQ(option(unix_socket, "LocalCommand"), kTellLogin);
  EXPECT_THAT(unix_socket, testing::Not(testing::Contains("-A")));
}

class SshSettingsTest : public ::testing::Test {
 protected:
  Result<SshSettings> with(const std::string& flag, const std::string& value) {
    Flags flags;
    for (const FlagSpec& spec : global_flags()) {
      if (spec.name == flag) EXPECT_TRUE(flags.set(spec, value));
      flags.set_default(spec);
    }
    return ssh_settings(flags, [](const std::string& user) -> std::string {
      if (user.empty()) return "/home/me";
      return user == "core" ? "/home/core" : "";
    });
  }
};

TEST_F(SshSettingsTest, Defaults) {
  const auto settings = with("", "");
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->user, "core");
  EXPECT_EQ(settings->connect_timeout, 10);
  EXPECT_TRUE(settings->check_host_keys);
  EXPECT_EQ(settings->known_hosts_file, "/home/me/.fleetctl/known_hosts");
  EXPECT_FALSE(settings->tunnel);
}

TEST_F(SshSettingsTest, Flags) {
  EXPECT_EQ(with("ssh-timeout", "0.2")->connect_timeout, 1);  // ssh knows whole seconds only
  EXPECT_EQ(with("ssh-timeout", "0")->connect_timeout, 0);
  EXPECT_EQ(with("ssh-timeout", "-3")->connect_timeout, 0);
  EXPECT_EQ(with("ssh-timeout", "1e300")->connect_timeout, 86'400);
  EXPECT_EQ(with("known-hosts-file", "~core/k")->known_hosts_file, "/home/core/k");
  EXPECT_EQ(with("known-hosts-file", "~nobody/k")->known_hosts_file, "~nobody/k");
  EXPECT_EQ(with("known-hosts-file", "/k")->known_hosts_file, "/k");
  EXPECT_EQ(*with("tunnel", "bastion:2022")->tunnel, (SshHost{"bastion", 2022}));
  EXPECT_FALSE(with("strict-host-key-checking", "false")->check_host_keys);
}

TEST_F(SshSettingsTest, RefusesWhatCannotBe) {
  EXPECT_THAT(with("tunnel", "core@bastion").error().message, HasSubstr("--tunnel"));
  EXPECT_THAT(with("ssh-username", "-oX=y").error().message, HasSubstr("--ssh-username"));
  EXPECT_THAT(with("known-hosts-file", "").error().message, HasSubstr("--known-hosts-file"));
}

}  // namespace
}  // namespace fleet::ctl
