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
  std::string host;  // name or address (IPv6 without brackets); empty for unix sockets
  int port = 0;
  std::string path;  // of the unix socket

  // Understands http://host[:port], https://host[:port], unix:///path and file:///path.
  // Fails: invalid, naming what is wrong.
  static Result<Endpoint> parse(const std::string& url);

  // The endpoint as parse() takes it: unix:///var/run/fleet.sock, http://10.0.0.1:49153.
  std::string url() const;

  bool operator==(const Endpoint&) const = default;
};

// For https endpoints. The server's certificate is always verified, and its name too.
struct TlsOptions {
  std::string ca_file;    // PEM; empty: the system's certificate authorities
  std::string cert_file;  // PEM chain to show to a server that asks; goes with key_file
  std::string key_file;
};

// Opens the connections of a client that does not open them itself: a tunnel.
class Dialer {
 public:
  virtual ~Dialer() = default;

  // A stream socket that is connected to where the endpoint is served, the caller's to close. It
  // may take its time, for a person to answer a question: what a request has does not count here.
  // The connection before is not used any more.
  // Fails: unavailable, denied.
  virtual Result<int> dial() = 0;

  // Makes of why the last connection, which is closed now, was lost what can be told of it.
  virtual Error explain(Error error) = 0;
};

class HttpClient {
 public:
  virtual ~HttpClient() = default;

  // Sends `request` (its target and body; Host and Content-Length are added) and returns the whole
  // answer. A connection that was closed meanwhile is opened again, once, if the request is a GET.
  // (One that is seen to be closed before anything is sent is opened again for every method.)
  // Fails: invalid (the request's own text), unavailable (cannot connect, connection lost, no
  // answer within `timeout`), denied (a certificate is not accepted), too_large.
  virtual Result<HttpResponse> send(const HttpRequest& request,
                                    std::chrono::milliseconds timeout) = 0;

  // Fails: invalid (a file cannot be read or is not what it should be).
  // Connections are opened by `dialer`, if there is one; TLS is spoken over them all the same.
  static Result<std::unique_ptr<HttpClient>> create(Endpoint endpoint, const TlsOptions& tls,
                                                    std::unique_ptr<Dialer> dialer = nullptr);
};

}  // namespace fleet
