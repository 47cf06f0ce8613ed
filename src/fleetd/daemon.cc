#include "fleetd/daemon.h"

#include <csignal>
#include <cstdio>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "fleetd/api_server.h"
#include "fleetd/identity.h"
#include "net/asio_loop.h"
#include "node/node.h"
#include "store/etcd/etcd_store.h"
#include "systemd/journal_log.h"
#include "systemd/sdbus_unit_manager.h"
#include "systemd/service.h"

namespace fleet {

namespace {

EtcdOptions etcd_options(const Config& config) {
  EtcdOptions options;
  options.endpoints = config.etcd_servers;
  options.request_timeout = config.etcd_request_timeout;
  options.ca_file = config.etcd_cafile;
  options.cert_file = config.etcd_certfile;
  options.key_file = config.etcd_keyfile;
  options.username = config.etcd_username;
  options.password = config.etcd_password;
  return options;
}

Result<NodeOptions> node_options(const Config& config, const std::string& version) {
  NodeOptions options;
  auto machine_id = read_machine_id();
  if (!machine_id) return std::unexpected(machine_id.error());
  auto boot_id = read_boot_id();
  if (!boot_id) return std::unexpected(boot_id.error());
  options.machine_id = std::move(*machine_id);
  options.boot_id = std::move(*boot_id);
  options.public_ip = config.public_ip.empty() ? detect_public_ip() : config.public_ip;
  options.version = version;
  options.metadata = config.metadata;
  options.key_prefix = config.etcd_key_prefix;
  options.agent_ttl = config.agent_ttl;
  options.disable_engine = config.disable_engine;
  options.mass_loss_percent = config.engine_mass_loss_percent;
  options.token_limit = config.token_limit;
  return options;
}

class Daemon {
 public:
  Daemon(const Config& config, const std::string& version)
      : config_(config),
        version_(version),
        log_(config.verbosity > 0 ? LogLevel::debug : LogLevel::info) {}

  Status set_up() {
    auto options = node_options(config_, version_);
    if (!options) return std::unexpected(options.error());
    auto store = EtcdStore::make(loop_, etcd_options(config_));
    if (!store) return std::unexpected(store.error());
    store_ = std::move(*store);
    units_ = std::make_unique<SdbusUnitManager>(
        loop_, SdbusUnitManager::Options{config_.units_directory, config_.systemd_user, {}});
    node_ = std::make_unique<Node>(loop_, *store_, *units_, log_, std::move(*options));
    const auto sockets = inherited_sockets();
    if (!sockets) return std::unexpected(sockets.error());
    auto api = ApiServer::create(loop_, *node_, *sockets, version_);
    if (!api) return std::unexpected(api.error());
    api_ = std::move(*api);
    return {};
  }

  int run() {
    say(LogLevel::info,
        fmt::format("fleetd {} starts; the API is on {} sockets", version_, api_->sockets()));
    if (api_->sockets() == 0) {
      say(LogLevel::warning, "no API: systemd handed no sockets over (fleet.socket)");
    }
    loop_.watch_signal(SIGTERM, [this] { end(); });
    loop_.watch_signal(SIGINT, [this] { end(); });
    node_->start();
    // Ready means that the API answers and the machine's units are looked after, not that etcd is
    // there: the start of this service must not hang on a store that is down.
    notify_ready(node_->status());
    report();
    loop_.run();
    return 0;
  }

  Log& log() { return log_; }

 private:
  void say(LogLevel level, std::string text) { log_.write({level, std::move(text), {}, {}}); }

  // Feeds the watchdog from the loop, so that a loop that hangs shows, and keeps the status line
  // of `systemctl status fleet` true.
  void report() {
    notify_watchdog();
    if (std::string status = node_->status(); status != said_) {
      notify_status(status);
      said_ = std::move(status);
    }
    const Duration watchdog = watchdog_interval();
    const Duration limit = std::chrono::seconds(1);
    loop_.call_after(watchdog > Duration(0) ? std::min<Duration>(watchdog / 3, limit) : limit,
                     [this] { report(); });
  }

  void end() {
    if (std::exchange(ending_, true)) return;
    // Long: a systemd that is restarting many services may take its time to answer.
    constexpr Duration kPatience = std::chrono::seconds(20);
    restart_pending(loop_, config_.systemd_user, kPatience, [this](Result<bool> restart) {
      const bool by_hand = !restart && restart.error().code == ErrorCode::not_found;
      if (!restart && !by_hand) {
        say(LogLevel::warning,
            "systemd does not say whether this is a restart or a stop; the units are left "
            "running: " +
                restart.error().message);
        return loop_.stop();
      }
      if (!by_hand && *restart) {
        say(LogLevel::info, "restarting: the units are left as they are");
        return loop_.stop();
      }
      hand_over();
    });
  }

  void hand_over() {
    notify_stopping("handing units over");
    node_->leave([this] {
      say(LogLevel::info, "all units are handed over; fleetd ends");
      loop_.stop();
    });
  }

  const Config& config_;
  std::string version_;
  JournalLog log_;
  AsioLoop loop_;
  std::unique_ptr<EtcdStore> store_;
  std::unique_ptr<SdbusUnitManager> units_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<ApiServer> api_;
  std::string said_;
  bool ending_ = false;
};

}  // namespace

int run_daemon(const LoadedConfig& loaded, const std::string& version) {
  Daemon daemon(loaded.config, version);
  for (const std::string& warning : loaded.warnings) {
    daemon.log().write({LogLevel::warning, warning, {}, {}});
  }
  if (const Status done = daemon.set_up(); !done) {
    daemon.log().write({LogLevel::error, "fleetd cannot start: " + done.error().message, {}, {}});
    return 1;
  }
  return daemon.run();
}

}  // namespace fleet
