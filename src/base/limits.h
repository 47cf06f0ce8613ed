// Every limit on what a user or the network controls. Past a limit there is a clear error and
// nothing changes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace fleet::limits {

using std::chrono::seconds;

// Unit names and files (behaviour document 1.1, 1.2).
inline constexpr std::size_t kUnitNameBytes = 256;
inline constexpr std::size_t kUnitFileLineBytes = 2048;  // a line this long is refused
inline constexpr std::size_t kUnitFileBytes = 512 * 1024;
inline constexpr std::size_t kUnitFileOptions = 10'000;

inline constexpr std::size_t kConfigFileBytes = 1024 * 1024;

// HTTP API.
inline constexpr std::size_t kHttpHeaderBytes = 16 * 1024;
inline constexpr std::size_t kHttpBodyBytes = 2 * 1024 * 1024;  // etcd takes 1.5 MiB a request
inline constexpr std::size_t kHttpConnections = 8'192;
inline constexpr seconds kHttpReadTimeout{30};  // for a request to arrive once it has begun
inline constexpr seconds kHttpIdleTimeout{120};
inline constexpr std::size_t kJsonDepth = 32;
inline constexpr seconds kApiWait{60};  // the longest that a request may wait for a change
inline constexpr std::size_t kApiWaiters = 4'096;
inline constexpr std::size_t kMetadataValueBytes = 4'096;
inline constexpr std::size_t kMetadataKeyBytes = 256;
inline constexpr std::size_t kMachineIdBytes = 128;
inline constexpr std::size_t kPatchOperations = 100;

// Registry.
inline constexpr std::size_t kTransactionOperations = 128;  // etcd's default --max-txn-ops
inline constexpr std::size_t kTransactionBytes = 1024 * 1024;
inline constexpr std::size_t kRegistryValueBytes = 1024 * 1024;

}  // namespace fleet::limits
