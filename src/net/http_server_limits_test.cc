// What the HTTP server refuses, and with which words (base/limits.h).

#include <string>

#include "net/http_server_fixture.h"

namespace fleet {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::StartsWith;

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
        "\r\n\r\n{\"error\":{\"code\":413,\"message\":\"the body of a request may have 2097152 "
        "bytes; send less at once\"}}"))
        << answer;
  }
}

TEST_F(HttpServerBadInput, HeaderOf100KilobytesIs431) {
  const std::string answer =
      answer_to("GET / HTTP/1.1\r\nX-Long: " + std::string(100'000, 'a') + "\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(answer, HasSubstr("{\"error\":{\"code\":431,"));
  EXPECT_THAT(answer, HasSubstr("may have 16384 bytes"));
}

TEST_F(HttpServerBadInput, TooManyHeaderFieldsAre431) {
  for (const int count : {101, 5000}) {
    std::string many = "GET / HTTP/1.1\r\n";
    for (int i = 0; i < count; ++i) many += "X-H" + std::to_string(i) + ": 1\r\n";
    EXPECT_THAT(answer_to(many + "\r\n"), StartsWith("HTTP/1.1 431 ")) << count;
  }
  std::string many = "PUT / HTTP/1.1\r\nContent-Length: 5\r\n";
  for (int i = 0; i < 100; ++i) many += "A:\r\n";
  EXPECT_THAT(answer_to(many + "\r\n"), HasSubstr("may have 100 header fields"))
      << "before the body has come";
}

TEST_F(HttpServerBadInput, LongTargetsAre414) {
  for (const std::size_t size : {8'193U, 16'000U, 100'000U}) {
    const std::string target = "/" + std::string(size - 1, 'a');
    const std::string answer = answer_to("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 414 ")) << size;
    EXPECT_THAT(answer, HasSubstr("may have 8192 bytes"));
  }
}

TEST_F(HttpServerBadInput, HeadersBetweenChunksHaveALimitToo) {
  const std::string begin = "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_THAT(answer_to(begin + "1;note=" + std::string(100'000, 'x')),
              StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(answer_to(begin + "0\r\nX-Trailer: " + std::string(100'000, 'x')),
              StartsWith("HTTP/1.1 431 "));
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
  EXPECT_THAT(answer, HasSubstr("there are 2 connections"));
  one.send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(one.read_response(), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, WhatIsAtALimitIsServed) {
  serve(echo());
  const std::string target = "/" + std::string(8'191, 'a');
  std::string request = "PUT " + target + " HTTP/1.1\r\nContent-Length: 2097152\r\n";
  for (int i = 0; i < 99; ++i) request += "A:\r\n";
  const TestSocket client = connect();
  client.send(request + "\r\n" + std::string(2'097'152, 'x'));
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 200 "));
}

class HttpServerLoadTest : public HttpServerTest {
 protected:
  // Requests of 1,000 bytes fit into this twice, and not a third time.
  void SetUp() override { limits_.held_bytes = 2'500; }
  std::string part_of_a_request() const {
    return "PUT /a HTTP/1.1\r\nContent-Length: 2000\r\n\r\n" + std::string(950, 'x');
  }
  void expect_refused(const TestSocket& client) {
    const std::string answer = client.read_until("}}");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
    EXPECT_THAT(answer, HasSubstr("more than 2500 bytes"));
  }
  std::size_t held_of_one() const { return part_of_a_request().size(); }
  bool held(std::size_t bytes) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::chrono::steady_clock::now() < end) {
      if (on_loop([&] { return load_->bytes; }) == bytes) return true;
    }
    return false;
  }
  HttpServerLimits limits_;
  std::shared_ptr<HttpLoad> load_ = std::make_shared<HttpLoad>();
};

TEST_F(HttpServerLoadTest, BodiesThatArriveHaveALimitTogether) {
  serve(echo(), limits_, load_);
  TestSocket one = connect();
  one.send(part_of_a_request());
  const TestSocket two = connect();
  two.send(part_of_a_request());
  ASSERT_TRUE(held(2 * held_of_one()));
  const TestSocket three = connect();
  three.send(part_of_a_request());
  expect_refused(three);
  ASSERT_TRUE(held(2 * held_of_one())) << "what was refused is given back";
  const TestSocket small = connect();
  small.send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(small.read_response(), StartsWith("HTTP/1.1 200 ")) << "there is room for it";

  // A client that goes away, and one that is answered, make room.
  one.close();
  ASSERT_TRUE(held(held_of_one()));
  two.send(std::string(1'050, 'y'));
  EXPECT_THAT(two.read_response(), StartsWith("HTTP/1.1 200 "));
  EXPECT_TRUE(held(0));
}

TEST_F(HttpServerLoadTest, ARequestCountsUntilItIsAnswered) {
  HttpServer::Reply late;
  std::promise<void> arrived;
  serve(
      [&](HttpRequest, HttpServer::Reply reply) {
        late = std::move(reply);
        arrived.set_value();
      },
      limits_, load_);
  const TestSocket one = connect();
  one.send("PUT /a HTTP/1.1\r\nContent-Length: 2000\r\n\r\n" + std::string(2'000, 'x'));
  arrived.get_future().wait();
  const TestSocket two = connect();
  two.send(part_of_a_request());
  expect_refused(two);
  loop_.post([&] { late({}); });
  EXPECT_THAT(one.read_response(), StartsWith("HTTP/1.1 200 "));
  EXPECT_TRUE(held(0));
}

// A client that asks for much and reads nothing must not have fleetd keep it without end.
TEST_F(HttpServerLoadTest, AnswersThatAreNotTakenHaveALimitTogether) {
  constexpr std::size_t kLarge = 8 * 1024 * 1024;
  limits_.answer_bytes = 10 * 1024 * 1024;
  serve(
      [](const HttpRequest&, const HttpServer::Reply& reply) {
        HttpResponse large;
        large.body = std::string(kLarge, 'x');
        reply(std::move(large));
      },
      limits_, load_);
  TestSocket one = connect();
  one.send("GET / HTTP/1.1\r\n\r\n");
  const auto kept = [&](std::size_t bytes) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::chrono::steady_clock::now() < end) {
      if (on_loop([&] { return load_->answer_bytes; }) == bytes) return true;
    }
    return false;
  };
  ASSERT_TRUE(kept(kLarge));
  const TestSocket two = connect();
  two.send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(two.read_until("}}"), StartsWith("HTTP/1.1 503 "));
  one.close();
  ASSERT_TRUE(kept(0));
  const TestSocket three = connect();
  three.send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(three.read_response(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpServerLoadTest, SocketsThatShareALoadHaveOneLimit) {
  serve(echo(), limits_, load_);
  TestSocket listener = TestSocket::listen_unix(path());
  std::unique_ptr<HttpServer> other = on_loop([&] {
    return std::move(*HttpServer::create(loop_, listener.release(), echo(), limits_, load_));
  });
  const TestSocket one = connect();
  one.send(part_of_a_request());
  const TestSocket two = TestSocket::connect_unix(path());
  two.send(part_of_a_request());
  ASSERT_TRUE(held(2 * held_of_one()));
  for (const TestSocket& three : {connect(), TestSocket::connect_unix(path())}) {
    three.send(part_of_a_request());
    expect_refused(three);
  }
  on_loop([&] {
    other.reset();
    return true;
  });
  EXPECT_TRUE(held(held_of_one()));
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
  EXPECT_THAT(answer, HasSubstr("{\"error\":{\"code\":408,\"message\":\"the request did not arrive "
                                "within 0.02 s\"}}"));
  EXPECT_THAT(body.read_all(), StartsWith("HTTP/1.1 408"));
}

}  // namespace
}  // namespace fleet
