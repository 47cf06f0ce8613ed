#include "fleetd/fleet1_source.h"

#include <memory>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "net/http_client.h"

namespace fleet {
namespace {

using namespace std::chrono_literals;

// Many units make a long answer.
constexpr std::chrono::milliseconds kTimeout = 30s;

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto at = [&](std::size_t k) {
      return i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U;
    };
    const unsigned group = at(0) << 16 | at(1) << 8 | at(2);
    for (std::size_t k = 0; k < 4; ++k) {
      out += i + k > bytes.size() ? '=' : kDigits[group >> (18 - 6 * k) & 63];
    }
  }
  return out;
}

Result<std::unique_ptr<HttpClient>> connect(const std::string& server, const Config& config) {
  const bool bare = server.find("://") == std::string::npos;
  const std::string scheme = config.etcd_cafile.empty() ? "http://" : "https://";
  auto endpoint = Endpoint::parse(bare ? scheme + server : server);
  if (!endpoint) return std::unexpected(endpoint.error());
  return HttpClient::create(*endpoint,
                            {config.etcd_cafile, config.etcd_certfile, config.etcd_keyfile});
}

// False: there is no such directory.
Result<bool> read_directory(HttpClient& http, const std::string& directory,
                            const std::string& prefix, const Config& config, Fleet1Keys& keys) {
  HttpRequest request;
  request.method = "GET";
  request.target = "/v2/keys" + prefix + directory + "?recursive=true&quorum=true";
  if (!config.etcd_username.empty()) {
    request.headers.push_back(
        {"Authorization", "Basic " + base64(config.etcd_username + ":" + config.etcd_password)});
  }
  const auto answer = http.send(request, kTimeout);
  if (!answer) return std::unexpected(answer.error());
  if (answer->status == 404 && answer->body.find("\"errorCode\":100") != std::string::npos) {
    return false;
  }
  if (answer->status == 404) {
    return fail(ErrorCode::unavailable,
                "this etcd does not serve version 2 of its API, in which fleet 1.0 kept its "
                "registry: start it with --enable-v2 (etcd up to 3.5)");
  }
  if (answer->status != 200) {
    return fail(answer->status == 401 ? ErrorCode::denied : ErrorCode::unavailable,
                fmt::format("it answers {}: {}", answer->status, answer->body.substr(0, 200)));
  }
  if (Status added = add_v2_answer(answer->body, prefix, keys); !added) {
    return std::unexpected(added.error());
  }
  return true;
}

Result<Fleet1Keys> read_from(const std::string& server, const std::string& prefix,
                             const Config& config) {
  auto http = connect(server, config);
  if (!http) return std::unexpected(http.error());
  Fleet1Keys keys;
  bool found = false;
  for (const char* directory : {"job", "unit", "machines"}) {
    const auto read = read_directory(**http, directory, prefix, config, keys);
    if (!read) return std::unexpected(read.error());
    found = found || *read;
  }
  if (!found) return fail(ErrorCode::not_found, "there is nothing of fleet 1.0 there");
  return keys;
}

}  // namespace

Result<Fleet1Keys> read_fleet1(const std::vector<std::string>& servers, const std::string& prefix,
                               const Config& config) {
  Error last{ErrorCode::invalid, "no server is named"};
  for (const std::string& server : servers) {
    auto keys = read_from(server, prefix, config);
    if (keys || keys.error().code != ErrorCode::unavailable) return keys;
    last = with_context(keys.error(), server);
  }
  return std::unexpected(last);
}

}  // namespace fleet
