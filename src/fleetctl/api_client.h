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
#include "net/http_client.h"

namespace fleet::ctl {

class ApiClient {
 public:
  virtual ~ApiClient() = default;

  // Whole lists, all pages of them.
  virtual Result<std::vector<MachineEntity>> machines() = 0;
  virtual Result<std::vector<UnitEntity>> units() = 0;
  virtual Result<std::vector<UnitStateEntity>> states() = 0;

  // Nothing if there is no such unit.
  virtual Result<std::optional<UnitEntity>> unit(const std::string& name) = 0;

  // Creates a unit, replaces its options or sets its desired state, as the members given say. A
  // unit that is already as it is asked to be is a success.
  virtual Status put_unit(const UnitEntity& unit) = 0;

  // False if there is no such unit.
  virtual Result<bool> destroy_unit(const std::string& name) = 0;

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
  std::string user_agent;
  // Told of each request, for --debug. May be empty.
  std::function<void(const std::string& line)> debug;
};

// `endpoint` is where `http` leads, for messages.
std::unique_ptr<ApiClient> make_api_client(std::unique_ptr<HttpClient> http, Endpoint endpoint,
                                           ApiClientOptions options);

}  // namespace fleet::ctl
