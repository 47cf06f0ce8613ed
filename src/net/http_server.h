// HTTP/1.1 server on one already listening socket.
//
// Limits (base/limits.h): header and body size (431 and 413 before anything is handed on), number
// of connections (503 and close), time for a request to arrive (408). Requests that are not HTTP
// are answered with 400. These answers carry {"error":{"code":..,"message":".."}} as their body and
// end the connection. A handler sees only whole requests, one at a time from each connection.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

#include "base/error.h"
#include "base/limits.h"
#include "net/http.h"

namespace fleet {

class AsioLoop;

// Tests make these small; everyone else takes them as they are.
struct HttpServerLimits {
  std::size_t header_bytes = limits::kHttpHeaderBytes;
  std::size_t body_bytes = limits::kHttpBodyBytes;
  std::size_t connections = limits::kHttpConnections;
  std::chrono::milliseconds read_timeout = limits::kHttpReadTimeout;
  std::chrono::milliseconds idle_timeout = limits::kHttpIdleTimeout;  // and to take an answer
};

class HttpServer {
 public:
  // Answers one request. May be called later, once, on the loop's thread; if the client has gone
  // meanwhile the answer is dropped. A Reply that is destroyed uncalled answers 500.
  using Reply = std::function<void(HttpResponse)>;
  using Handler = std::function<void(HttpRequest request, Reply reply)>;

  // Serves the listening stream socket `fd` (unix or TCP), which it owns from now on (a socket that
  // is refused is closed too). Of a HEAD request's answer only the headers are sent.
  // Fails: invalid (not a listening stream socket).
  static Result<std::unique_ptr<HttpServer>> create(AsioLoop& loop, int fd, Handler handler,
                                                    HttpServerLimits limits = {});

  // Closes the socket and all connections. Answers that come later are dropped.
  virtual ~HttpServer() = default;

  // Connections that are open now.
  virtual std::size_t connections() const = 0;
};

}  // namespace fleet
