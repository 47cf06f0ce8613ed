// HTTP messages as values; no sockets here.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace fleet {

struct HttpHeader {
  std::string name;
  std::string value;
};

// Who asks, as far as the transport knows it.
struct Peer {
  std::string address;          // "unix" or the remote IP address
  std::optional<unsigned> uid;  // of the process at the other end of a unix socket
  bool operator==(const Peer&) const = default;
};

struct HttpRequest {
  std::string method;
  std::string target;  // as sent: path and query, still percent-encoded
  std::vector<HttpHeader> headers;
  std::string body;
  Peer peer;

  // The values of every header called `name` (any case), in order.
  std::vector<std::string> header_values(const std::string& name) const;
};

struct HttpResponse {
  int status = 200;
  std::vector<HttpHeader> headers;  // without Content-Length, Date, Connection: the server's matter
  std::string body;

  std::optional<std::string> header(const std::string& name) const;
};

}  // namespace fleet
