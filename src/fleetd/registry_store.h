// Where this fleetd's registry is: in etcd, or embedded in fleetd itself.
#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "base/event_loop.h"
#include "fleetd/config.h"
#include "store/sqlite/sqlite_registry.h"
#include "store/store.h"

namespace fleet {

struct RegistryStore {
  std::string where;                         // for people, such as "etcd at http://10.0.0.1:2379"
  std::string location;                      // the servers or the file
  std::unique_ptr<SqliteRegistry> embedded;  // null where etcd serves; outlives `store`
  bool is_new = false;                       // embedded, and there was none before
  std::unique_ptr<Store> store;
};

// The file of the embedded registry: in the directory that systemd made for fleetd
// (StateDirectory=, systemd.exec(5)), or in /var/lib/fleet.
std::string embedded_registry_path();

// Opens the registry that `config` names: etcd's, or, if it names no server, the embedded one,
// which serves a cluster of this machine alone. `loop` must outlive it. Fails: as EtcdStore::make
// and SqliteRegistry::open.
Result<RegistryStore> open_registry_store(EventLoop& loop, const Config& config);

}  // namespace fleet
