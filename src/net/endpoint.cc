#include <algorithm>
#include <cctype>
#include <charconv>

#include <fmt/format.h>
#include <sys/un.h>

#include "net/http_client.h"

namespace fleet {
namespace {

constexpr std::string_view kForms = "write http://HOST[:PORT], https://HOST[:PORT] or unix:///PATH";

std::unexpected<Error> bad(const std::string& url, std::string_view why) {
  return fail(ErrorCode::invalid,
              fmt::format("invalid endpoint \"{}\": {} ({})", url, why, kForms));
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

Result<Endpoint> parse_unix(const std::string& url, std::string rest) {
  if (rest.starts_with("//")) {
    rest.erase(0, 2);
    if (!rest.starts_with('/')) {
      return bad(url, rest.empty() ? "the path of the socket is missing"
                                   : "the path of a socket starts with a third slash");
    }
  }
  if (!rest.starts_with('/') || rest.size() < 2)
    return bad(url, "the path of the socket is missing");
  if (rest.size() >= sizeof(sockaddr_un::sun_path)) {
    return bad(url, fmt::format("the path of a socket has at most {} characters",
                                sizeof(sockaddr_un::sun_path) - 1));
  }
  Endpoint endpoint;
  endpoint.path = std::move(rest);
  return endpoint;
}

Result<Endpoint> parse_http(const std::string& url, Endpoint::Scheme scheme, std::string rest) {
  Endpoint endpoint;
  endpoint.scheme = scheme;
  endpoint.port = scheme == Endpoint::Scheme::https ? 443 : 80;
  if (!rest.starts_with("//")) return bad(url, "\"//\" and a host are missing");
  rest.erase(0, 2);
  if (rest.ends_with('/')) rest.pop_back();
  if (rest.find_first_of("/?#") != std::string::npos) return bad(url, "a path has no meaning here");
  if (rest.find('@') != std::string::npos) return bad(url, "user names are not supported");
  std::string port;
  if (rest.starts_with('[')) {
    const std::size_t end = rest.find(']');
    if (end == std::string::npos) return bad(url, "\"]\" is missing");
    endpoint.host = rest.substr(1, end - 1);
    port = rest.substr(end + 1);
    if (!port.empty() && !port.starts_with(':')) return bad(url, "\":\" is missing after \"]\"");
  } else {
    const std::size_t colon = rest.find(':');
    endpoint.host = rest.substr(0, colon);
    if (colon != std::string::npos) port = rest.substr(colon);
  }
  if (endpoint.host.empty()) return bad(url, "the host is missing");
  if (std::ranges::any_of(endpoint.host, [](unsigned char c) { return c <= ' ' || c == 127; })) {
    return bad(url, "the host contains a blank or control character");
  }
  if (!port.empty() && port != ":") {
    const char* begin = port.data() + 1;
    const char* end = port.data() + port.size();
    const auto [stop, error] = std::from_chars(begin, end, endpoint.port);
    if (error != std::errc{} || stop != end || endpoint.port < 1 || endpoint.port > 65535) {
      return bad(url, fmt::format("\"{}\" is not a port", port.substr(1)));
    }
  }
  return endpoint;
}

}  // namespace

Result<Endpoint> Endpoint::parse(const std::string& url) {
  const std::size_t colon = url.find(':');
  // Without "//" the colon of host:port would pass for the end of a scheme.
  if (colon == std::string::npos || colon == 0 || url.find('/') < colon) {
    return bad(url, "the scheme is missing");
  }
  const std::string scheme = lower(url.substr(0, colon));
  std::string rest = url.substr(colon + 1);
  if (scheme == "unix" || scheme == "file") return parse_unix(url, std::move(rest));
  if (scheme == "http") return parse_http(url, Scheme::http, std::move(rest));
  if (scheme == "https") return parse_http(url, Scheme::https, std::move(rest));
  if (!rest.starts_with("//")) return bad(url, "the scheme is missing");
  return bad(url, fmt::format("unsupported protocol scheme \"{}\"", scheme));
}

std::string Endpoint::url() const {
  if (scheme == Scheme::unix_socket) return "unix://" + path;
  const bool bracket = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", scheme == Scheme::https ? "https" : "http",
                     bracket ? "[" : "", host, bracket ? "]" : "", port);
}

}  // namespace fleet
