// The fleet API as fleetctl uses it: entities in, entities out.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/json/entities.h"
#include "api/json/status.h"
#include "base/error.h"
#include "fleetctl/clock.h"
#include "net/http_client.h"

namespace fleet::ctl {

class ApiClient {
 public:
  virtual ~ApiClient() = default;

  // Whole lists, all pages of them.
  virtual Result<std::vector<MachineEntity>> machines() = 0;
  virtual Result<std::vector<UnitEntity>> units() = 0;
  virtual Result<std::vector<UnitStateEntity>> states() = 0;

  virtual Result<InfoEntity> info() = 0;

  // Nothing if there is no such unit.
  virtual Result<std::optional<UnitEntity>> unit(const std::string& name) = 0;

  // Creates a unit, replaces its options or sets its desired state, as the members given say. A
  // unit that is already as it is asked to be is a success.
  virtual Status put_unit(const UnitEntity& unit) = 0;

  // Does the same with several units, in their order and in as few requests as possible; `done` is
  // called with the index of each that was put. Ends at the first that cannot be.
  virtual Status put_units(const std::vector<UnitEntity>& units,
                           const std::function<void(std::size_t)>& done) = 0;

  // False if there is no such unit.
  virtual Result<bool> destroy_unit(const std::string& name) = 0;

  // Asks for one more restart of a unit that is to be launched. How often that has now been asked
  // for; nothing if there is no such unit. Fails: conflict (it is not to be launched).
  virtual Result<std::optional<std::int64_t>> restart_unit(const std::string& name) = 0;

  // What the cluster knows of `names`, or of all units if there are none.
  virtual Result<StatusEntity> status(const std::vector<std::string>& names) = 0;

  // The same once it has changed after the revision `after`, or after some time as it is; nothing
  // if `timeout` passes first.
  virtual Result<std::optional<StatusEntity>> wait_for_change(
      const std::vector<std::string>& names, std::int64_t after,
      std::chrono::milliseconds timeout) = 0;
};

struct ApiClientOptions {
  std::chrono::milliseconds request_timeout{3'000};
  bool tunnelled = false;  // the connection's own errors say what to do
  std::string version;     // of fleetctl
  // Told once if a fleetd that is newer than `version` answers. May be empty.
  std::function<void(const std::string& server_version)> newer_server;
  // Told of each request, for --debug. May be empty.
  std::function<void(const std::string& line)> debug;
};

// `endpoint` is where `http` leads, for messages. `clock` must outlive the client.
std::unique_ptr<ApiClient> make_api_client(std::unique_ptr<HttpClient> http, Endpoint endpoint,
                                           const Clock& clock, ApiClientOptions options);

}  // namespace fleet::ctl
