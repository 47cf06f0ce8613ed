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

#include "net/http_server_fixture.h"

namespace fleet {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

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
