#include "net/http_server.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <iterator>
#include <unordered_map>
#include <utility>

#include <arpa/inet.h>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/asio_loop.h"

namespace fleet {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using Protocol = asio::generic::stream_protocol;
using Socket = Protocol::socket;
using std::chrono::milliseconds;

// What one read takes at most. Bytes are kept only while a request is incomplete, so that an idle
// connection costs no buffer.
constexpr std::size_t kReadBytes = 64 * std::size_t{1024};
// After an answer that ends the connection early the rest of the request is read and thrown away
// for this long: closing at once would reset the connection and lose the answer on its way.
constexpr milliseconds kLinger{2'000};
constexpr std::size_t kLingerBytes = 16 * std::size_t{1024 * 1024};
// Connections over the limit that are open only to be told so.
constexpr std::size_t kRefusals = 64;
// Out of descriptors: how long until the next accept.
constexpr milliseconds kAcceptPause{100};

HttpResponse error_response(int status, std::string_view message) {
  HttpResponse response;
  response.status = status;
  response.headers.push_back({"Content-Type", "application/json"});
  // The messages are words and numbers of this file and need no escaping.
  response.body = fmt::format(R"({{"error":{{"code":{},"message":"{}"}}}})", status, message);
  return response;
}

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 64> text{};
  const std::size_t size =
      std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text.data(), size};
}

bool has_line_break(const std::string& text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos;
}

// The head of an answer, with the empty line that ends it.
std::string response_head(const HttpResponse& response, bool keep_alive) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(response.status));
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status,
                                 std::string_view(reason.data(), reason.size()), http_date());
  for (const HttpHeader& header : response.headers) {
    // A line break in a header would let whoever chose its text write the rest of the answer.
    if (has_line_break(header.name) || has_line_break(header.value)) continue;
    head += fmt::format("{}: {}\r\n", header.name, header.value);
  }
  if (response.status != 204 && response.status != 304) {
    head += fmt::format("Content-Length: {}\r\n", response.body.size());
  }
  head += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return head;
}

std::string ip_text(const sockaddr_storage& storage) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (storage.ss_family == AF_INET) {
    sockaddr_in address{};
    std::memcpy(&address, &storage, sizeof(address));
    ::inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
  } else if (storage.ss_family == AF_INET6) {
    sockaddr_in6 address{};
    std::memcpy(&address, &storage, sizeof(address));
    if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr)) {
      ::inet_ntop(AF_INET, &address.sin6_addr.s6_addr[12], text.data(), text.size());
    } else {
      ::inet_ntop(AF_INET6, &address.sin6_addr, text.data(), text.size());
    }
  }
  return text.data();
}

Peer peer_of(int fd) {
  Peer peer;
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  ::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size);
  if (storage.ss_family != AF_UNIX) {
    peer.address = ip_text(storage);
    return peer;
  }
  peer.address = "unix";
  ucred credentials{};
  socklen_t credentials_size = sizeof(credentials);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &credentials_size) == 0) {
    peer.uid = credentials.uid;
  }
  return peer;
}

HttpResponse target_too_long(const HttpServerLimits& limits) {
  return error_response(414, fmt::format("the path and query of a request may have {} bytes; ask "
                                         "for less at once",
                                         limits.target_bytes));
}

HttpResponse header_too_large(const HttpServerLimits& limits) {
  return error_response(431, fmt::format("the header of a request may have {} bytes; leave some "
                                         "header fields out",
                                         limits.header_bytes));
}

// The answer to what the parser refused, before or after it `knows_target`.
HttpResponse rejection_of(error_code error, bool knows_target, const HttpServerLimits& limits) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return knows_target ? header_too_large(limits) : target_too_long(limits);
  }
  if (error == http::error::body_limit) {
    return error_response(413, fmt::format("the body of a request may have {} bytes; send less at "
                                           "once",
                                           limits.body_bytes));
  }
  return error_response(400, "this is not an HTTP/1.1 request");
}

class Connection;

// What the server and its connections share.
struct Shared {
  AsioLoop& loop;
  HttpServer::Handler handler;
  HttpServerLimits limits;
  std::shared_ptr<HttpLoad> load;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections;
  bool closed = false;  // the server is gone
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Socket socket, std::shared_ptr<Shared> shared)
      : socket_(std::move(socket)),
        shared_(std::move(shared)),
        peer_(peer_of(socket_.native_handle())) {}

  ~Connection() {
    hold(0);
    hold_answer(0);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start() { wait_for_request(); }

  void refuse() {
    send_and_end(error_response(503, fmt::format("there are {} connections, and no more are taken; "
                                                 "close some, or try again later",
                                                 shared_->limits.connections)));
  }

  // Ends everything; callbacks still on their way find the socket closed.
  void close() {
    shared_->loop.cancel(std::exchange(timer_, 0));
    timer_at_ = Time::max();
    error_code ignored;
    socket_.close(ignored);
    hold(0);
    hold_answer(0);
    shared_->connections.erase(this);
  }

  // The handler's answer to request number `request`.
  void answer(std::uint64_t request, HttpResponse response) {
    if (!socket_.is_open() || request != request_ || !handling_) return;
    handling_ = false;
    send(std::move(response), keep_alive_);
  }

 private:
  // Reading.

  void wait_for_request() {
    parser_.reset();
    if (buffer_.size() > 0) return parse();
    buffer_ = {};
    set_deadline(shared_->limits.idle_timeout);
    wait_for_bytes();
  }

  void wait_for_bytes() {
    socket_.async_wait(Socket::wait_read, [self = shared_from_this()](error_code error) {
      if (self->socket_.is_open() && !self->ending_ && !error) self->read();
    });
  }

  void read() {
    error_code error;
    const std::size_t size = socket_.read_some(buffer_.prepare(kReadBytes), error);
    if (error == asio::error::would_block) return wait_for_bytes();
    if (error) return close();  // the client has gone, with or without half a request
    buffer_.commit(size);
    parse();
  }

  void parse() {
    if (!parser_) {
      parser_.emplace();
      parser_->eager(true);
      parser_->header_limit(static_cast<std::uint32_t>(shared_->limits.header_bytes));
      parser_->body_limit(shared_->limits.body_bytes);
      parsed_ = 0;
      continue_sent_ = false;
    }
    error_code error;
    while (buffer_.size() > 0 && !parser_->is_done()) {
      const std::size_t used = parser_->put(buffer_.data(), error);
      buffer_.consume(used);
      parsed_ += used;
      if (error) break;
    }
    if (error == http::error::need_more) error = {};
    const HttpServerLimits& limits = shared_->limits;
    if (error) {
      return send_and_end(rejection_of(error, !parser_->get().target().empty(), limits));
    }
    if (parser_->is_header_done()) {
      if (std::optional<HttpResponse> refusal = check_header()) {
        return send_and_end(std::move(*refusal));
      }
    }
    if (!hold(buffer_.size() + parsed_)) {
      return send_and_end(error_response(
          503, fmt::format("the requests that are arriving or being answered take more than {} "
                           "bytes; try again later",
                           limits.held_bytes)));
    }
    if (parser_->is_done()) return handle();
    // What the parser leaves unread is a header, also between the chunks of a body, to which it
    // sets no limit there.
    if (buffer_.size() > limits.header_bytes) return send_and_end(header_too_large(limits));
    buffer_.shrink_to_fit();
    if (!reading_) {
      reading_ = true;
      set_deadline(shared_->limits.read_timeout);
    }
    if (parser_->is_header_done() && !continue_sent_ && expects_continue()) return send_continue();
    wait_for_bytes();
  }

  std::optional<HttpResponse> check_header() const {
    const auto& message = parser_->get();
    const HttpServerLimits& limits = shared_->limits;
    if (message.target().size() > limits.target_bytes) return target_too_long(limits);
    const auto fields = static_cast<std::size_t>(std::distance(message.begin(), message.end()));
    if (fields <= limits.header_fields) return std::nullopt;
    return error_response(431, fmt::format("a request may have {} header fields; leave some out",
                                           limits.header_fields));
  }

  // Counts what this connection holds of its request. False if all hold too much together.
  bool hold(std::size_t bytes) {
    shared_->load->bytes += bytes - std::exchange(held_, bytes);
    return shared_->load->bytes <= shared_->limits.held_bytes;
  }

  // The same of its answer. One that is alone may be as large as it is.
  bool hold_answer(std::size_t bytes) {
    const std::size_t others = shared_->load->answer_bytes -= std::exchange(answer_held_, 0);
    if (bytes > 0 && others > 0 && others + bytes > shared_->limits.answer_bytes) return false;
    shared_->load->answer_bytes += answer_held_ = bytes;
    return true;
  }

  bool expects_continue() const {
    return beast::iequals(parser_->get()[http::field::expect], "100-continue");
  }

  void send_continue() {
    continue_sent_ = true;
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(socket_, asio::buffer(kContinue),
                      [self = shared_from_this()](error_code error, std::size_t) {
                        if (!self->socket_.is_open() || self->ending_) return;
                        if (error) return self->close();
                        self->wait_for_bytes();
                      });
  }

  // Handling.

  HttpRequest take_request() {
    auto& message = parser_->get();
    HttpRequest request;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    for (const auto& field : message) {
      request.headers.push_back({std::string(field.name_string()), std::string(field.value())});
    }
    request.body = std::move(message.body());
    request.peer = peer_;
    return request;
  }

  void handle() {
    reading_ = false;
    set_deadline(milliseconds::max());
    keep_alive_ = parser_->keep_alive();
    head_only_ = parser_->get().method() == http::verb::head;
    HttpRequest request = take_request();
    parser_.reset();
    if (buffer_.size() == 0) buffer_ = {};
    handling_ = true;
    watch_for_hang_up();
    ++request_;
    // The handler may end the server; it and all it holds live on until it returns.
    const std::shared_ptr<Shared> keep = shared_;
    keep->handler(std::move(request), make_reply(request_));
  }

  // Calls answer() once: with what the handler says, or with 500 when all copies of the Reply are
  // gone and it has said nothing.
  HttpServer::Reply make_reply(std::uint64_t request) {
    struct Pending {
      Pending(std::weak_ptr<Connection> to, std::uint64_t number)
          : connection(std::move(to)), request(number) {}
      Pending(const Pending&) = delete;
      Pending& operator=(const Pending&) = delete;
      ~Pending() { answer(error_response(500, "")); }
      void answer(HttpResponse response) {
        if (const auto target = std::exchange(connection, {}).lock()) {
          target->answer(request, std::move(response));
        }
      }
      std::weak_ptr<Connection> connection;
      std::uint64_t request;
    };
    return [pending = std::make_shared<Pending>(weak_from_this(), request)](HttpResponse response) {
      pending->answer(std::move(response));
    };
  }

  // While a request is being answered nothing is read, but a client that has gone altogether must
  // not hold its place until then. One that has only finished sending is still served.
  void watch_for_hang_up() {
    if (std::exchange(watching_hang_up_, true)) return;
    socket_.async_wait(Socket::wait_error, [self = shared_from_this()](error_code error) {
      if (error || !self->socket_.is_open() || !self->handling_) return;
      pollfd state{self->socket_.native_handle(), 0, 0};
      if (::poll(&state, 1, 0) > 0) self->close();
    });
  }

  // Writing.

  void send_and_end(HttpResponse response) {
    parser_.reset();
    buffer_ = {};
    hold(0);
    reading_ = false;
    ending_ = true;
    send(std::move(response), false);
  }

  void send(HttpResponse response, bool keep_alive) {
    if (!hold_answer(head_only_ ? 0 : response.body.size())) {
      response = error_response(
          503,
          fmt::format("the answers that clients have not taken yet have more than {} bytes; try "
                      "again later",
                      shared_->limits.answer_bytes));
    }
    keep_alive_ = keep_alive;
    head_ = response_head(response, keep_alive);
    body_ = std::move(response.body);
    if (head_only_ || response.status == 204 || response.status == 304) body_.clear();
    set_deadline(shared_->limits.idle_timeout);
    const std::array<asio::const_buffer, 2> buffers{asio::buffer(head_), asio::buffer(body_)};
    asio::async_write(socket_, buffers, [self = shared_from_this()](error_code error, std::size_t) {
      if (!self->socket_.is_open()) return;
      if (error) return self->close();
      self->sent();
    });
  }

  void sent() {
    head_ = {};
    body_ = {};
    hold(0);
    hold_answer(0);
    head_only_ = false;
    if (keep_alive_) return wait_for_request();
    if (!ending_) return close();
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
    set_deadline(kLinger);
    discard();
  }

  void discard() {
    buffer_ = {};
    for (;;) {
      error_code error;
      const std::size_t size = socket_.read_some(buffer_.prepare(kReadBytes), error);
      if (error == asio::error::would_block) break;
      discarded_ += size;
      if (error || discarded_ > kLingerBytes) return close();
    }
    socket_.async_wait(Socket::wait_read, [self = shared_from_this()](error_code error) {
      if (self->socket_.is_open() && !error) self->discard();
    });
  }

  // Time. A timer that is due too early looks again at the deadline: moving a deadline back, which
  // is what each request does, then costs nothing.

  void set_deadline(milliseconds from_now) {
    if (from_now == milliseconds::max()) {
      deadline_ = Time::max();
      return;
    }
    deadline_ = shared_->loop.now() + from_now;
    if (timer_ == 0 || deadline_ < timer_at_) arm_timer();
  }

  void arm_timer() {
    shared_->loop.cancel(timer_);
    timer_at_ = deadline_;
    timer_ = shared_->loop.call_at(deadline_, [this] { on_timer(); });
  }

  void on_timer() {
    const auto self = shared_from_this();
    timer_ = 0;
    if (deadline_ == Time::max()) return;
    if (shared_->loop.now() < deadline_) return arm_timer();
    if (!reading_ || ending_) return close();  // idle, or a client that does not take its answer
    const auto limit = std::chrono::duration<double>(shared_->limits.read_timeout);
    send_and_end(
        error_response(408, fmt::format("the request did not arrive within {} s", limit.count())));
  }

  Socket socket_;
  std::shared_ptr<Shared> shared_;
  Peer peer_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::string head_;
  std::string body_;
  Time deadline_ = Time::max();
  Time timer_at_ = Time::max();
  EventLoop::TimerId timer_ = 0;
  std::uint64_t request_ = 0;
  std::size_t held_ = 0;         // see hold()
  std::size_t answer_held_ = 0;  // see hold_answer()
  std::size_t parsed_ = 0;       // bytes of the request that the parser has taken
  std::size_t discarded_ = 0;
  bool reading_ = false;   // part of a request is here
  bool handling_ = false;  // the handler has it
  bool keep_alive_ = true;
  bool head_only_ = false;
  bool continue_sent_ = false;
  bool watching_hang_up_ = false;
  bool ending_ = false;  // an answer that ends the connection early is on its way
};

class BeastServer final : public HttpServer {
 public:
  BeastServer(AsioLoop& loop, Handler handler, HttpServerLimits limits,
              std::shared_ptr<HttpLoad> load)
      : shared_(std::make_shared<Shared>(
            Shared{loop, std::move(handler), limits, std::move(load), {}, false})),
        acceptor_(loop.context()) {}

  // Fails as create() does; the socket is closed then.
  Status take(int family, int fd) {
    error_code error;
    acceptor_.assign(Protocol(family, 0), fd, error);
    if (error) {
      ::close(fd);
    } else {
      acceptor_.non_blocking(true, error);
    }
    if (!error) return {};
    return fail(ErrorCode::invalid,
                fmt::format("cannot serve the API on descriptor {}: {}", fd, error.message()));
  }

  ~BeastServer() override {
    shared_->closed = true;
    shared_->loop.cancel(pause_);
    error_code ignored;
    acceptor_.close(ignored);
    auto connections = std::exchange(shared_->connections, {});
    for (auto& [key, connection] : connections) connection->close();
  }

  std::size_t connections() const override { return shared_->connections.size(); }

  void accept() {
    acceptor_.async_accept([this, shared = shared_](error_code error, Socket socket) {
      if (shared->closed) return;  // and *this with it
      if (error) {
        // Mostly for want of descriptors or memory. Accepting again at once would only spin.
        pause_ = shared_->loop.call_after(kAcceptPause, [this] { accept(); });
        return;
      }
      add(std::move(socket));
      accept();
    });
  }

 private:
  void add(Socket socket) {
    const int fd = socket.native_handle();
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    const int yes = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));  // no matter if it is not TCP
    error_code error;
    socket.non_blocking(true, error);
    const std::size_t count = shared_->connections.size();
    if (error || count >= shared_->limits.connections + kRefusals) return;
    auto connection = std::make_shared<Connection>(std::move(socket), shared_);
    shared_->connections.emplace(connection.get(), connection);
    if (count >= shared_->limits.connections) {
      connection->refuse();
    } else {
      connection->start();
    }
  }

  std::shared_ptr<Shared> shared_;
  asio::basic_socket_acceptor<Protocol> acceptor_;
  EventLoop::TimerId pause_ = 0;
};

int socket_option(int fd, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::create(AsioLoop& loop, int fd, Handler handler,
                                                       HttpServerLimits limits,
                                                       std::shared_ptr<HttpLoad> load) {
  const int family = socket_option(fd, SO_DOMAIN);
  const bool usable = (family == AF_UNIX || family == AF_INET || family == AF_INET6) &&
                      socket_option(fd, SO_TYPE) == SOCK_STREAM &&
                      socket_option(fd, SO_ACCEPTCONN) == 1;
  if (!usable) {
    if (fd >= 0) ::close(fd);
    return fail(ErrorCode::invalid,
                fmt::format("cannot serve the API on descriptor {}: it is not a listening unix or "
                            "TCP stream socket (see ListenStream= in fleet.socket)",
                            fd));
  }
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  auto server = std::make_unique<BeastServer>(loop, std::move(handler), limits, std::move(load));
  if (Status taken = server->take(family, fd); !taken) return std::unexpected(taken.error());
  server->accept();
  return server;
}

}  // namespace fleet
