#include "store/etcd/endpoints.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <grpc/support/log.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "base/limits.h"
#include "store/etcd/address.h"

namespace fleet::etcd {
namespace {

Result<std::string> read_file(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  if (file) content << file.rdbuf();
  if (!file) {
    return fail(ErrorCode::invalid,
                fmt::format("cannot read {}, which the connection to etcd needs: {}", path,
                            std::strerror(errno)));
  }
  return std::move(content).str();
}

Result<grpc::SslCredentialsOptions> read_tls(const EtcdOptions& options) {
  if (options.cert_file.empty() != options.key_file.empty()) {
    return fail(ErrorCode::invalid,
                "a certificate for etcd needs its key, and a key its certificate");
  }
  grpc::SslCredentialsOptions tls;
  const std::pair<const std::string&, std::string&> files[] = {
      {options.ca_file, tls.pem_root_certs},
      {options.cert_file, tls.pem_cert_chain},
      {options.key_file, tls.pem_private_key}};
  for (const auto& [path, content] : files) {
    Result<std::string> read = read_file(path);
    if (!read) return std::unexpected(read.error());
    content = std::move(*read);
  }
  return tls;
}

// What gRPC has to say about connections is in the calls' errors too, and its own lines on stderr
// say it once more for each attempt. Only the reason for an abort must not be lost.
void log_last_words(gpr_log_func_args* line) {
  if (std::string_view(line->message).starts_with("assertion failed")) {
    fmt::print(stderr, "gRPC: {}:{}: {}\n", line->file, line->line, line->message);
  }
}

grpc::ChannelArguments channel_arguments() {
  grpc::ChannelArguments arguments;
  // Without this, channels with the same target share connections, and a lease's renewal would wait
  // behind a large read.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // A member that vanished without a word is noticed after 13 s. etcd bears pings 5 s apart.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 3'000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // an idle watch is pinged for ever
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 3'000);  // the time an attempt to connect has
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(static_cast<int>(limits::kEtcdAnswerBytes));
  return arguments;
}

}  // namespace

Result<Endpoints> Endpoints::make(const EtcdOptions& options) {
  if (options.endpoints.empty()) return fail(ErrorCode::invalid, "no etcd endpoint is configured");
  Result<grpc::SslCredentialsOptions> tls = read_tls(options);
  if (!tls) return std::unexpected(tls.error());
  gpr_set_log_function(log_last_words);
  // Names are what this machine's nsswitch.conf makes of them. gRPC's own resolver waits for a name
  // server even for what stands in /etc/hosts. (The environment is the only way to say so.)
  setenv("GRPC_DNS_RESOLVER", "native", /*overwrite=*/0);
  Endpoints endpoints;
  for (const std::string& url : options.endpoints) {
    Result<EtcdAddress> address = parse_etcd_address(url, !options.ca_file.empty());
    if (!address) return std::unexpected(address.error());
    auto endpoint = std::make_unique<Endpoint>();
    endpoint->url = url;
    endpoint->channel = grpc::CreateCustomChannel(
        address->host_and_port,
        address->tls ? grpc::SslCredentials(*tls) : grpc::InsecureChannelCredentials(),
        channel_arguments());
    endpoint->kv = etcdserverpb::KV::NewStub(endpoint->channel);
    endpoint->watch = etcdserverpb::Watch::NewStub(endpoint->channel);
    endpoint->lease = etcdserverpb::Lease::NewStub(endpoint->channel);
    endpoint->auth = etcdserverpb::Auth::NewStub(endpoint->channel);
    endpoints.all_.push_back(std::move(endpoint));
  }
  return endpoints;
}

}  // namespace fleet::etcd
