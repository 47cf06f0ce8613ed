// A way to a server on loopback that carries so many bytes a second and no more.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace fleet {

class SlowProxy {
 public:
  // Listens on a port of its own and connects to `server_port`. Slow is what the server sends.
  SlowProxy(int server_port, int bytes_per_second)
      : server_port_(server_port), bytes_per_second_(bytes_per_second) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(0);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    ::listen(listener_, 16);
    socklen_t size = sizeof(address);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    accepter_ = std::thread([this] { accept(); });
  }
  ~SlowProxy() {
    ends_ = true;
    accepter_.join();
    for (std::thread& carrier : carriers_) carrier.join();
    ::close(listener_);
  }
  SlowProxy(const SlowProxy&) = delete;
  SlowProxy& operator=(const SlowProxy&) = delete;

  int port() const { return port_; }

 private:
  static sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
  }

  // Whether there is something to read; false once the proxy ends.
  bool wait(int socket) const {
    pollfd state{socket, POLLIN, 0};
    while (!ends_) {
      if (::poll(&state, 1, 50) > 0) return true;
    }
    return false;
  }

  void accept() {
    while (wait(listener_)) {
      const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const int small = 16 * 1024;  // what waits in it would delay all that follows
      ::setsockopt(server, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
      ::setsockopt(client, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
      const sockaddr_in address = loopback(server_port_);
      ::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
      carriers_.emplace_back([this, client, server] { carry(client, server); });
    }
  }

  // Both ways in one thread: what the client sends is small.
  void carry(int client, int server) const {
    std::array<char, 4096> bytes{};
    std::array<pollfd, 2> states{pollfd{client, POLLIN, 0}, pollfd{server, POLLIN, 0}};
    bool open = true;
    while (open && !ends_) {
      if (::poll(states.data(), states.size(), 50) <= 0) continue;
      if (states[0].revents != 0) open = pass(client, server, bytes) > 0;
      if (open && states[1].revents != 0) {
        const auto size = pass(server, client, bytes);
        open = size > 0;
        if (open) {
          std::this_thread::sleep_for(std::chrono::microseconds(static_cast<std::int64_t>(size) *
                                                                1'000'000 / bytes_per_second_));
        }
      }
    }
    ::close(client);
    ::close(server);
  }

  static ssize_t pass(int from, int to, std::array<char, 4096>& bytes) {
    const ssize_t size = ::recv(from, bytes.data(), bytes.size(), 0);
    for (ssize_t sent = 0; sent < size;) {
      const ssize_t part =
          ::send(to, bytes.data() + sent, static_cast<std::size_t>(size - sent), MSG_NOSIGNAL);
      if (part <= 0) return -1;
      sent += part;
    }
    return size;
  }

  const int server_port_;
  const int bytes_per_second_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> ends_ = false;
  std::thread accepter_;
  std::vector<std::thread> carriers_;  // the accepter's until that has ended
};

}  // namespace fleet
