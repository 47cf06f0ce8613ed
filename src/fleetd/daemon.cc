#include "fleetd/daemon.h"

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "fleetd/api_server.h"
#include "fleetd/identity.h"
#include "fleetd/process_metrics.h"
#include "fleetd/registry_store.h"
#include "net/asio_loop.h"
#include "node/node.h"
#include "systemd/journal_log.h"
#include "systemd/sdbus_unit_manager.h"
#include "systemd/service.h"

namespace fleet {

namespace {

// How often the machine's own address is looked at, where none is configured (as in 1.0).
constexpr Duration kAddressInterval = std::chrono::seconds(60);
constexpr Duration kReportInterval = std::chrono::seconds(1);
// What is asked of systemd again and again while units are handed over: how long each may take to
// stop is for its own TimeoutStopSec= to say, not for that of fleet.service.
constexpr std::chrono::seconds kMoreTimeToStop{60};

NodeSettings node_settings(const Config& config) {
  NodeSettings settings;
  settings.public_ip = config.public_ip.empty() ? detect_public_ip() : config.public_ip;
  settings.metadata = config.metadata;
  settings.disable_engine = config.disable_engine;
  settings.mass_loss_percent = config.engine_mass_loss_percent;
  settings.token_limit = config.token_limit;
  return settings;
}

Result<NodeOptions> node_options(const Config& config, const std::string& version) {
  NodeOptions options;
  static_cast<NodeSettings&>(options) = node_settings(config);
  auto machine_id = read_machine_id();
  if (!machine_id) return std::unexpected(machine_id.error());
  auto boot_id = read_boot_id();
  if (!boot_id) return std::unexpected(boot_id.error());
  options.machine_id = std::move(*machine_id);
  options.boot_id = std::move(*boot_id);
  options.version = version;
  options.key_prefix = config.etcd_key_prefix;
  options.agent_ttl = config.agent_ttl;
  options.unix_time = unix_time;
  options.add_process_metrics = add_process_metrics;
  return options;
}

// The files that the connection to etcd reads when it is made, and when each was last changed.
std::map<std::string, std::filesystem::file_time_type> etcd_files(const Config& config) {
  std::map<std::string, std::filesystem::file_time_type> changed;
  for (const auto& path : {config.etcd_cafile, config.etcd_certfile, config.etcd_keyfile}) {
    std::error_code gone;
    if (!path.empty()) changed[path] = std::filesystem::last_write_time(path, gone);
  }
  return changed;
}

LogLevel least_level(const Config& config) {
  return config.verbosity > 0 ? LogLevel::debug : LogLevel::info;
}

class Daemon {
 public:
  Daemon(const LoadedConfig& loaded, ConfigSource source, std::string version)
      : config_(loaded.config),
        source_(std::move(source)),
        version_(std::move(version)),
        log_(least_level(config_)) {
    warn(loaded);
  }

  Status set_up() {
    auto options = node_options(config_, version_);
    if (!options) return std::unexpected(options.error());
    settings_ = *options;
    etcd_files_ = etcd_files(config_);
    auto registry = open_registry_store(loop_, config_);
    if (!registry) return std::unexpected(registry.error());
    registry_ = std::move(*registry);
    options->registry = registry_.embedded ? "embedded" : "etcd";
    options->registry_location = registry_.location;
    units_ = std::make_unique<SdbusUnitManager>(
        loop_, SdbusUnitManager::Options{config_.units_directory, config_.systemd_user, {}});
    node_ = std::make_unique<Node>(loop_, *registry_.store, *units_, log_, std::move(*options));
    const auto sockets = inherited_sockets();
    if (!sockets) return std::unexpected(sockets.error());
    auto api = ApiServer::create(loop_, *node_, *sockets, version_);
    if (!api) return std::unexpected(api.error());
    api_ = std::move(*api);
    return {};
  }

  int run() {
    say(LogLevel::info,
        fmt::format("fleetd {} starts; the registry is {}; the API is on {} sockets", version_,
                    registry_.where, api_->sockets()));
    if (registry_.embedded) {
      say(LogLevel::info,
          "no etcd_servers are set in fleet.conf: this machine is a cluster of its own");
    }
    if (registry_.is_new) {
      say(LogLevel::warning,
          "the embedded registry is new and holds no units. fleet 1.0 took an etcd at "
          "http://127.0.0.1:2379 where none was set: to use one, set etcd_servers to it");
    }
    if (api_->sockets() == 0) {
      say(LogLevel::warning, "no API: systemd handed no sockets over (fleet.socket)");
    }
    loop_.watch_signal(SIGTERM, [this] { end(); });
    loop_.watch_signal(SIGINT, [this] { end(); });
    loop_.watch_signal(SIGHUP, [this] { reload(); });
    loop_.watch_signal(SIGUSR1, [this] {
      std::puts(node_->dump().c_str());  // never throws, as on a full disk
      std::fflush(stdout);
    });
    node_->start();
    // Ready means that the API answers and the machine's units are looked after, not that etcd is
    // there: the start of this service must not hang on a store that is down.
    notify_ready(node_->status());
    feed_watchdog();
    report();
    watch_address();
    loop_.run();
    return 0;
  }

  Log& log() { return log_; }

 private:
  void say(LogLevel level, std::string text) { log_.write({level, std::move(text), {}, {}}); }

  void warn(const LoadedConfig& loaded) {
    for (const std::string& warning : loaded.warnings) say(LogLevel::warning, warning);
  }

  void reload() {
    if (ending_) return;
    notify_reloading();
    if (const auto loaded = read_config(source_)) {
      refusal_.clear();
      take(*loaded);
    } else {
      refusal_ = loaded.error().message;
      say(LogLevel::error,
          "the configuration is not reloaded, all settings stay as they are: " + refusal_);
    }
    said_ = status();
    notify_ready(said_);
  }

  void take(const LoadedConfig& loaded) {
    warn(loaded);
    const ConfigChanges changes = changes_between(config_, loaded.config);
    config_ = reconfigured(config_, loaded.config);
    log_.set_least(least_level(config_));
    for (const std::string& key : changes.at_once) say(LogLevel::info, key + " changed");
    for (const std::string& key : changes.at_restart) {
      say(LogLevel::warning, key + " changed: takes effect at the next restart of fleetd");
    }
    for (const auto& [path, changed] : etcd_files(config_)) {
      const auto read = etcd_files_.find(path);
      if (read == etcd_files_.end() || read->second == changed) continue;
      say(LogLevel::warning,
          path + " has changed: it is read at the next restart of fleetd, which touches no unit");
    }
    apply_settings();
    say(LogLevel::info, "configuration reloaded");
  }

  void apply_settings() {
    NodeSettings settings = node_settings(config_);
    // Without a route there is nobody to tell; the address may be back with it.
    if (settings.public_ip.empty()) settings.public_ip = settings_.public_ip;
    if (settings == settings_) return;
    if (settings.public_ip != settings_.public_ip) {
      say(LogLevel::info, "this machine's address is " + settings.public_ip);
    }
    node_->reconfigure(settings);
    settings_ = std::move(settings);
  }

  void watch_address() {
    loop_.call_after(kAddressInterval, [this] {
      if (!ending_) apply_settings();
      watch_address();
    });
  }

  std::string status() const {
    return refusal_.empty() ? node_->status() : node_->status() + "; reload refused: " + refusal_;
  }

  // Feeds the watchdog from the loop, so that a loop that hangs shows.
  void feed_watchdog() {
    const Duration watchdog = watchdog_interval();
    if (watchdog == Duration(0)) return;
    notify_watchdog();
    loop_.call_after(watchdog / 3, [this] { feed_watchdog(); });
  }

  // Keeps the status line of `systemctl status fleet` true.
  void report() {
    if (handing_over_) notify_extend_timeout(kMoreTimeToStop);
    if (std::string now = status(); now != said_) {
      notify_status(now);
      said_ = std::move(now);
    }
    loop_.call_after(kReportInterval, [this] { report(); });
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
    handing_over_ = true;
    node_->leave([this] {
      say(LogLevel::info, "fleetd ends");
      loop_.stop();
    });
  }

  Config config_;
  const ConfigSource source_;
  const std::string version_;
  JournalLog log_;
  AsioLoop loop_;
  std::map<std::string, std::filesystem::file_time_type> etcd_files_;  // as they were read
  RegistryStore registry_;
  std::unique_ptr<SdbusUnitManager> units_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<ApiServer> api_;
  NodeSettings settings_;
  std::string refusal_;  // why the last reload was refused; empty if it was not
  std::string said_;
  bool ending_ = false;
  bool handing_over_ = false;
};

}  // namespace

int run_daemon(const LoadedConfig& loaded, const ConfigSource& source, const std::string& version) {
  Daemon daemon(loaded, source, version);
  if (const Status done = daemon.set_up(); !done) {
    daemon.log().write({LogLevel::error, "fleetd cannot start: " + done.error().message, {}, {}});
    return 1;
  }
  return daemon.run();
}

}  // namespace fleet
