#include "net/http_client.h"

#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>

#include "net/asio_loop.h"
#include "net/http_server.h"
#include "net/test_socket.h"
#include "net/transport.h"

namespace fleet {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using testing::TempDir;
using testing::TestSocket;

HttpRequest get(const std::string& target) {
  HttpRequest request;
  request.method = "GET";
  request.target = target;
  return request;
}

Endpoint local(int port) {
  return *Endpoint::parse("http://127.0.0.1:" + std::to_string(port));
}

// A server that says what the test tells it to, connection by connection, in a thread.
class Script {
 public:
  using Step = std::function<void(TestSocket&)>;
  explicit Script(std::vector<Step> steps)
      : listener_(TestSocket::listen_tcp()), thread_([this, steps] {
          for (const Step& step : steps) {
            const int fd = ::accept(listener_.fd(), nullptr, nullptr);
            if (fd < 0) break;  // the test is over before its time
            TestSocket socket(fd);
            step(socket);
          }
        }) {}
  ~Script() {
    ::shutdown(listener_.fd(), SHUT_RDWR);
    thread_.join();
  }
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;
  Endpoint endpoint() const { return local(listener_.port()); }

 private:
  TestSocket listener_;
  std::thread thread_;
};

Script::Step answer(const std::string& bytes, std::string* request = nullptr) {
  return [=](TestSocket& socket) {
    const std::string head = socket.read_until("\r\n\r\n");
    if (request != nullptr) *request = head;
    socket.send(bytes);
  };
}

std::unique_ptr<HttpClient> plain_client(const Endpoint& endpoint) {
  return HttpClient::create(endpoint, TlsOptions{}).value();
}

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST(HttpClient, SendsARequestAsItShould) {
  std::string seen;
  Script server({[&](TestSocket& socket) {
    seen = socket.read_until("{}");
    socket.send("HTTP/1.1 201 Created\r\nX-A: b\r\nContent-Length: 0\r\n\r\n");
  }});
  const auto client = plain_client(server.endpoint());
  HttpRequest request{"PUT", "/a?b=%20", {{"Content-Type", "application/json"}}, "{}", {}};
  const auto response = client->send(request, seconds(10));
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(response->header("x-a"), "b");
  EXPECT_EQ(response->header("x-b"), std::nullopt);
  EXPECT_EQ(seen, "PUT /a?b=%20 HTTP/1.1\r\nHost: " + server.endpoint().url().substr(7) +
                      "\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
}

TEST(HttpClient, UnderstandsEveryWayToEndABody) {
  for (const std::string& bytes :
       {kOk,
        std::string(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"),
        std::string("HTTP/1.0 200 OK\r\n\r\nok"),
        std::string("HTTP/1.1 100 Continue\r\n\r\n") + kOk}) {
    Script server({answer(bytes)});
    const auto response = plain_client(server.endpoint())->send(get("/"), seconds(10));
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->body, "ok");
  }
}

TEST(HttpClient, HeadAnd204HaveNoBody) {
  Script server({[](TestSocket& socket) {
    socket.read_until("\r\n\r\n");
    socket.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    socket.read_until("\r\n\r\n");
    socket.send("HTTP/1.1 204 No Content\r\n\r\n");
    EXPECT_EQ(socket.read_all(), "");
  }});
  const auto client = plain_client(server.endpoint());
  HttpRequest head = get("/");
  head.method = "HEAD";
  EXPECT_EQ(client->send(head, seconds(10))->body, "");
  EXPECT_EQ(client->send(get("/"), seconds(10))->status, 204);
}

TEST(HttpClient, AGetIsRepeatedOnceOnAConnectionThatWasClosed) {
  // The second request reaches the first connection, which is then closed without an answer.
  const auto one_answer_then_close = [](TestSocket& socket) {
    socket.read_until("\r\n\r\n");
    socket.send(kOk);
    socket.read_until("\r\n\r\n");
  };
  Script server({one_answer_then_close, answer(kOk)});
  const auto client = plain_client(server.endpoint());
  ASSERT_TRUE(client->send(get("/1"), seconds(10)));
  const auto second = client->send(get("/2"), seconds(10));
  ASSERT_TRUE(second) << second.error().message;
}

TEST(HttpClient, APutIsNotRepeatedOnceSent) {
  Script server({[](TestSocket& socket) {
    socket.read_until("\r\n\r\n");
    socket.send(kOk);
    socket.read_until("\r\n\r\n");
  }});
  const auto client = plain_client(server.endpoint());
  ASSERT_TRUE(client->send(get("/1"), seconds(10)));
  HttpRequest put = get("/2");
  put.method = "PUT";
  const auto second = client->send(put, seconds(10));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::unavailable);
  EXPECT_THAT(second.error().message, HasSubstr("connection lost"));
}

TEST(HttpClient, AConnectionSeenClosedIsOpenedAgainForEveryMethod) {
  TestSocket listener = TestSocket::listen_tcp();
  const auto client = plain_client(local(listener.port()));
  std::thread first([&] {
    TestSocket socket = listener.accept();
    answer(kOk)(socket);
  });
  ASSERT_TRUE(client->send(get("/1"), seconds(10)));
  first.join();  // closed now
  std::thread second([&] {
    TestSocket socket = listener.accept();
    answer(kOk)(socket);
  });
  HttpRequest put = get("/2");
  put.method = "PUT";
  EXPECT_TRUE(client->send(put, seconds(10)));
  second.join();
}

TEST(HttpClient, TimeoutsAreHonoured) {
  // Nothing at all, half a head, half a body.
  for (const std::string& bytes :
       {std::string(), std::string("HTTP/1.1 200 OK\r\nCont"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")}) {
    Script server({[&](TestSocket& socket) {
      socket.send(bytes);
      socket.read_all();
    }});
    const auto client = plain_client(server.endpoint());
    const auto start = std::chrono::steady_clock::now();
    const auto response = client->send(get("/"), milliseconds(30));
    const auto took = std::chrono::steady_clock::now() - start;
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, ErrorCode::unavailable);
    EXPECT_THAT(response.error().message, HasSubstr("no answer from http://127.0.0.1:"));
    EXPECT_THAT(response.error().message, HasSubstr("within 0.03 s"));
    EXPECT_GE(took, milliseconds(30));
    EXPECT_LT(took, seconds(5));
  }
}

TEST(HttpClient, FailuresAreNamed) {
  const auto closed = plain_client(local([] {
    const TestSocket listener = TestSocket::listen_tcp();
    return listener.port();
  }()));
  auto failed = closed->send(get("/"), seconds(10));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::unavailable);
  EXPECT_THAT(failed.error().message, HasSubstr("Connection refused"));

  const auto missing = plain_client(*Endpoint::parse("unix:///nosuch.sock"));
  failed = missing->send(get("/"), seconds(10));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "cannot connect to /nosuch.sock: No such file or directory");

  for (const auto& [bytes, text] : std::vector<std::pair<std::string, std::string>>{
           {"SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP"},
           {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "ends in the middle"},
           {"", "closed by the other side"}}) {
    Script server({answer(bytes)});
    failed = plain_client(server.endpoint())->send(get("/"), seconds(10));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ErrorCode::unavailable);
    EXPECT_THAT(failed.error().message, HasSubstr(text));
  }

  Script huge({answer("HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n")});
  failed = plain_client(huge.endpoint())->send(get("/"), seconds(10));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::too_large);
}

TEST(HttpClient, RequestsCannotBeSplit) {
  const auto client = plain_client(*Endpoint::parse("unix:///nosuch.sock"));
  EXPECT_EQ(client->send(get("/a b"), seconds(1)).error().code, ErrorCode::invalid);
  EXPECT_EQ(client->send(get("/a\r\nX: y"), seconds(1)).error().code, ErrorCode::invalid);
  EXPECT_EQ(client->send(get(""), seconds(1)).error().code, ErrorCode::invalid);
  HttpRequest request = get("/");
  request.headers = {{"A", "b\nc"}};
  EXPECT_EQ(client->send(request, seconds(1)).error().code, ErrorCode::invalid);
}

// Against our own server, over a unix socket.
class ClientAndServer : public ::testing::Test {
 protected:
  void SetUp() override {
    TestSocket listener = TestSocket::listen_unix(dir_.file("s"));
    server_ = *HttpServer::create(loop_, listener.release(),
                                  [](HttpRequest request, HttpServer::Reply reply) {
                                    HttpResponse response;
                                    response.body = request.method + request.body;
                                    reply(std::move(response));
                                  });
    thread_ = std::thread([this] { loop_.run(); });
    client_ = plain_client(*Endpoint::parse("unix://" + dir_.file("s")));
  }
  void TearDown() override {
    loop_.post([this] {
      server_.reset();
      loop_.stop();
    });
    thread_.join();
  }
  TempDir dir_;
  AsioLoop loop_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
  std::unique_ptr<HttpClient> client_;
};

TEST_F(ClientAndServer, ManyRequestsOverOneConnection) {
  for (int i = 0; i < 1000; ++i) {
    const HttpRequest request{"PUT", "/", {}, std::to_string(i), {}};
    const auto response = client_->send(request, seconds(10));
    ASSERT_TRUE(response) << response.error().message;
    ASSERT_EQ(response->body, "PUT" + std::to_string(i));
  }
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(ClientAndServer, ABodyThatIsRefusedHalfwayStillGetsItsAnswer) {
  const HttpRequest request{"PUT", "/", {}, std::string(3'000'000, 'x'), {}};
  const auto response = client_->send(request, seconds(10));
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 413);
  EXPECT_TRUE(client_->send(get("/"), seconds(10)));  // and the next one a new connection
}

// Endpoint::parse.

TEST(Endpoint, Parse) {
  const auto url = [](const std::string& text) {
    const auto endpoint = Endpoint::parse(text);
    return endpoint ? endpoint->url() : "error: " + endpoint.error().message;
  };
  EXPECT_EQ(url("unix:///var/run/fleet.sock"), "unix:///var/run/fleet.sock");
  EXPECT_EQ(url("file:///var/run/fleet.sock"), "unix:///var/run/fleet.sock");
  EXPECT_EQ(url("unix:/var/run/fleet.sock"), "unix:///var/run/fleet.sock");
  EXPECT_EQ(url("http://10.0.0.1"), "http://10.0.0.1:80");
  EXPECT_EQ(url("HTTP://core-1.example:49153/"), "http://core-1.example:49153");
  EXPECT_EQ(url("https://host"), "https://host:443");
  EXPECT_EQ(url("http://[::1]:8080"), "http://[::1]:8080");
  EXPECT_EQ(url("http://[fe80::1]"), "http://[fe80::1]:80");

  const auto bad = [&](const std::string& text, const std::string& why) {
    const auto endpoint = Endpoint::parse(text);
    ASSERT_FALSE(endpoint) << text;
    EXPECT_EQ(endpoint.error().code, ErrorCode::invalid);
    EXPECT_THAT(endpoint.error().message, HasSubstr("invalid endpoint \"" + text + "\": "));
    EXPECT_THAT(endpoint.error().message, HasSubstr(why));
  };
  bad("", "the scheme is missing");
  bad("/var/run/fleet.sock", "the scheme is missing");
  bad("127.0.0.1:49153", "the scheme is missing");
  bad("localhost:49153", "the scheme is missing");
  bad("bogus://x", "unsupported protocol scheme \"bogus\"");
  bad("unix://a/b", "third slash");
  bad("unix://", "path of the socket is missing");
  bad("unix:///", "path of the socket is missing");
  bad("unix:///" + std::string(200, 'x'), "at most 107 characters");
  bad("http://", "the host is missing");
  bad("http:x", "\"//\" and a host are missing");
  bad("http://host:port", "\"port\" is not a port");
  bad("http://host:0", "not a port");
  bad("http://host:65536", "not a port");
  bad("http://host:80x", "not a port");
  bad("http://[::1", "\"]\" is missing");
  bad("http://[::1]80", "\":\" is missing");
  bad("http://host/fleet/v1", "a path has no meaning here");
  bad("http://me@host", "user names");
  bad("http://ho st", "blank or control");
}

// Leads to a Script, and takes its time.
class SlowDialer final : public Dialer {
 public:
  SlowDialer(int port, milliseconds delay, int* dials)
      : port_(port), delay_(delay), dials_(dials) {}

  Result<int> dial() override {
    ++*dials_;
    std::this_thread::sleep_for(delay_);
    if (port_ == 0) return fail(ErrorCode::unavailable, "no way there");
    return TestSocket::connect_tcp(port_).release();
  }
  Error explain(Error error) override {
    std::this_thread::sleep_for(delay_);
    return with_context(std::move(error), "in the tunnel");
  }

 private:
  const int port_;
  const milliseconds delay_;
  int* const dials_;
};

std::unique_ptr<HttpClient> through(int port, milliseconds delay, int& dials) {
  return *HttpClient::create(*Endpoint::parse("unix:///elsewhere.sock"), {},
                             std::make_unique<SlowDialer>(port, delay, &dials));
}

TEST(HttpClientDialer, TimeForALoginIsNotTheRequestsTime) {
  const Script script({answer(kOk)});
  int dials = 0;
  const auto client = through(script.endpoint().port, milliseconds(300), dials);
  const auto response = client->send(get("/"), milliseconds(250));
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "ok");
}

TEST(HttpClientDialer, KeepsAConnectionAndDialsAgainForALostOne) {
  const Script script({[](TestSocket& socket) {
                         for (int i = 0; i < 2; ++i) {
                           socket.read_until("\r\n\r\n");
                           socket.send(kOk);
                         }
                         socket.read_until("\r\n\r\n");
                       },
                       answer(kOk)});
  int dials = 0;
  const auto client = through(script.endpoint().port, milliseconds(0), dials);
  EXPECT_TRUE(client->send(get("/"), seconds(10)));
  EXPECT_TRUE(client->send(get("/"), seconds(10)));
  EXPECT_EQ(dials, 1);
  EXPECT_TRUE(client->send(get("/"), seconds(10)));
  EXPECT_EQ(dials, 2);
}

TEST(HttpClientDialer, ItsWordOnFailures) {
  const Script script({[](TestSocket&) {}});
  int dials = 0;
  const auto lost =
      through(script.endpoint().port, milliseconds(300), dials)->send(get("/"), milliseconds(250));
  ASSERT_FALSE(lost);
  EXPECT_THAT(lost.error().message, HasSubstr("in the tunnel: unix:///elsewhere.sock: "));
  const auto none = through(0, milliseconds(0), dials)->send(get("/"), seconds(10));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message, "no way there");
}

// A name with several addresses, of which the first is that of a machine that is off.
TEST(ConnectToFirst, ASilentAddressLeavesTimeForTheOthers) {
  const TestSocket silent = TestSocket::listen_tcp(/*queue=*/0);
  const TestSocket in_the_queue = TestSocket::connect_tcp(silent.port());  // no more get an answer
  const TestSocket server = TestSocket::listen_tcp();
  const auto address = [](int port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    EXPECT_EQ(::getaddrinfo("127.0.0.1", std::to_string(port).c_str(), &hints, &found), 0);
    return found;
  };
  addrinfo* addresses = address(silent.port());
  addresses->ai_next = address(server.port());
  const auto now = std::chrono::steady_clock::now();
  const auto connected = connect_to_first(addresses, now + seconds(1));
  EXPECT_TRUE(connected) << connected.error().message;
  ::freeaddrinfo(std::exchange(addresses->ai_next, nullptr));
  ::freeaddrinfo(addresses);
}

}  // namespace
}  // namespace fleet
