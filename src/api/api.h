// The HTTP API, /fleet/v1 (behaviour document 5): a request in, a response out. No sockets here.
//
// It answers from the registry mirror that its backend provides, and changes the registry only by
// transactions that compare what the answer was computed from.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/metrics_text.h"
#include "base/error.h"
#include "base/event_loop.h"
#include "cluster/registry.h"
#include "store/store.h"

namespace fleet {

// A request as the API sees it; the same fields as net's HttpRequest, which stands on a floor that
// the API does not use.
struct ApiRequest {
  std::string method;
  std::string target;                      // path and query, percent-encoded
  std::vector<std::string> content_types;  // one for each Content-Type header
  std::string body;
  std::string requester;  // who asks, e.g. "unix uid 0" or an address: for roles and audit later
};

struct ApiResponse {
  int status = 200;
  std::string content_type;  // empty: none
  std::string location;      // of a redirect, else empty
  std::string body;
};

// Why a unit is not (all) where it should be.
struct Explanation {
  struct Refusal {
    std::string machine;
    std::string reason;
  };
  std::string reason;             // one sentence; empty if all is well
  std::vector<Refusal> machines;  // for a unit without a place: each machine's own reason
};

// What the API needs of the fleetd that it is part of.
class ApiBackend {
 public:
  virtual ~ApiBackend() = default;

  // Whether requests can be answered at all. Fails: unavailable (not registered yet, or the store
  // cannot be reached).
  virtual Status ready() const = 0;

  // Calls `use` with the registry mirror once it has reached every write that was acknowledged to
  // this backend before the call; at once if it has already. With an error (unavailable) if the
  // store cannot be reached. The reference is valid during the call only.
  virtual void read(std::function<void(Result<const Registry*>)> use) = 0;

  // Commits a transaction. As Store::commit.
  virtual void commit(Transaction transaction,
                      std::function<void(Result<TransactionResult>)> done) = 0;

  // Adds what there is to tell of this fleetd to the answer of /metrics. Costs no call of the
  // store.
  virtual void add_metrics(MetricsText& metrics) const = 0;

  // What stands between `name` and its desired state, from the same registry.
  virtual Explanation explain(const Registry& registry, const std::string& name) const = 0;
};

struct ApiOptions {
  unsigned token_limit = 100;  // entries a page
  std::string version;         // of fleetd
  std::string machine_id = {};
  std::string registry = "etcd";       // or "embedded"
  std::string registry_location = {};  // for people
};

class Api {
 public:
  using Reply = std::function<void(ApiResponse)>;

  Api(EventLoop& loop, ApiBackend& backend, ApiOptions options);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  // Answers `request` by one call of `reply`, within the call or later.
  void handle(const ApiRequest& request, Reply reply);

  // For the requests that come from now on; see ApiOptions.
  void set_token_limit(unsigned token_limit);

  // The mirror has moved on: requests that wait for a change are looked at again.
  void registry_changed(const Registry& registry, const Registry::Changes& changes);

  // The mirror is gone (store out of reach): waiting requests are answered with 503.
  void registry_lost(const Error& error);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fleet
