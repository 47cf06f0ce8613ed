// A blocking byte stream to an endpoint, each call of it bounded in time. Internal to this folder:
// http_client.cc speaks HTTP over it.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "net/http_client.h"

struct addrinfo;
typedef struct ssl_ctx_st SSL_CTX;

namespace fleet {

using Deadline = std::chrono::steady_clock::time_point;

class Transport {
 public:
  virtual ~Transport() = default;

  // Reads at least one byte and appends it to `buffer`; returns how many, 0 at the end of the
  // stream. Fails: unavailable.
  virtual Result<std::size_t> read(std::string& buffer, Deadline deadline) = 0;

  // Writes all of `data`. Fails: unavailable.
  virtual Status write(std::string_view data, Deadline deadline) = 0;

  // Whether the other side has closed, or sent something that nobody asked for.
  virtual bool stale() const = 0;
};

struct TlsContextDeleter {
  void operator()(SSL_CTX* context) const;
};
using TlsContext = std::unique_ptr<SSL_CTX, TlsContextDeleter>;

// Fails: invalid (a file cannot be read or is not what it should be).
Result<TlsContext> make_tls_context(const TlsOptions& options);

// Connects to the first of the addresses (getaddrinfo(3)) that answers. One that does not answer
// uses up no more than an equal share of the time that is left. Fails: unavailable.
Result<std::unique_ptr<Transport>> connect_to_first(const addrinfo* addresses, Deadline deadline);

// Connects, including TLS for https endpoints (`tls` is not null then). Names are resolved by the
// system's resolver, whose own time limits apply. Fails: unavailable; denied (certificates).
Result<std::unique_ptr<Transport>> connect_to(const Endpoint& endpoint, SSL_CTX* tls,
                                              Deadline deadline);

// The same over a stream socket that is connected already, and becomes the transport's.
Result<std::unique_ptr<Transport>> connect_over(int socket, const Endpoint& endpoint, SSL_CTX* tls,
                                                Deadline deadline);

}  // namespace fleet
