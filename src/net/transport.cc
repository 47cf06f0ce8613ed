#include "net/transport.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/tls.h"

namespace fleet {
namespace {

std::string error_text(int number) {
  std::array<char, 256> buffer{};
  return ::strerror_r(number, buffer.data(), buffer.size());
}

// Waits until `fd` is ready for `events`; returns whether it was before the deadline.
bool wait_for(int fd, short events, Deadline deadline) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const long long milliseconds = std::clamp<long long>(left.count(), 0, 1'000'000'000);
    pollfd state{fd, events, 0};
    const int ready = ::poll(&state, 1, static_cast<int>(milliseconds));
    if (ready > 0) return true;
    if (ready == 0 && left.count() <= 0) return false;
    if (ready < 0 && errno != EINTR) return true;  // the next call on fd tells what is wrong
  }
}

std::unexpected<Error> timed_out() {
  return fail(ErrorCode::unavailable, "no answer within the time limit");
}

std::unexpected<Error> lost(int number) {
  return fail(ErrorCode::unavailable, "connection lost: " + error_text(number));
}

class SocketTransport final : public Transport {
 public:
  explicit SocketTransport(int fd) : fd_(fd) {}
  ~SocketTransport() override { ::close(fd_); }
  SocketTransport(const SocketTransport&) = delete;
  SocketTransport& operator=(const SocketTransport&) = delete;

  Status connect(const sockaddr* address, socklen_t size, Deadline deadline) const {
    if (::connect(fd_, address, size) == 0) return {};
    if (errno != EINPROGRESS) {
      // A unix socket whose queue is full says so instead of making us wait.
      return fail(ErrorCode::unavailable, error_text(errno));
    }
    if (!wait_for(fd_, POLLOUT, deadline)) {
      return fail(ErrorCode::unavailable, "no answer within the time limit");
    }
    int error = 0;
    socklen_t error_size = sizeof(error);
    ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &error_size);
    if (error != 0) return fail(ErrorCode::unavailable, error_text(error));
    return {};
  }

  Result<std::size_t> read(std::string& buffer, Deadline deadline) override {
    std::array<char, 64 * 1024> block;  // NOLINT: filled by recv
    for (;;) {
      const ssize_t size = ::recv(fd_, block.data(), block.size(), 0);
      if (size >= 0) {
        buffer.append(block.data(), static_cast<std::size_t>(size));
        return static_cast<std::size_t>(size);
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return lost(errno);
      if (!wait_for(fd_, POLLIN, deadline)) return timed_out();
    }
  }

  Status write(std::string_view data, Deadline deadline) override {
    while (!data.empty()) {
      const ssize_t size = ::send(fd_, data.data(), data.size(), MSG_NOSIGNAL);
      if (size >= 0) {
        data.remove_prefix(static_cast<std::size_t>(size));
        continue;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return lost(errno);
      if (!wait_for(fd_, POLLOUT, deadline)) return timed_out();
    }
    return {};
  }

  bool stale() const override {
    pollfd state{fd_, POLLIN, 0};
    return ::poll(&state, 1, 0) != 0;
  }

 private:
  int fd_;
};

using SocketResult = Result<std::unique_ptr<Transport>>;

SocketResult open_socket(int family, const sockaddr* address, socklen_t size, Deadline deadline) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(ErrorCode::unavailable, error_text(errno));
  auto socket = std::make_unique<SocketTransport>(fd);
  if (family != AF_UNIX) {
    const int yes = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  }
  const Status connected = socket->connect(address, size, deadline);
  if (!connected) return std::unexpected(connected.error());
  return socket;
}

SocketResult connect_unix(const std::string& path, Deadline deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return fail(ErrorCode::unavailable, "path too long for a socket");
  }
  path.copy(address.sun_path, path.size());
  return open_socket(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof(address),
                     deadline);
}

SocketResult connect_tcp(const std::string& host, int port, Deadline deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) {
    return fail(ErrorCode::unavailable,
                fmt::format("cannot resolve {}: {}", host, ::gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, ::freeaddrinfo);
  return connect_to_first(found, deadline);
}

Error cannot_connect(const Endpoint& endpoint, Error error) {
  const bool is_unix = endpoint.scheme == Endpoint::Scheme::unix_socket;
  return with_context(std::move(error),
                      "cannot connect to " + (is_unix ? endpoint.path : endpoint.url()));
}

SocketResult with_tls(std::unique_ptr<Transport> socket, const Endpoint& endpoint, SSL_CTX* tls,
                      Deadline deadline) {
  if (endpoint.scheme != Endpoint::Scheme::https) return socket;
  SocketResult secured = start_tls(std::move(socket), tls, endpoint.host, deadline);
  if (!secured) return std::unexpected(cannot_connect(endpoint, std::move(secured.error())));
  return secured;
}

}  // namespace

Result<std::unique_ptr<Transport>> connect_to_first(const addrinfo* addresses, Deadline deadline) {
  int left = 0;
  for (const addrinfo* one = addresses; one != nullptr; one = one->ai_next) ++left;
  SocketResult result = fail(ErrorCode::unavailable, "no address");
  for (const addrinfo* one = addresses; one != nullptr; one = one->ai_next) {
    const Deadline now = std::chrono::steady_clock::now();
    result =
        open_socket(one->ai_family, one->ai_addr, one->ai_addrlen, now + (deadline - now) / left--);
    if (result) break;
  }
  return result;
}

Result<std::unique_ptr<Transport>> connect_to(const Endpoint& endpoint, SSL_CTX* tls,
                                              Deadline deadline) {
  const bool is_unix = endpoint.scheme == Endpoint::Scheme::unix_socket;
  SocketResult socket = is_unix ? connect_unix(endpoint.path, deadline)
                                : connect_tcp(endpoint.host, endpoint.port, deadline);
  if (!socket) return std::unexpected(cannot_connect(endpoint, std::move(socket.error())));
  return with_tls(std::move(*socket), endpoint, tls, deadline);
}

Result<std::unique_ptr<Transport>> connect_over(int socket, const Endpoint& endpoint, SSL_CTX* tls,
                                                Deadline deadline) {
  auto transport = std::make_unique<SocketTransport>(socket);
  const int flags = ::fcntl(socket, F_GETFL);
  if (flags < 0 || ::fcntl(socket, F_SETFL, flags | O_NONBLOCK) < 0) {
    return std::unexpected(cannot_connect(endpoint, {ErrorCode::unavailable, error_text(errno)}));
  }
  return with_tls(std::move(transport), endpoint, tls, deadline);
}

}  // namespace fleet
