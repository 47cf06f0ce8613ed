#include "fleetctl/fd_forward.h"

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string_view>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace fleet::ctl {
namespace {

constexpr std::size_t kBlockBytes = 64 * 1024;

// One direction: a block that was read from one side and is yet to be written to the other.
class Flow {
 public:
  bool wants_input() const { return open_ && text_.empty(); }
  bool has_output() const { return !text_.empty(); }
  bool done() const { return !open_ && text_.empty(); }
  void stop() { open_ = false; }

  Status read(int fd) {
    text_.resize(kBlockBytes);
    const ssize_t size = ::read(fd, text_.data(), text_.size());
    text_.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    if (size == 0 || (size < 0 && errno == ECONNRESET)) open_ = false;
    if (size >= 0 || errno == EINTR || errno == EAGAIN || errno == ECONNRESET) return {};
    return fail(ErrorCode::failed, fmt::format("cannot read: {}", std::strerror(errno)));
  }

  // False if the other side takes no more.
  Result<bool> write(int fd) {
    // poll() promises room for so much, even where the descriptor makes a longer write wait.
    const std::size_t size = std::min<std::size_t>(text_.size(), PIPE_BUF);
    const ssize_t written = ::write(fd, text_.data(), size);
    if (written >= 0) {
      text_.erase(0, static_cast<std::size_t>(written));
      return true;
    }
    if (errno == EINTR || errno == EAGAIN) return true;
    if (errno == EPIPE || errno == ECONNRESET) return false;
    return fail(ErrorCode::failed, fmt::format("cannot write: {}", std::strerror(errno)));
  }

 private:
  std::string text_;
  bool open_ = true;
};

short if_wanted(bool wanted, short events) {
  return wanted ? events : short{0};
}

}  // namespace

Result<int> connect_unix_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return fail(ErrorCode::invalid, fmt::format("\"{}\" cannot be a socket's path", path));
  }
  path.copy(address.sun_path, path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return fd;
  }
  const int number = errno;
  if (fd >= 0) ::close(fd);
  return fail(ErrorCode::unavailable,
              fmt::format("cannot connect to {}: {}", path, std::strerror(number)));
}

Status forward(int in, int out, int socket) {
  Flow there;
  Flow back;
  bool told_end = false;
  while (!back.done()) {
    std::array<pollfd, 4> fds{{
        {there.wants_input() ? in : -1, POLLIN, 0},
        {there.has_output() ? socket : -1, POLLOUT, 0},
        {back.wants_input() ? socket : -1, POLLIN, 0},
        // Also without anything to write: it tells when nobody reads any more.
        {out, if_wanted(back.has_output(), POLLOUT), 0},
    }};
    if (::poll(fds.data(), fds.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return fail(ErrorCode::failed, fmt::format("cannot wait: {}", std::strerror(errno)));
    }
    Status done;
    if (fds[0].revents != 0) done = there.read(in);
    if (done && fds[1].revents != 0) {
      const auto taken = there.write(socket);
      if (!taken) return std::unexpected(taken.error());
      if (!*taken) there = Flow(), there.stop();
    }
    if (done && fds[2].revents != 0) done = back.read(socket);
    if (!done) return done;
    if (there.done() && !told_end) {
      told_end = true;
      ::shutdown(socket, SHUT_WR);
    }
    if ((fds[3].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) return {};
    if ((fds[3].revents & POLLOUT) != 0) {
      const auto taken = back.write(out);
      if (!taken) return std::unexpected(taken.error());
      if (!*taken) return {};
    }
  }
  return {};
}

}  // namespace fleet::ctl
