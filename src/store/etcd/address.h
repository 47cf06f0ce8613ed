// The address of an etcd member, as it stands in the configuration.
#pragma once

#include <string>

#include "base/error.h"

namespace fleet {

struct EtcdAddress {
  std::string host_and_port;
  bool tls = false;
};

// "http://host:port" or "https://host:port", by default port 80 or 443 (RFC 9110, 4.2); an IPv6
// host stands in brackets. Without a scheme it is https if `tls_by_default`, and the port must be
// there. Fails: invalid.
Result<EtcdAddress> parse_etcd_address(const std::string& url, bool tls_by_default);

}  // namespace fleet
