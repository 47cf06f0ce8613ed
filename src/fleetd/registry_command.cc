#include "fleetd/registry_command.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fleetd/fleet1_registry.h"
#include "fleetd/fleet1_source.h"
#include "fleetd/identity.h"
#include "fleetd/registry_filler.h"
#include "fleetd/registry_store.h"
#include "net/asio_loop.h"

namespace fleet {
namespace {

using namespace std::chrono_literals;

// For a fleetd to let go of its file, and for machines to join.
constexpr Duration kPatience = 60s;
constexpr Duration kLookAgain = 100ms;
constexpr std::size_t kShown = 20;  // of what cannot be read

template <class... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print("{}\n", fmt::format(format, std::forward<Args>(args)...));
  (void)std::fflush(stdout);
}

int refuse(const std::string& what) {
  fmt::print(stderr, "fleetd: {}\n", what);
  return 1;
}

// Restarting leaves all units as they are: fleetd asks systemd which of the two it is.
Status restart_service() {
  std::array<const char*, 4> argv{"systemctl", "restart", "fleet.service", nullptr};
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], nullptr, nullptr,
                                 const_cast<char* const*>(argv.data()), environ);
  if (error != 0) {
    return fail(ErrorCode::failed, fmt::format("cannot run systemctl: {}", std::strerror(error)));
  }
  int status = 0;
  pid_t ended = 0;
  do ended = waitpid(child, &status, 0);
  while (ended < 0 && errno == EINTR);
  if (ended < 0) {
    return fail(ErrorCode::failed,
                fmt::format("how `systemctl restart fleet.service` went is not known: {}",
                            std::strerror(errno)));
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail(ErrorCode::failed, "`systemctl restart fleet.service` failed, as it says above");
}

class RegistryCommand {
 public:
  RegistryCommand(const RegistryArguments& arguments, const Config& config)
      : arguments_(arguments), config_(config), keys_(config.etcd_key_prefix) {}

  int run() {
    if (config_.etcd_servers.empty()) {
      return refuse(
          "no etcd_servers are set: the registry that is to be filled is the one in etcd. Set them "
          "in fleet.conf on this machine (fleetd takes them at its next restart) and run this "
          "again");
    }
    auto store = open_registry_store(loop_, config_);
    if (!store) return refuse(store.error().message);
    target_ = std::move(*store);
    where_ = fmt::format("{}, under {}", target_.where, keys_.prefix());
    LoopDriver driver{[this] { loop_.run(); }, [this] { loop_.stop(); }};
    filler_ = std::make_unique<RegistryFiller>(loop_, std::move(driver), *target_.store, keys_);
    return arguments_.verb == RegistryArguments::Verb::move ? move() : import();
  }

 private:
  int move() {
    const std::string path = embedded_registry_path();
    if (std::error_code error; !std::filesystem::exists(path, error)) {
      return refuse(fmt::format("there is no embedded registry {} to move: {}", path,
                                error ? error.message() : "no such file"));
    }
    // In use: by the fleetd that is to let go of it.
    auto source = SqliteRegistry::open(loop_, path);
    const bool in_use = !source && source.error().code == ErrorCode::conflict;
    if (!source && !in_use) return refuse(source.error().message);
    const auto claimed = filler_->claim(fmt::format("fleetd registry move from {} of machine {}",
                                                    path, read_machine_id().value_or("unknown")));
    if (!claimed) return refuse_target(claimed.error());
    announce(*claimed, path);
    if (in_use) {
      say("restarting fleet.service, so that fleetd takes the new etcd_servers; no unit is "
          "touched");
      if (Status done = restart_service(); !done) return give_up(done.error().message);
      source = open_once_free(path);
    }
    if (!source) return refuse_unfinished(source.error().message);
    const auto contents = contents_of_file(**source, path);
    if (!contents) return refuse_unfinished(contents.error().message);
    if (const int status = fill(*contents); status != 0) return status;
    say("{} is left as it was; remove it once you are sure that you need no way back", path);
    return 0;
  }

  // The fleetd that has it open keeps it from everybody else until it ends.
  Result<std::unique_ptr<SqliteRegistry>> open_once_free(const std::string& path) {
    const Time limit = loop_.now() + kPatience;
    while (true) {
      auto opened = SqliteRegistry::open(loop_, path);
      if (opened || opened.error().code != ErrorCode::conflict) return opened;
      if (loop_.now() >= limit) {
        return fail(ErrorCode::conflict,
                    opened.error().message +
                        " (fleet.service was restarted and still uses it: does it read another "
                        "fleet.conf, or variables FLEET_*, that set no etcd_servers?)");
      }
      loop_.call_after(kLookAgain, [this] { loop_.stop(); });
      loop_.run();
    }
  }

  Result<RegistryContents> contents_of_file(SqliteRegistry& source, const std::string& path) const {
    const auto everything = source.registry().read({"", true}, 0);
    if (!everything) return std::unexpected(everything.error());
    RegistryContents contents = contents_of(*everything, keys_);
    if (contents.empty() && !everything->values.empty() &&
        !everything->values.front().key.starts_with(keys_.prefix())) {
      return fail(ErrorCode::not_found,
                  fmt::format("{} holds nothing under {}, but {}: set etcd_key_prefix to what it "
                              "was before",
                              path, keys_.prefix(), everything->values.front().key));
    }
    return contents;
  }

  int import() {
    const std::vector<std::string>& servers =
        arguments_.from.empty() ? config_.etcd_servers : arguments_.from;
    const std::string from_prefix =
        arguments_.from_prefix.empty() ? keys_.prefix() : Keys(arguments_.from_prefix).prefix();
    const std::string source =
        fmt::format("etcd's version 2 at {}, under {}", fmt::join(servers, ", "), from_prefix);
    const auto fleet1 = read_fleet1(servers, from_prefix, config_);
    if (!fleet1) return refuse(fmt::format("{}: {}", source, fleet1.error().message));
    const Fleet1Import found = import_fleet1(*fleet1, keys_);
    if (!found.machines.empty()) {
      return refuse(fmt::format(
          "fleet 1.0 is alive, or was until just now, on {}. Two fleets must not have the same "
          "units: end every fleetd 1.0 with SIGKILL, which touches no unit, wait until its record "
          "in etcd has run out (its agent_ttl, 30 s by default), and run this again. Nothing was "
          "changed",
          fmt::join(found.machines, ", ")));
    }
    if (const int status = report_unreadable(found); status != 0) return status;
    const auto claimed = filler_->claim("fleetd registry import from " + source);
    if (!claimed) return refuse_target(claimed.error());
    announce(*claimed, source);
    return fill(found.contents);
  }

  int report_unreadable(const Fleet1Import& found) const {
    if (found.unreadable.empty()) return 0;
    for (std::size_t i = 0; i < found.unreadable.size() && i < kShown; ++i) {
      fmt::print(stderr, "fleetd: cannot be taken: {}\n", found.unreadable[i]);
    }
    if (found.unreadable.size() > kShown) {
      fmt::print(stderr, "fleetd: ... and {} more\n", found.unreadable.size() - kShown);
    }
    if (arguments_.skip_unreadable) return 0;
    return refuse(fmt::format(
        "{} of fleet 1.0's entries cannot be taken. Mend or remove them, or leave them out with "
        "-skip-unreadable: what runs of them goes on, and fleet does not know it. Nothing was "
        "changed",
        found.unreadable.size()));
  }

  void announce(RegistryFiller::Claim claim, const std::string& source) const {
    say("filling the registry in {} from {}", where_, source);
    if (claim == RegistryFiller::Claim::begun_anew) {
      say("an earlier copy was interrupted; it is begun anew");
    }
  }

  int fill(const RegistryContents& contents) {
    if (Status done = filler_->copy(contents); !done) {
      return refuse_unfinished(done.error().message);
    }
    std::set<std::string> machines = machines_with_units(contents, keys_);
    for (const std::string& lost : arguments_.lost) machines.erase(lost);
    say("{} keys are copied; waiting for the machines that have units to join", contents.size());
    const auto absent = filler_->wait_for_machines(std::move(machines), kPatience);
    if (!absent) return refuse_unfinished(absent.error().message);
    if (!absent->empty()) {
      return refuse_unfinished(fmt::format(
          "no fleetd has joined from {}, which has units. Start fleet there with these "
          "etcd_servers. If the machine is gone for good, say -lost MACHINE: its units are then "
          "started elsewhere",
          fmt::join(*absent, ", ")));
    }
    if (Status done = filler_->complete(); !done) return refuse_unfinished(done.error().message);
    std::size_t units = 0;
    for (const auto& [key, value] : contents) {
      const auto parsed = keys_.parse(key);
      if (parsed && parsed->kind == Key::Kind::unit) ++units;
    }
    say("done: {} {} in the registry; what ran goes on as it did", units,
        units == 1 ? "unit is" : "units are");
    return 0;
  }

  // Nothing has been copied yet, and the fleetd that serves is the old one.
  int give_up(const std::string& what) {
    if (Status done = filler_->complete(); !done) return refuse_unfinished(what);
    return refuse(what + ". Nothing was changed");
  }

  int refuse_target(const Error& error) const {
    std::string next;
    if (error.code == ErrorCode::conflict) {
      next =
          ". Nothing was changed. Choose another etcd_key_prefix, or, if nobody needs what is "
          "there, remove it with `etcdctl del --prefix`";
    }
    return refuse(
        fmt::format("the registry in {} cannot be filled: {}{}", where_, error.message, next));
  }

  int refuse_unfinished(const std::string& what) const {
    return refuse(
        fmt::format("{}. The registry in {} is not complete: no unit is touched, and "
                    "nothing is decided, until this command has been run again",
                    what, where_));
  }

  const RegistryArguments& arguments_;
  const Config& config_;
  const Keys keys_;
  AsioLoop loop_;
  RegistryStore target_;
  std::string where_;
  std::unique_ptr<RegistryFiller> filler_;
};

}  // namespace

int run_registry_command(const RegistryArguments& arguments, const Config& config) {
  return RegistryCommand(arguments, config).run();
}

}  // namespace fleet
