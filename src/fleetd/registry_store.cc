#include "fleetd/registry_store.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "store/etcd/etcd_store.h"
#include "store/memory/memory_store.h"

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

}  // namespace

std::string embedded_registry_path() {
  const char* directory = std::getenv("STATE_DIRECTORY");  // NOLINT(concurrency-mt-unsafe)
  return std::string(directory == nullptr ? "/var/lib/fleet" : directory) + "/registry.db";
}

Result<RegistryStore> open_registry_store(EventLoop& loop, const Config& config) {
  RegistryStore opened;
  if (!config.etcd_servers.empty()) {
    auto store = EtcdStore::make(loop, etcd_options(config));
    if (!store) return std::unexpected(store.error());
    opened.location = fmt::format("{}", fmt::join(config.etcd_servers, ", "));
    opened.where = "etcd at " + opened.location;
    opened.store = std::move(*store);
    return opened;
  }
  const std::string path = embedded_registry_path();
  std::error_code unknown;  // open() says what is wrong with it
  opened.is_new = !std::filesystem::exists(path, unknown) && !unknown;
  auto embedded = SqliteRegistry::open(loop, path);
  if (!embedded) return std::unexpected(embedded.error());
  opened.location = path;
  opened.where = fmt::format("embedded, {}", path);
  opened.embedded = std::move(*embedded);
  opened.store = std::make_unique<MemoryStore>(loop, opened.embedded->registry());
  return opened;
}

}  // namespace fleet
