// The stores that the contract is checked against.
#include "tests/contract/store_contract.h"

#include "tests/contract/etcd_world.h"
#include "tests/contract/memory_world.h"

namespace fleet {
namespace {

INSTANTIATE_TEST_SUITE_P(Stores, StoreContract,
                         testing::Values(StoreFactory{"memory", make_memory_world},
                                         StoreFactory{"sqlite", make_sqlite_world},
                                         StoreFactory{"etcd", make_etcd_world}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace fleet
