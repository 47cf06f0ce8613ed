// The far end of --tunnel to a unix socket (behaviour document 6.4, 6.6).
#include <csignal>

#include <unistd.h>

#include "fleetctl/command.h"
#include "fleetctl/fd_forward.h"

namespace fleet::ctl {

int cmd_fd_forward(Context& context) {
  if (context.args.size() != 1) {
    context.err << "Provide a single argument\n";
    return 1;
  }
  const auto socket = connect_unix_socket(context.args.front());
  if (!socket) {
    context.err << "Failed dialing remote address: " << socket.error().message << "\n";
    return 1;
  }
  ::signal(SIGPIPE, SIG_IGN);
  const Status done = forward(STDIN_FILENO, STDOUT_FILENO, *socket);
  ::close(*socket);
  if (done) return 0;
  context.err << "fleetctl fd-forward: " << done.error().message << "\n";
  return 1;
}

}  // namespace fleet::ctl
