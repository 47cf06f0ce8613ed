// What `fleetctl fd-forward` does: the far end of a tunnel to a unix socket.
#pragma once

#include <string>

#include "base/error.h"

namespace fleet::ctl {

// Connects to a unix socket; returns the descriptor, the caller's to close.
// Fails: invalid (no path for a socket), unavailable.
Result<int> connect_unix_socket(const std::string& path);

// Copies what comes from `in` to `socket` and what comes from `socket` to `out`, until `socket` has
// no more to say or `out` is not read any more. The end of `in` is passed on. None is closed.
// Requires SIGPIPE to be ignored. Fails: failed (an error in between).
Status forward(int in, int out, int socket);

}  // namespace fleet::ctl
