// TLS over a Transport. Internal to this folder.
#pragma once

#include <memory>
#include <string>

#include "net/transport.h"

namespace fleet {

// Does the handshake over `inner` as the client of `host`, whose certificate must say so.
// Fails: unavailable; denied (a certificate is not accepted); invalid (`host` cannot be in one).
Result<std::unique_ptr<Transport>> start_tls(std::unique_ptr<Transport> inner, SSL_CTX* context,
                                             const std::string& host, Deadline deadline);

}  // namespace fleet
