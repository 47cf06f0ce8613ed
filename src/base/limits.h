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
inline constexpr std::size_t kFileNameBytes = 255;  // NAME_MAX, and systemd's limit for unit names
inline constexpr std::size_t kUnitFileLineBytes = 2048;  // a line this long is refused
inline constexpr std::size_t kUnitFileBytes = 512 * 1024;
inline constexpr std::size_t kUnitFileOptions = 10'000;

// fleet.conf.
inline constexpr std::size_t kConfigFileBytes = 1024 * 1024;
inline constexpr std::size_t kEtcdServers = 64;
inline constexpr std::size_t kPublicIpBytes = 256;
inline constexpr std::size_t kMetadataBytes = 64 * 1024;  // all configured metadata of a machine

// HTTP API.
inline constexpr std::size_t kHttpHeaderBytes = 16 * 1024;  // with the request line
inline constexpr std::size_t kHttpTargetBytes = 8 * 1024;   // path and query
inline constexpr std::size_t kHttpHeaderFields = 100;
inline constexpr std::size_t kHttpBodyBytes = 2 * 1024 * 1024;  // etcd takes 1.5 MiB a request
// Of all requests together, on all sockets, that are arriving or being answered: room for thirty of
// the largest at once, or for a hundred thousand common ones.
inline constexpr std::size_t kHttpHeldBytes = 64 * 1024 * 1024;
// Of all answers that clients have not taken yet; one alone may be larger.
inline constexpr std::size_t kHttpAnswerBytes = 128 * 1024 * 1024;
inline constexpr std::size_t kHttpConnections = 8'192;  // on each socket
inline constexpr seconds kHttpReadTimeout{30};          // for a request to arrive once it has begun
inline constexpr seconds kHttpIdleTimeout{120};
inline constexpr std::size_t kJsonDepth = 32;
inline constexpr seconds kApiWait{30};  // the longest that a request may wait for a change
inline constexpr std::size_t kApiWaiters = 4'096;
inline constexpr std::size_t kMetadataValueBytes = 4'096;
inline constexpr std::size_t kMetadataKeyBytes = 256;
inline constexpr std::size_t kMachineIdBytes = 128;
inline constexpr std::size_t kPatchOperations = 100;
// In one request: what fits into one transaction, two keys a unit and one more.
inline constexpr std::size_t kPutUnits = 63;
inline constexpr std::size_t kMetadataKeys = 1'000;  // set through the API for one machine

// MachineOf: bounds the work of matching every name against every glob, which is proportional to
// the product of their lengths: 4 KiB of each is far beyond use, and takes some 20 ms.
inline constexpr std::size_t kPeerMatchWork = 16 * 1024 * 1024;

// What an HTTP client takes of an answer.
inline constexpr std::size_t kAnswerHeaderBytes = 64 * 1024;
inline constexpr std::size_t kAnswerBodyBytes = 64 * 1024 * 1024;

// fleetctl's ssh.
inline constexpr seconds kSshLogin{120};  // for a login once connected: what sshd gives it

// Registry.
inline constexpr std::size_t kTransactionOperations = 128;  // etcd's default --max-txn-ops
inline constexpr std::size_t kTransactionBytes = 1024 * 1024;
inline constexpr std::size_t kRegistryValueBytes = 1024 * 1024;
// One answer of etcd. A page of a read that passes this is asked for again with fewer keys. etcd
// takes no value of more than 1.5 MiB, so that a few keys always fit.
inline constexpr std::size_t kEtcdAnswerBytes = 16 * 1024 * 1024;
// Of the embedded registry, what can still be read and watched from: the newest revisions, as many
// and as large as this.
inline constexpr std::size_t kHistoryRevisions = 10'000;
inline constexpr std::size_t kHistoryBytes = 64 * 1024 * 1024;
// How far etcd may be ahead of a busy event loop. What is beyond is asked for again later.
inline constexpr std::size_t kWatchBacklogBytes = 64 * 1024 * 1024;

}  // namespace fleet::limits
