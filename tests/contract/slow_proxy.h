// A way to a server on loopback that carries so many bytes a second and no more.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/socket.h>

#include "net/test_socket.h"

namespace fleet {

class SlowProxy {
 public:
  // Connects to `server_port` whoever comes to port(). Slow is what the server sends.
  SlowProxy(int server_port, int bytes_per_second)
      : server_port_(server_port),
        bytes_per_second_(bytes_per_second),
        accepter_([this] { accept(); }) {}
  ~SlowProxy() {
    ends_ = true;
    accepter_.join();
    for (std::thread& carrier : carriers_) carrier.join();
  }
  SlowProxy(const SlowProxy&) = delete;
  SlowProxy& operator=(const SlowProxy&) = delete;

  int port() const { return listener_.port(); }

 private:
  using Socket = testing::TestSocket;

  void accept() {
    pollfd state{listener_.fd(), POLLIN, 0};
    while (!ends_) {
      if (::poll(&state, 1, kLook) <= 0) continue;
      Socket client = listener_.accept();
      Socket server = Socket::connect_tcp(server_port_);
      // What waits in them would delay all that follows.
      const int small = 16 * 1024;
      ::setsockopt(server.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
      ::setsockopt(client.fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
      carriers_.emplace_back([this, client = std::move(client), server = std::move(server)] {
        carry(client, server);
      });
    }
  }

  // Both ways in one thread: what the client sends is small.
  void carry(const Socket& client, const Socket& server) const {
    std::array<pollfd, 2> states{pollfd{client.fd(), POLLIN, 0}, pollfd{server.fd(), POLLIN, 0}};
    while (!ends_) {
      if (::poll(states.data(), states.size(), kLook) <= 0) continue;
      if (states[0].revents != 0 && pass(client, server) == 0) return;
      if (states[1].revents == 0) continue;
      const std::size_t size = pass(server, client);
      if (size == 0) return;
      // This pause is the slowness itself; nothing waits by it for anything.
      std::this_thread::sleep_for(std::chrono::microseconds(static_cast<std::int64_t>(size) *
                                                            1'000'000 / bytes_per_second_));
    }
  }

  // The bytes that went over; 0 if a side has closed.
  static std::size_t pass(const Socket& from, const Socket& to) {
    std::array<char, 4096> bytes{};
    const ssize_t size = ::recv(from.fd(), bytes.data(), bytes.size(), 0);
    if (size <= 0) return 0;
    const auto count = static_cast<std::size_t>(size);
    return to.send({bytes.data(), count}) ? count : 0;
  }

  static constexpr int kLook = 50;  // ms until the proxy sees that it is to end

  const int server_port_;
  const int bytes_per_second_;
  const Socket listener_ = Socket::listen_tcp();
  std::atomic<bool> ends_ = false;
  std::vector<std::thread> carriers_;  // the accepter's until that has ended
  std::thread accepter_;               // last: it uses all of the above
};

}  // namespace fleet
