#include "net/http_server.h"

#include <chrono>
#include <cstdio>
#include <fstream>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/asio_loop.h"
#include "net/test_socket.h"

namespace fleet {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using testing::TempDir;
using testing::TestSocket;

// A server whose loop runs in a thread of its own, so that the tests can block.
class HttpServerTest : public ::testing::Test {
 protected:
  void serve(HttpServer::Handler handler, HttpServerLimits limits = {}) {
    TestSocket listener = TestSocket::listen_tcp();
    port_ = listener.port();
    start(std::move(listener), std::move(handler), limits);
  }
  void serve_unix(HttpServer::Handler handler, HttpServerLimits limits = {}) {
    start(TestSocket::listen_unix(path()), std::move(handler), limits);
  }
  void start(TestSocket listener, HttpServer::Handler handler, HttpServerLimits limits) {
    auto server = HttpServer::create(loop_, listener.release(), std::move(handler), limits);
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

HttpServer::Handler echo() {
  return [](HttpRequest request, HttpServer::Reply reply) {
    HttpResponse response;
    response.headers = {{"Content-Type", "text/plain"}};
    response.body = request.method + " " + request.target + " " + request.body;
    reply(std::move(response));
  };
}

TEST_F(HttpServerTest, AnswersAndKeepsTheConnection) {
  serve(echo());
  const TestSocket client = connect();
  for (int i = 0; i < 1000; ++i) {
    client.send("PUT /a?b=" + std::to_string(i) +
                " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
    const std::string answer = client.read_response();
    ASSERT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\nDate: "));
    ASSERT_THAT(answer, HasSubstr("\r\nContent-Type: text/plain\r\n"));
    ASSERT_THAT(answer, HasSubstr("\r\nConnection: keep-alive\r\n"));
    ASSERT_TRUE(answer.ends_with("\r\n\r\nPUT /a?b=" + std::to_string(i) + " hi"));
  }
}

TEST_F(HttpServerTest, HandsOverHeadersAndPeer) {
  std::promise<HttpRequest> seen;
  serve_unix([&](HttpRequest request, HttpServer::Reply reply) {
    seen.set_value(std::move(request));
    reply({});
  });
  const TestSocket client = TestSocket::connect_unix(path());
  client.send("GET /%41 HTTP/1.1\r\nX-A: 1\r\nx-a: 2\r\nContent-Type: application/json\r\n\r\n");
  const HttpRequest request = seen.get_future().get();
  EXPECT_EQ(request.target, "/%41");
  EXPECT_EQ(request.header_values("X-a"), (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(request.header_values("content-type"), (std::vector<std::string>{"application/json"}));
  EXPECT_EQ(request.peer, (Peer{"unix", ::getuid()}));
}

TEST_F(HttpServerTest, TcpPeersHaveAnAddressAndNoUser) {
  std::promise<Peer> seen;
  serve([&](HttpRequest request, HttpServer::Reply reply) {
    seen.set_value(request.peer);
    reply({});
  });
  const TestSocket client = connect();
  client.send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(seen.get_future().get(), (Peer{"127.0.0.1", std::nullopt}));
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrderOneAtATime) {
  // Answers come only when the next request would already be there, and never overtake each other.
  std::vector<std::string> started;
  serve([&](HttpRequest request, HttpServer::Reply reply) {
    started.push_back(request.target);
    loop_.call_after(milliseconds(1), [&, count = started.size(), reply, target = request.target] {
      HttpResponse response;
      response.body = target + ":" + std::to_string(count) + ":" + std::to_string(started.size());
      reply(std::move(response));
    });
  });
  const TestSocket client = connect();
  client.send(
      "GET /1 HTTP/1.1\r\n\r\nPUT /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /3 "
      "HTTP/1.1\r\n\r\nGET /4 HT");
  EXPECT_TRUE(client.read_response().ends_with("\r\n\r\n/1:1:1"));
  EXPECT_TRUE(client.read_response().ends_with("\r\n\r\n/2:2:2"));
  EXPECT_TRUE(client.read_response().ends_with("\r\n\r\n/3:3:3"));
  client.send("TP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(client.read_all().ends_with("\r\n\r\n/4:4:4"));
}

TEST_F(HttpServerTest, RequestsMayArriveByteByByte) {
  serve(echo());
  const TestSocket client = connect();
  const std::string request =
      "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
  for (const char c : request) client.send({&c, 1});
  EXPECT_TRUE(client.read_response().ends_with("\r\n\r\nPOST /x abcde"));
}

TEST_F(HttpServerTest, HeadHasNoBodyAnd204NoLength) {
  serve([](HttpRequest request, HttpServer::Reply reply) {
    HttpResponse response;
    if (request.target == "/none") response.status = 204;
    if (request.target != "/none") response.body = "12345";
    reply(std::move(response));
  });
  const TestSocket client = connect();
  client.send("HEAD /a HTTP/1.1\r\n\r\n");
  EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("Content-Length: 5\r\n"));
  client.send("GET /none HTTP/1.1\r\n\r\n");
  const std::string none = client.read_until("\r\n\r\n");
  EXPECT_THAT(none, StartsWith("HTTP/1.1 204 No Content\r\n"));
  EXPECT_THAT(none, Not(HasSubstr("Content-Length")));
  client.send("GET /b HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(client.read_all().ends_with("\r\n\r\n12345"));
}

TEST_F(HttpServerTest, Http10ClosesUnlessAskedToStay) {
  serve(echo());
  const TestSocket one = connect();
  one.send("GET /a HTTP/1.0\r\n\r\n");
  EXPECT_THAT(one.read_all(), HasSubstr("Connection: close\r\n"));
  const TestSocket two = connect();
  two.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(two.read_response(), HasSubstr("Connection: keep-alive\r\n"));
}

TEST_F(HttpServerTest, ContinueIsSentWhenAskedFor) {
  serve(echo());
  const TestSocket client = connect();
  client.send("PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("ok");
  EXPECT_TRUE(client.read_response().ends_with("\r\n\r\nPUT /a ok"));
}

TEST_F(HttpServerTest, HeaderLineBreaksCannotBeInjected) {
  serve([](HttpRequest, HttpServer::Reply reply) {
    HttpResponse response;
    response.headers = {{"X-Bad", "a\r\nX-Evil: 1"}, {"X-Good", "1"}};
    reply(std::move(response));
  });
  const TestSocket client = connect();
  client.send("GET / HTTP/1.1\r\n\r\n");
  const std::string answer = client.read_response();
  EXPECT_THAT(answer, Not(HasSubstr("X-Evil")));
  EXPECT_THAT(answer, HasSubstr("X-Good: 1\r\n"));
}

// Bad input: a clear answer, and the handler sees nothing.
class HttpServerBadInput : public HttpServerTest {
 protected:
  void SetUp() override {
    serve([](HttpRequest, HttpServer::Reply) { FAIL() << "the handler was called"; });
  }
  std::string answer_to(std::string_view bytes) {
    const TestSocket client = connect();
    client.send(bytes);
    bool reset = false;
    std::string answer = client.read_all(&reset);
    EXPECT_FALSE(reset);
    return answer;
  }
};

TEST_F(HttpServerBadInput, BodyOf3MegabytesIs413) {
  for (const bool chunked : {false, true}) {
    std::string request = "PUT /fleet/v1/units/a.service HTTP/1.1\r\n";
    request += chunked ? "Transfer-Encoding: chunked\r\n\r\n300000\r\n"
                       : "Content-Length: 3145728\r\n\r\n";
    request += std::string(3145728, 'x');
    const std::string answer = answer_to(request);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 413 Payload Too Large\r\n"));
    EXPECT_THAT(answer, HasSubstr("Content-Type: application/json\r\n"));
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
    EXPECT_TRUE(answer.ends_with(
        "\r\n\r\n{\"error\":{\"code\":413,\"message\":\"request body too large\"}}"));
  }
}

TEST_F(HttpServerBadInput, HeaderOf100KilobytesIs431) {
  const std::string answer =
      answer_to("GET / HTTP/1.1\r\nX-Long: " + std::string(100'000, 'a') + "\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(answer, HasSubstr("{\"error\":{\"code\":431,"));
  EXPECT_THAT(answer_to("GET /" + std::string(100'000, 'a')), StartsWith("HTTP/1.1 431 "));
  std::string many = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 5000; ++i) many += "X-Header-" + std::to_string(i) + ": 1\r\n";
  EXPECT_THAT(answer_to(many), StartsWith("HTTP/1.1 431 "));
}

TEST_F(HttpServerBadInput, GarbageIs400) {
  std::string bytes;
  for (int i = 0; i < 4096; ++i) bytes.push_back(static_cast<char>((i * 131 + 17) & 0xff));
  using std::string_literals::operator""s;
  const std::string tls_hello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03zzzz\r\n\r\n"s;
  for (const std::string& garbage :
       {bytes, tls_hello, std::string("hello there\r\n\r\n"), std::string("GET / HTTP/9.9\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nno colon\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nContent-Length: 1\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n")}) {
    const std::string answer = answer_to(garbage);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 Bad Request\r\n")) << garbage.substr(0, 40);
    EXPECT_THAT(answer, HasSubstr("{\"error\":{\"code\":400,"));
  }
}

TEST_F(HttpServerBadInput, HalfARequestThenHangUpIsForgotten) {
  {
    const TestSocket one = connect();
    one.send("PUT /a HTTP/1.1\r\nContent-Le");
    const TestSocket two = connect();
    two.send("PUT /a HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc");
    ASSERT_TRUE(reaches_connections(2));
  }
  EXPECT_TRUE(reaches_connections(0));
}

// Time.

TEST_F(HttpServerTest, IdleConnectionsAreClosed) {
  HttpServerLimits limits;
  limits.idle_timeout = milliseconds(20);
  serve(echo(), limits);
  const TestSocket never = connect();
  const TestSocket once = connect();
  once.send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(once.read_response(), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(never.read_all(), "");
  EXPECT_EQ(once.read_all(), "");
  EXPECT_TRUE(reaches_connections(0));
}

TEST_F(HttpServerTest, SlowRequestsAre408) {
  HttpServerLimits limits;
  limits.read_timeout = milliseconds(20);
  serve(echo(), limits);
  const TestSocket head = connect();
  head.send("GET / HT");
  const TestSocket body = connect();
  body.send("PUT / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
  const std::string answer = head.read_all();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 408 Request Timeout\r\n"));
  EXPECT_THAT(answer, HasSubstr("{\"error\":{\"code\":408,"));
  EXPECT_THAT(body.read_all(), StartsWith("HTTP/1.1 408"));
}

TEST_F(HttpServerTest, ASlowHandlerIsNotASlowClient) {
  HttpServerLimits limits;
  limits.read_timeout = milliseconds(5);
  limits.idle_timeout = milliseconds(5);
  serve(
      [&](HttpRequest, HttpServer::Reply reply) {
        loop_.call_after(milliseconds(40), [reply] { reply({}); });
      },
      limits);
  const TestSocket client = connect();
  client.send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, AClientThatDoesNotTakeItsAnswerIsDropped) {
  HttpServerLimits limits;
  limits.idle_timeout = milliseconds(30);
  serve(
      [](HttpRequest, HttpServer::Reply reply) {
        HttpResponse response;
        response.body = std::string(64 * 1024 * 1024, 'x');
        reply(std::move(response));
      },
      limits);
  const TestSocket client = connect();
  client.send("GET / HTTP/1.1\r\n\r\n");
  ASSERT_EQ(client.read_until("HTTP/1.1 200 OK\r\n"), "HTTP/1.1 200 OK\r\n");
  EXPECT_TRUE(reaches_connections(0));
}

// Replies.

TEST_F(HttpServerTest, AReplyAfterTheClientHungUpIsDropped) {
  std::promise<void> asked;
  HttpServer::Reply late;
  serve_unix([&](HttpRequest, HttpServer::Reply reply) {
    late = std::move(reply);
    asked.set_value();
  });
  {
    const TestSocket client = TestSocket::connect_unix(path());
    client.send("GET / HTTP/1.1\r\n\r\n");
    asked.get_future().get();
  }
  EXPECT_TRUE(reaches_connections(0));  // without waiting for the answer
  on_loop([&] {
    late({});
    late = nullptr;
    return true;
  });
}

TEST_F(HttpServerTest, AClientThatHasFinishedSendingIsStillAnswered) {
  for (const bool over_unix : {false, true}) {
    serve([](HttpRequest, HttpServer::Reply reply) { reply({}); });
    TearDown();
    const auto slow = [&](HttpRequest, HttpServer::Reply reply) {
      loop_.call_after(milliseconds(5), [reply] { reply({}); });
    };
    over_unix ? serve_unix(slow) : serve(slow);
    const TestSocket client = over_unix ? TestSocket::connect_unix(path()) : connect();
    client.send("GET / HTTP/1.1\r\n\r\n");
    client.shutdown_send();
    EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 200"));
    TearDown();
  }
}

TEST_F(HttpServerTest, OnlyTheFirstReplyCountsAndAForgottenOneIs500) {
  serve([](HttpRequest request, HttpServer::Reply reply) {
    if (request.target == "/forget") return;
    HttpResponse response;
    response.body = "first";
    reply(response);
    response.body = "second";
    reply(response);
  });
  const TestSocket client = connect();
  client.send("GET /twice HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(client.read_response().ends_with("\r\n\r\nfirst"));
  client.send("GET /forget HTTP/1.1\r\n\r\n");
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 500 "));
  client.send("GET /twice HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(client.read_response().ends_with("\r\n\r\nfirst"));
}

TEST_F(HttpServerTest, TheHandlerMayEndTheServer) {
  HttpServer::Reply late;
  std::promise<void> asked;
  serve([&](HttpRequest, HttpServer::Reply reply) {
    late = std::move(reply);
    server_.reset();
    asked.set_value();
  });
  const TestSocket client = connect();
  client.send("GET / HTTP/1.1\r\n\r\n");
  asked.get_future().get();
  EXPECT_EQ(client.read_all(), "");
  on_loop([&] {
    late({});
    return true;
  });
}

// Many.

TEST_F(HttpServerTest, ConnectionsOverTheLimitAre503) {
  HttpServerLimits limits;
  limits.connections = 2;
  serve(echo(), limits);
  const TestSocket one = connect();
  const TestSocket two = connect();
  ASSERT_TRUE(reaches_connections(2));
  const TestSocket three = connect();
  three.send("GET / HTTP/1.1\r\n\r\n");
  const std::string answer = three.read_until("}}");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
  one.send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(one.read_response(), StartsWith("HTTP/1.1 200"));
}

std::size_t resident_kilobytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
  }
  return 0;
}

TEST_F(HttpServerTest, TwoThousandIdleConnectionsAreCheap) {
  serve_unix(echo());
  std::vector<TestSocket> clients;
  const std::size_t before = resident_kilobytes();
  const std::size_t count = 400;  // both ends are in this process: stay below 1,024 descriptors
  for (std::size_t i = 0; i < count; ++i) {
    clients.push_back(TestSocket::connect_unix(path()));
    clients.back().send("GET /warm HTTP/1.1\r\n\r\n");
    clients.back().read_response();
  }
  const std::size_t after = resident_kilobytes();
  RecordProperty("kilobytes_per_2000", static_cast<int>((after - before) * 2000 / count));
  std::printf("2000 idle connections: %zu kB\n", (after - before) * 2000 / count);
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
  EXPECT_LT((after - before) * 2000 / count, 20'000U);
#endif
}

TEST(HttpServerCreate, RefusesWhatIsNoListeningStreamSocket) {
  AsioLoop loop;
  const auto handler = [](HttpRequest, HttpServer::Reply) {};
  EXPECT_EQ(HttpServer::create(loop, -1, handler).error().code, ErrorCode::invalid);
  const int datagram = ::socket(AF_UNIX, SOCK_DGRAM, 0);
  EXPECT_EQ(HttpServer::create(loop, datagram, handler).error().code, ErrorCode::invalid);
  const int not_listening = ::socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(HttpServer::create(loop, not_listening, handler).error().code, ErrorCode::invalid);
}

}  // namespace
}  // namespace fleet
