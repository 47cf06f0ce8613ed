#include "fleetctl/tunnel.h"

#include <utility>

#include <fmt/format.h>

#include "base/limits.h"
#include "fleetctl/remote.h"

namespace fleet::ctl {
namespace {

// A program that was the cause of a lost connection ends at once.
constexpr std::chrono::milliseconds kEndPatience{1'000};
constexpr int kNoSuchCommand = 127;  // of the shell there

class Tunnel final : public Dialer {
 public:
  Tunnel(Host& host, SshSettings settings, Endpoint endpoint)
      : host_(host), settings_(std::move(settings)), endpoint_(std::move(endpoint)) {}

  Result<int> dial() override {
    ssh_.reset();  // before another one
    make_known_hosts_directory(settings_);
    const std::chrono::seconds patience =
        std::chrono::seconds(settings_.connect_timeout) + limits::kSshLogin;
    auto ssh = host_.start(tunnel_command(settings_, endpoint_), patience);
    if (!ssh) {
      if (ssh.error().code != ErrorCode::unavailable) {
        return std::unexpected(with_ssh_hint(std::move(ssh.error())));
      }
      return fail(
          ErrorCode::unavailable,
          fmt::format("cannot log in as {} on the tunnel host {}: {}; what it said is above{}",
                      settings_.user, settings_.tunnel->text(), ssh.error().message,
                      unattended_hint(host_, settings_)));
    }
    ssh_ = std::move(*ssh);
    return ssh_->take_stream();
  }

  Error explain(Error error) override {
    const auto exit_code = ssh_ ? ssh_->wait(kEndPatience) : std::nullopt;
    ssh_.reset();
    const std::string host = settings_.tunnel->text();
    if (!exit_code || error.code != ErrorCode::unavailable) {
      error.message += fmt::format(" (through the tunnel host {})", host);
      return error;
    }
    error.message =
        fmt::format("cannot reach {} through the tunnel host {}: ", endpoint_.url(), host);
    if (endpoint_.scheme != Endpoint::Scheme::unix_socket) {
      error.message +=
          "the connection failed or was lost, what ssh said is above; does a fleetd "
          "serve its API there, and may that host reach it?";
    } else if (*exit_code == kNoSuchCommand) {
      error.message +=
          "there is no fleetctl in the $PATH there; install it, or let --endpoint name "
          "an http address, which needs none";
    } else {
      error.message += fmt::format(
          "fleetctl fd-forward ended there with exit status {}; does fleetd run there (systemctl "
          "status fleet.socket), and may {} use its socket?",
          *exit_code, settings_.user);
    }
    return error;
  }

 private:
  Host& host_;
  const SshSettings settings_;
  const Endpoint endpoint_;
  std::unique_ptr<RunningProgram> ssh_;
};

}  // namespace

std::unique_ptr<Dialer> make_tunnel(Host& host, SshSettings settings, Endpoint endpoint) {
  return std::make_unique<Tunnel>(host, std::move(settings), std::move(endpoint));
}

}  // namespace fleet::ctl
