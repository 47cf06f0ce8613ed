// HTTP/1.1 server on one already listening socket.
//
// Limits (base/limits.h): header and body size (431 and 413 before anything is handed on), number
// of connections (503 and close), time for a request to arrive. Requests that are not HTTP are
// answered with 400. A handler sees only whole requests.
#pragma once

#include <functional>
#include <memory>

#include "base/error.h"
#include "net/http.h"

namespace fleet {

class AsioLoop;

class HttpServer {
 public:
  // Answers one request. May be called later, once, on the loop's thread; if the client has gone
  // meanwhile the answer is dropped.
  using Reply = std::function<void(HttpResponse)>;
  using Handler = std::function<void(HttpRequest request, Reply reply)>;

  // Serves the listening stream socket `fd` (unix or TCP), which it owns from now on.
  static Result<std::unique_ptr<HttpServer>> create(AsioLoop& loop, int fd, Handler handler);

  // Closes the socket and all connections.
  virtual ~HttpServer() = default;
};

}  // namespace fleet
