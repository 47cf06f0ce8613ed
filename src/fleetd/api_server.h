// Serves a node's API on listening sockets: HTTP messages to API requests and back.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "net/asio_loop.h"
#include "net/http_server.h"
#include "node/node.h"

namespace fleet {

class ApiServer {
 public:
  // Serves `node` on each of the listening sockets, which it owns from now on. `version` goes into
  // the Server header. Fails: invalid, naming the descriptor that is not a listening socket.
  static Result<std::unique_ptr<ApiServer>> create(AsioLoop& loop, Node& node,
                                                   const std::vector<int>& sockets,
                                                   const std::string& version);

  std::size_t sockets() const { return servers_.size(); }

 private:
  std::vector<std::unique_ptr<HttpServer>> servers_;
};

}  // namespace fleet
