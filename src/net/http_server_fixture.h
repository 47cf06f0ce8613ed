// What the tests of the HTTP server share: a server whose loop runs in a thread of its own, so that
// the tests can block.
#pragma once

#include <chrono>
#include <future>
#include <memory>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/asio_loop.h"
#include "net/http_server.h"
#include "net/test_socket.h"

namespace fleet {

using testing::TempDir;
using testing::TestSocket;

class HttpServerTest : public ::testing::Test {
 protected:
  void serve(HttpServer::Handler handler, HttpServerLimits limits = {},
             std::shared_ptr<HttpLoad> load = std::make_shared<HttpLoad>()) {
    TestSocket listener = TestSocket::listen_tcp();
    port_ = listener.port();
    start(std::move(listener), std::move(handler), limits, std::move(load));
  }
  void serve_unix(HttpServer::Handler handler, HttpServerLimits limits = {}) {
    start(TestSocket::listen_unix(path()), std::move(handler), limits);
  }
  void start(TestSocket listener, HttpServer::Handler handler, HttpServerLimits limits,
             std::shared_ptr<HttpLoad> load = std::make_shared<HttpLoad>()) {
    auto server =
        HttpServer::create(loop_, listener.release(), std::move(handler), limits, std::move(load));
    ASSERT_TRUE(server);
    server_ = std::move(*server);
    thread_ = std::thread([this] { loop_.run(); });
  }
  void TearDown() override {
    if (thread_.joinable()) {
      loop_.post([this] {
        server_.reset();
        loop_.stop();
      });
      thread_.join();
    }
  }
  // Runs `call` on the loop's thread and waits for it.
  template <class Call>
  auto on_loop(Call call) {
    std::promise<decltype(call())> result;
    loop_.post([&] { result.set_value(call()); });
    return result.get_future().get();
  }
  // Waits until the server has exactly `count` connections.
  bool reaches_connections(std::size_t count) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::chrono::steady_clock::now() < end) {
      if (on_loop([&] { return server_->connections(); }) == count) return true;
    }
    return false;
  }
  TestSocket connect() const { return TestSocket::connect_tcp(port_); }
  std::string path() const { return dir_.file("fleet.sock"); }

  TempDir dir_;
  AsioLoop loop_;
  int port_ = 0;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

inline HttpServer::Handler echo() {
  return [](HttpRequest request, HttpServer::Reply reply) {
    HttpResponse response;
    response.headers = {{"Content-Type", "text/plain"}};
    response.body = request.method + " " + request.target + " " + request.body;
    reply(std::move(response));
  };
}

}  // namespace fleet
