// HTTP/1.1 server on one already listening socket.
//
// Limits (base/limits.h): sizes of header, path and body and the number of header fields (431, 414
// and 413), the bytes of all requests together and the number of connections (503), time for a
// request to arrive (408). Requests that are not HTTP are answered with 400. These answers carry
// {"error":{"code":..,"message":".."}} as their body, which names the limit, and end the
// connection. A handler sees only whole requests, one at a time from each connection.
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
  std::size_t header_fields = limits::kHttpHeaderFields;
  std::size_t target_bytes = limits::kHttpTargetBytes;
  std::size_t body_bytes = limits::kHttpBodyBytes;
  std::size_t held_bytes = limits::kHttpHeldBytes;      // over all servers that share an HttpLoad
  std::size_t answer_bytes = limits::kHttpAnswerBytes;  // likewise
  std::size_t connections = limits::kHttpConnections;
  std::chrono::milliseconds read_timeout = limits::kHttpReadTimeout;
  std::chrono::milliseconds idle_timeout = limits::kHttpIdleTimeout;  // and to take an answer
};

// What servers that share it hold of requests that are arriving or being answered, and of answers
// that their clients have not taken yet.
struct HttpLoad {
  std::size_t bytes = 0;
  std::size_t answer_bytes = 0;
};

class HttpServer {
 public:
  // Answers one request. May be called later, once, on the loop's thread; if the client has gone
  // meanwhile the answer is dropped. A Reply that is destroyed uncalled answers 500.
  using Reply = std::function<void(HttpResponse)>;
  using Handler = std::function<void(HttpRequest request, Reply reply)>;

  // Serves the listening stream socket `fd` (unix or TCP), which it owns from now on (a socket that
  // is refused is closed too). Of a HEAD request's answer only the headers are sent. Servers with
  // the same `load` have one limit for what they hold together.
  // Fails: invalid (not a listening stream socket).
  static Result<std::unique_ptr<HttpServer>> create(
      AsioLoop& loop, int fd, Handler handler, HttpServerLimits limits = {},
      std::shared_ptr<HttpLoad> load = std::make_shared<HttpLoad>());

  // Closes the socket and all connections. Answers that come later are dropped.
  virtual ~HttpServer() = default;

  // Connections that are open now.
  virtual std::size_t connections() const = 0;
};

}  // namespace fleet
