#include "net/http_client.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/format.h>

#include "base/limits.h"
#include "net/transport.h"

namespace fleet {
namespace {

namespace http = boost::beast::http;

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](unsigned char c) { return c < ' ' || c == 127; });
}

std::string host_header(const Endpoint& endpoint) {
  if (endpoint.scheme == Endpoint::Scheme::unix_socket) return "localhost";
  const std::string url = endpoint.url();
  return url.substr(url.find("//") + 2);
}

Result<std::string> request_text(const Endpoint& endpoint, const HttpRequest& request) {
  if (has_control(request.method) || has_control(request.target) || request.target.empty() ||
      request.target.find(' ') != std::string::npos) {
    return fail(ErrorCode::invalid, "the request has a blank or control character in its target");
  }
  std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", request.method, request.target,
                                 host_header(endpoint));
  for (const HttpHeader& header : request.headers) {
    if (has_control(header.name) || has_control(header.value)) {
      return fail(ErrorCode::invalid, "the request has a control character in a header");
    }
    text += fmt::format("{}: {}\r\n", header.name, header.value);
  }
  if (!request.body.empty() || request.method == "PUT" || request.method == "POST" ||
      request.method == "PATCH") {
    text += fmt::format("Content-Length: {}\r\n", request.body.size());
  }
  return text + "\r\n" + request.body;
}

using Parser = http::response_parser<http::string_body>;

// Reads answers off a transport. Bytes of nothing in particular that follow one are an error.
class AnswerReader {
 public:
  AnswerReader(Transport& transport, bool head_only)
      : transport_(transport), head_only_(head_only) {}

  bool any_byte() const { return any_byte_; }
  bool keep_alive() const { return keep_alive_; }

  Result<HttpResponse> read(Deadline deadline) {
    for (;;) {
      Parser parser;
      parser.eager(true);
      parser.skip(head_only_);
      parser.header_limit(limits::kAnswerHeaderBytes);
      parser.body_limit(limits::kAnswerBodyBytes);
      const Status done = read_one(parser, deadline);
      if (!done) return std::unexpected(done.error());
      const unsigned status = parser.get().result_int();
      if (status >= 100 && status < 200) continue;  // such as 100 Continue: the answer follows
      keep_alive_ = parser.keep_alive() && buffer_.empty();
      HttpResponse response;
      response.status = static_cast<int>(status);
      for (const auto& field : parser.get()) {
        response.headers.push_back({std::string(field.name_string()), std::string(field.value())});
      }
      response.body = std::move(parser.get().body());
      return response;
    }
  }

 private:
  Status read_one(Parser& parser, Deadline deadline) {
    boost::system::error_code error;
    for (;;) {
      while (!buffer_.empty() && !parser.is_done()) {
        const std::size_t used =
            parser.put(boost::asio::const_buffer(buffer_.data(), buffer_.size()), error);
        buffer_.erase(0, used);
        if (error) break;
      }
      if (error && error != http::error::need_more) return refused(error);
      error = {};
      if (parser.is_done()) return {};
      const Result<std::size_t> size = transport_.read(buffer_, deadline);
      if (!size) return std::unexpected(size.error());
      any_byte_ = any_byte_ || *size > 0;
      if (*size > 0) continue;
      if (parser.got_some()) {
        parser.put_eof(error);  // the end of a body without a length
        if (!error && parser.is_done()) return {};
      }
      return fail(ErrorCode::unavailable, any_byte_
                                              ? "connection lost: the answer ends in the middle"
                                              : "connection lost: closed by the other side");
    }
  }

  static Status refused(boost::system::error_code error) {
    if (error == http::error::body_limit || error == http::error::header_limit ||
        error == http::error::buffer_overflow) {
      return fail(ErrorCode::too_large, fmt::format("the answer is larger than {} MB",
                                                    limits::kAnswerBodyBytes / 1024 / 1024));
    }
    return fail(ErrorCode::unavailable, "what answers there does not speak HTTP");
  }

  Transport& transport_;
  const bool head_only_;
  std::string buffer_;
  bool any_byte_ = false;
  bool keep_alive_ = false;
};

class Client final : public HttpClient {
 public:
  Client(Endpoint endpoint, TlsContext tls, std::unique_ptr<Dialer> dialer)
      : endpoint_(std::move(endpoint)), tls_(std::move(tls)), dialer_(std::move(dialer)) {}

  Result<HttpResponse> send(const HttpRequest& request,
                            std::chrono::milliseconds timeout) override {
    const Result<std::string> text = request_text(endpoint_, request);
    if (!text) return std::unexpected(text.error());
    Deadline deadline = std::chrono::steady_clock::now() + timeout;
    if (transport_ && transport_->stale()) transport_.reset();
    const bool reused = transport_ != nullptr;
    bool any_byte = false;
    Result<HttpResponse> answer = exchange(request, *text, deadline, any_byte);
    const bool in_time = std::chrono::steady_clock::now() < deadline;
    if (!answer && reused && !any_byte && in_time && request.method == "GET") {
      answer = exchange(request, *text, deadline, any_byte);
    }
    if (!answer && std::chrono::steady_clock::now() >= deadline) {
      return fail(ErrorCode::unavailable,
                  fmt::format("no answer from {} within {:g} s", endpoint_.url(),
                              static_cast<double>(timeout.count()) / 1000));
    }
    return answer;
  }

 private:
  // The dialer's time is added to `deadline`.
  Result<std::unique_ptr<Transport>> connect(Deadline& deadline) {
    if (!dialer_) return connect_to(endpoint_, tls_.get(), deadline);
    const auto start = std::chrono::steady_clock::now();
    const Result<int> socket = dialer_->dial();
    deadline += std::chrono::steady_clock::now() - start;
    if (!socket) return std::unexpected(socket.error());
    auto connected = connect_over(*socket, endpoint_, tls_.get(), deadline);
    if (!connected) return std::unexpected(explain(std::move(connected.error()), deadline));
    return connected;
  }

  Error explain(Error error, Deadline& deadline) {
    if (!dialer_) return error;
    const auto start = std::chrono::steady_clock::now();
    error = dialer_->explain(std::move(error));
    deadline += std::chrono::steady_clock::now() - start;
    return error;
  }

  Result<HttpResponse> exchange(const HttpRequest& request, const std::string& text,
                                Deadline& deadline, bool& any_byte) {
    if (!transport_) {
      auto connected = connect(deadline);
      if (!connected) return std::unexpected(connected.error());
      transport_ = std::move(*connected);
    }
    // Taken out, so that it is closed on every way out but the good one.
    std::unique_ptr<Transport> transport = std::move(transport_);
    const bool written = transport->write(text, deadline).has_value();
    AnswerReader reader(*transport, request.method == "HEAD");
    // A server that refuses a body may close before it is sent whole; its answer tells why.
    Result<HttpResponse> answer = reader.read(deadline);
    any_byte = reader.any_byte();
    if (!answer) {
      // Of a write that failed too, what can be read tells more: an alert of TLS, say.
      Error error = with_context(answer.error(), endpoint_.url());
      transport.reset();
      return std::unexpected(explain(std::move(error), deadline));
    }
    if (written && reader.keep_alive()) transport_ = std::move(transport);
    return answer;
  }

  const Endpoint endpoint_;
  const TlsContext tls_;
  const std::unique_ptr<Dialer> dialer_;
  std::unique_ptr<Transport> transport_;
};

}  // namespace

Result<std::unique_ptr<HttpClient>> HttpClient::create(Endpoint endpoint, const TlsOptions& tls,
                                                       std::unique_ptr<Dialer> dialer) {
  TlsContext context;
  if (endpoint.scheme == Endpoint::Scheme::https) {
    auto made = make_tls_context(tls);
    if (!made) return std::unexpected(made.error());
    context = std::move(*made);
  }
  return std::make_unique<Client>(std::move(endpoint), std::move(context), std::move(dialer));
}

}  // namespace fleet
