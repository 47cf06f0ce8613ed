#include "store/etcd/address.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include <fmt/format.h>

namespace fleet {
namespace {

bool is_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && 1 <= port && port <= 65535;
}

bool is_host(std::string_view text) {
  if (text.empty()) return false;
  const bool bracketed = text.size() > 2 && text.starts_with('[') && text.ends_with(']');
  return std::ranges::all_of(text, [bracketed](char c) {
    return '!' <= c && c <= '~' && c != '/' && c != '@' && c != ',' && (c != ':' || bracketed);
  });
}

}  // namespace

Result<EtcdAddress> parse_etcd_address(const std::string& url, bool tls_by_default) {
  std::string_view rest = url;
  EtcdAddress address{.host_and_port = {}, .tls = tls_by_default};
  const std::size_t scheme = rest.find("://");
  const bool has_scheme = scheme != std::string_view::npos;
  if (has_scheme) {
    const std::string_view name = rest.substr(0, scheme);
    if (name != "http" && name != "https") {
      return fail(ErrorCode::invalid,
                  fmt::format("the etcd endpoint {} has neither http:// nor https://", url));
    }
    address.tls = name == "https";
    rest.remove_prefix(scheme + 3);
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find('@') != std::string_view::npos) {
    return fail(ErrorCode::invalid,
                "an etcd endpoint names no user: etcd_username and etcd_password do");
  }
  address.host_and_port = rest;
  if (has_scheme && is_host(rest)) address.host_and_port += address.tls ? ":443" : ":80";
  const std::size_t colon = address.host_and_port.rfind(':');
  if (colon == std::string::npos || !is_host(address.host_and_port.substr(0, colon)) ||
      !is_port(address.host_and_port.substr(colon + 1))) {
    return fail(ErrorCode::invalid,
                fmt::format("the etcd endpoint {} is not of the form http://host:port", url));
  }
  return address;
}

}  // namespace fleet
