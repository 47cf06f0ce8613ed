// Blocking sockets for this folder's tests: what a client or a server does that our own code never
// would, byte by byte.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

namespace fleet::testing {

class TempDir {
 public:
  TempDir() {
    std::string pattern = "/tmp/fleet-net-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = pattern;
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

class TestSocket {
 public:
  explicit TestSocket(int fd) : fd_(fd) {
    if (fd < 0) throw std::runtime_error("socket");
  }
  ~TestSocket() { close(); }
  TestSocket(TestSocket&& other) noexcept : fd_(other.release()) {}
  TestSocket& operator=(TestSocket&& other) noexcept {
    close();
    fd_ = other.release();
    return *this;
  }

  static TestSocket listen_tcp(int queue = 4096) {
    TestSocket socket(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address = loopback(0);
    check(::bind(socket.fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
    check(::listen(socket.fd_, queue));
    return socket;
  }
  static TestSocket listen_unix(const std::string& path) {
    TestSocket socket(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address = unix_address(path);
    check(::bind(socket.fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
    check(::listen(socket.fd_, 4096));
    return socket;
  }
  static TestSocket connect_tcp(int port) {
    TestSocket socket(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address = loopback(port);
    check(::connect(socket.fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
    return socket;
  }
  static TestSocket connect_unix(const std::string& path) {
    TestSocket socket(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address = unix_address(path);
    check(::connect(socket.fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
    return socket;
  }

  TestSocket accept() const { return TestSocket(::accept(fd_, nullptr, nullptr)); }

  int port() const {
    sockaddr_in address{};
    socklen_t size = sizeof(address);
    check(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size));
    return ntohs(address.sin_port);
  }

  // Sends all of it; false if the other side has closed.
  bool send(std::string_view data) const {
    while (!data.empty()) {
      const ssize_t sent = ::send(fd_, data.data(), data.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      data.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // Reads until `received` ends with `end` or the other side closes.
  std::string read_until(std::string_view end) const {
    std::string data;
    char c = 0;
    while (!data.ends_with(end) && ::recv(fd_, &c, 1, 0) == 1) data.push_back(c);
    return data;
  }

  // Reads until the other side closes. `reset` tells whether it did so the hard way.
  std::string read_all(bool* reset = nullptr) const {
    std::string data;
    char block[65536];
    for (;;) {
      const ssize_t size = ::recv(fd_, block, sizeof(block), 0);
      if (size < 0 && reset != nullptr) *reset = true;
      if (size <= 0) return data;
      data.append(block, static_cast<std::size_t>(size));
    }
  }

  // Reads a head and the body that it announces.
  std::string read_response() const {
    std::string head = read_until("\r\n\r\n");
    std::size_t size = 0;
    if (const auto at = head.find("Content-Length: "); at != std::string::npos) {
      size = std::stoul(head.substr(at + 16));
    }
    std::string body(size, '\0');
    std::size_t have = 0;
    while (have < size) {
      const ssize_t got = ::recv(fd_, body.data() + have, size - have, 0);
      if (got <= 0) break;
      have += static_cast<std::size_t>(got);
    }
    body.resize(have);
    return head + body;
  }

  void shutdown_send() const { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(release());
  }
  int release() { return std::exchange(fd_, -1); }
  int fd() const { return fd_; }

 private:
  static void check(int result) {
    if (result < 0) throw std::runtime_error("socket call failed");
  }
  static sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  static sockaddr_un unix_address(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) throw std::runtime_error("path too long");
    path.copy(address.sun_path, path.size());
    return address;
  }

  int fd_ = -1;
};

}  // namespace fleet::testing
