// MemoryStore sessions over one registry, for the Store contract: in memory only, and kept by
// SQLite. The store that is killed and restarted here is a line that is cut and mended: the
// registry is in the sessions' own process and dies only with them (sqlite_registry_test.cc).
#pragma once

#include <memory>

#include "tests/contract/store_contract.h"

namespace fleet {

std::unique_ptr<StoreWorld> make_memory_world(TestLoop& loop);
std::unique_ptr<StoreWorld> make_sqlite_world(TestLoop& loop);

}  // namespace fleet
