// --tunnel: connections to the API from another machine, through ssh.
#pragma once

#include <memory>

#include "fleetctl/host.h"
#include "fleetctl/ssh_command.h"
#include "net/http_client.h"

namespace fleet::ctl {

// Each connection is an ssh to the tunnel host of its own: a forwarded TCP connection to an http
// endpoint, `fleetctl fd-forward` for a unix socket. `settings` have a tunnel.
std::unique_ptr<Dialer> make_tunnel(Host& host, SshSettings settings, Endpoint endpoint);

}  // namespace fleet::ctl
