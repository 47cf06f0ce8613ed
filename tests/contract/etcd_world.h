// EtcdStore sessions with a real etcd, for the Store contract.
#pragma once

#include <memory>

#include "tests/contract/store_contract.h"

namespace fleet {

std::unique_ptr<StoreWorld> make_etcd_world(TestLoop& loop);

}  // namespace fleet
