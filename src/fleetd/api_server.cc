#include "fleetd/api_server.h"

#include <utility>

#include <fmt/format.h>

namespace fleet {

namespace {

std::string requester_of(const Peer& peer) {
  return peer.uid ? fmt::format("{} uid {}", peer.address, *peer.uid) : peer.address;
}

ApiRequest to_api(HttpRequest request) {
  ApiRequest api;
  api.content_types = request.header_values("Content-Type");
  api.requester = requester_of(request.peer);
  api.method = std::move(request.method);
  api.target = std::move(request.target);
  api.body = std::move(request.body);
  return api;
}

HttpResponse to_http(ApiResponse api, const std::string& version) {
  HttpResponse response;
  response.status = api.status;
  response.body = std::move(api.body);
  // 1.0 leaves it out where it cannot answer (behaviour document, section 5).
  if (api.status != 503) response.headers.push_back({"Server", "fleetd/" + version});
  if (!api.content_type.empty()) response.headers.push_back({"Content-Type", api.content_type});
  if (!api.location.empty()) response.headers.push_back({"Location", api.location});
  return response;
}

}  // namespace

Result<std::unique_ptr<ApiServer>> ApiServer::create(AsioLoop& loop, Node& node,
                                                     const std::vector<int>& sockets,
                                                     const std::string& version) {
  auto api = std::make_unique<ApiServer>();
  const auto load = std::make_shared<HttpLoad>();
  for (const int socket : sockets) {
    auto server = HttpServer::create(
        loop, socket,
        [&node, version](HttpRequest request, HttpServer::Reply reply) {
          node.handle(to_api(std::move(request)),
                      [version, reply = std::move(reply)](ApiResponse response) {
                        reply(to_http(std::move(response), version));
                      });
        },
        {}, load);
    if (!server) {
      return std::unexpected(
          with_context(server.error(), fmt::format("socket {} from systemd", socket)));
    }
    api->servers_.push_back(std::move(*server));
  }
  return api;
}

}  // namespace fleet
