// fleetctl as a function.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "fleetctl/command_line.h"

namespace fleet::ctl {

// Where fleetctl runs.
struct Surroundings {
  Environment environment;
  Clock& clock;
  Host& host;
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  // Makes the client for an endpoint. Empty: HttpClient::create.
  std::function<Result<std::unique_ptr<HttpClient>>(const Endpoint&, const TlsOptions&)> connect =
      {};
};

// Runs `fleetctl ARGS...`; returns the exit code.
int run_fleetctl(const std::vector<std::string>& args, const Surroundings& surroundings);

}  // namespace fleet::ctl
