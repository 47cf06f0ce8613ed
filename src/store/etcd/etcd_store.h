// The Store port over etcd's v3 API (gRPC), for etcd 3.4 and later.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/event_loop.h"
#include "store/store.h"

namespace fleet {

struct EtcdOptions {
  // "http://host:port" or "https://host:port". Without a scheme it is https if `ca_file` is set.
  // They are tried in turn, beginning with the first, whenever the one in use fails.
  std::vector<std::string> endpoints = {"http://127.0.0.1:2379"};
  Duration request_timeout = std::chrono::seconds(5);  // at one endpoint

  // TLS, PEM files. The server's certificate must be signed by `ca_file` (if empty, by one of the
  // system's authorities) and name the endpoint's host. Certificate and key are the client's own.
  std::string ca_file;
  std::string cert_file;
  std::string key_file;

  // etcd's own users; no user if empty.
  std::string username;
  std::string password;

  std::int64_t page_keys = 1000;  // that one request of a read asks for at most
};

class EtcdStore final : public Store {
 public:
  // Returns at once; whether etcd can be reached shows in the first call. Fails with `invalid`: no
  // or malformed endpoints, files that cannot be read. `loop` must outlive the store.
  static Result<std::unique_ptr<EtcdStore>> make(EventLoop& loop, const EtcdOptions& options);

  ~EtcdStore() override;
  EtcdStore(const EtcdStore&) = delete;
  EtcdStore& operator=(const EtcdStore&) = delete;

  void read(KeyRange range, Revision at, Callback<ReadResult> done) override;
  void commit(Transaction transaction, Callback<TransactionResult> done) override;
  WatchId watch(KeyRange range, Revision from, WatchCallbacks callbacks) override;
  void cancel_watch(WatchId id) override;
  void grant_lease(std::chrono::seconds ttl, Callback<LeaseId> done) override;
  void keep_lease(LeaseId id, std::chrono::seconds ttl, LeaseCallbacks callbacks) override;
  void forget_lease(LeaseId id) override;
  void remaining_time(LeaseId id, Callback<std::chrono::seconds> done) override;
  void revoke_lease(LeaseId id, std::function<void(Status)> done) override;

 private:
  class Impl;
  explicit EtcdStore(std::shared_ptr<Impl> impl);

  // Callbacks on their way hold it weakly, and find it gone.
  std::shared_ptr<Impl> impl_;
};

}  // namespace fleet
