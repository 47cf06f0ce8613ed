// A blocking HTTP/1.1 client for fleetctl: one connection, kept open between requests.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/error.h"
#include "net/http.h"

namespace fleet {

// Where an API is served.
struct Endpoint {
  enum class Scheme { http, https, unix_socket };
  Scheme scheme = Scheme::unix_socket;
  std::string host;  // name or address; empty for unix sockets
  int port = 0;
  std::string path;  // of the unix socket

  // Understands http://host[:port], https://host[:port], unix:///path and file:///path.
  // Fails: invalid, naming what is wrong.
  static Result<Endpoint> parse(const std::string& url);
};

class HttpClient {
 public:
  virtual ~HttpClient() = default;

  // Sends `request` (its target and body; Host and Content-Length are added) and returns the whole
  // answer. A connection that was closed meanwhile is opened again, once, if the request is a GET.
  // Fails: unavailable (cannot connect, connection lost, no answer within `timeout`), too_large.
  virtual Result<HttpResponse> send(const HttpRequest& request,
                                    std::chrono::milliseconds timeout) = 0;

  static std::unique_ptr<HttpClient> create(Endpoint endpoint);
};

}  // namespace fleet
