// The address of an etcd member, as it stands in the configuration.
#pragma once

#include <string>

#include "base/error.h"

namespace fleet {

struct EtcdAddress {
  std::string host_and_port;
  bool tls = false;
};

// "http://host:port" or "https://host:port"; an IPv6 host stands in brackets. Without a scheme it
// is https if `tls_by_default`. Fails: invalid.
Result<EtcdAddress> parse_etcd_address(const std::string& url, bool tls_by_default);

}  // namespace fleet
