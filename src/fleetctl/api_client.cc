#include "fleetctl/api_client.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include <fmt/format.h>

namespace fleet::ctl {
namespace {

using std::chrono::milliseconds;

// Longer queries are not asked: all units are, and the answer is sifted here.
constexpr std::size_t kQueryBytes = 8 * 1024;
// The API answers a long poll after 30 s at the latest.
constexpr milliseconds kLongPoll{30'000};

std::string percent_encode(const std::string& text) {
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || std::string_view("-._~@:").contains(c)) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", byte);
    }
  }
  return encoded;
}

// What to do about an API that cannot be reached.
std::string hint_for(const Endpoint& endpoint) {
  if (endpoint.scheme == Endpoint::Scheme::unix_socket) {
    return "; is fleetd running on this machine (systemctl status fleet.socket fleet.service)? "
           "--endpoint or FLEETCTL_ENDPOINT names another one";
  }
  return "; is fleetd running there, and does its fleet.socket listen on that address? --endpoint "
         "or FLEETCTL_ENDPOINT names another one";
}

std::string default_message(int status) {
  switch (status) {
    case 404:
      return "not found: this does not look like the API of fleetd, or fleetd is too old";
    case 503:
      return "fleetd cannot reach its registry (etcd)";
    case 500:
      return "fleetd failed to answer; its log tells why (journalctl -u fleet)";
    default:
      return "no reason given";
  }
}

Error error_of(const HttpResponse& response) {
  ErrorCode code = ErrorCode::failed;
  if (response.status == 400 || response.status == 415) code = ErrorCode::invalid;
  if (response.status == 404) code = ErrorCode::not_found;
  if (response.status == 409) code = ErrorCode::conflict;
  if (response.status == 413) code = ErrorCode::too_large;
  if (response.status == 503) code = ErrorCode::unavailable;
  std::string message;
  if (const auto entity = error_from_json(response.body)) message = entity->message;
  if (message.empty()) message = default_message(response.status);
  return {code, fmt::format("{} (HTTP {})", message, response.status)};
}

class HttpApiClient final : public ApiClient {
 public:
  HttpApiClient(std::unique_ptr<HttpClient> http, Endpoint endpoint, ApiClientOptions options)
      : http_(std::move(http)), endpoint_(std::move(endpoint)), options_(std::move(options)) {}

  Result<std::vector<MachineEntity>> machines() override {
    return list<MachineEntity>("machines", machine_page_from_json, &MachinePage::machines);
  }
  Result<std::vector<UnitEntity>> units() override {
    return list<UnitEntity>("units", unit_page_from_json, &UnitPage::units);
  }
  Result<std::vector<UnitStateEntity>> states() override {
    return list<UnitStateEntity>("state", unit_state_page_from_json, &UnitStatePage::states);
  }

  Result<std::optional<UnitEntity>> unit(const std::string& name) override {
    const auto response = send("GET", unit_path(name), {});
    if (!response) return std::unexpected(response.error());
    if (response->status == 404) return std::nullopt;
    if (response->status != 200) return std::unexpected(error_of(*response));
    auto unit = unit_from_json(response->body);
    if (!unit) return std::unexpected(unreadable(unit.error()));
    return std::optional(std::move(*unit));
  }

  Status put_unit(const UnitEntity& unit) override {
    const auto response = send("PUT", unit_path(unit.name), to_json(unit));
    if (!response) return std::unexpected(response.error());
    if (response->status == 201 || response->status == 204) return {};
    // The API's word for "this is what it is already" where no desired state is given.
    if (response->status == 409 && !unit.options.empty()) return {};
    return std::unexpected(error_of(*response));
  }

  Result<bool> destroy_unit(const std::string& name) override {
    const auto response = send("DELETE", unit_path(name), {});
    if (!response) return std::unexpected(response.error());
    if (response->status == 404) return false;
    if (response->status != 204) return std::unexpected(error_of(*response));
    return true;
  }

  Result<StatusEntity> status(const std::vector<std::string>& names) override {
    return read_status(send("GET", status_path(names, std::nullopt), {}), names);
  }

  Result<std::optional<StatusEntity>> wait_for_change(const std::vector<std::string>& names,
                                                      std::int64_t after,
                                                      milliseconds timeout) override {
    const milliseconds longest = kLongPoll + options_.request_timeout;
    const auto end = std::chrono::steady_clock::now() + timeout;
    auto status =
        read_status(send("GET", status_path(names, after), {}, std::min(timeout, longest)), names);
    if (status) return std::optional(std::move(*status));
    if (status.error().code == ErrorCode::unavailable && std::chrono::steady_clock::now() >= end) {
      return std::nullopt;
    }
    return std::unexpected(status.error());
  }

 private:
  static std::string unit_path(const std::string& name) {
    return "/fleet/v1/units/" + percent_encode(name);
  }

  static std::string status_path(const std::vector<std::string>& names,
                                 std::optional<std::int64_t> after) {
    std::string query;
    for (const std::string& name : names) query += "&unit=" + percent_encode(name);
    if (query.size() > kQueryBytes) query.clear();
    if (after) query += fmt::format("&after={}", *after);
    if (!query.empty()) query.front() = '?';
    return "/fleet/v1/status" + query;
  }

  Result<StatusEntity> read_status(const Result<HttpResponse>& response,
                                   const std::vector<std::string>& names) const {
    if (!response) return std::unexpected(response.error());
    if (response->status != 200) return std::unexpected(error_of(*response));
    auto status = status_from_json(response->body);
    if (!status) return std::unexpected(unreadable(status.error()));
    if (!names.empty()) sift(*status, names);
    return status;
  }

  // Makes of the answer about all units the one about `names`.
  static void sift(StatusEntity& status, const std::vector<std::string>& names) {
    std::erase_if(status.units, [&](const UnitStatusEntity& unit) {
      return std::ranges::find(names, unit.name) == names.end();
    });
    for (const std::string& name : names) {
      const bool there = std::ranges::any_of(status.units, [&](const UnitStatusEntity& unit) {
        return unit.name == name && !unit.destroyed;
      });
      const bool told = std::ranges::find(status.missing, name) != status.missing.end();
      if (!there && !told) status.missing.push_back(name);
    }
  }

  template <class Entity, class Page>
  Result<std::vector<Entity>> list(const std::string& what, Result<Page> (*parse)(std::string_view),
                                   std::vector<Entity> Page::*entities) {
    std::vector<Entity> all;
    std::string token;
    do {
      std::string path = "/fleet/v1/" + what;
      if (!token.empty()) path += "?nextPageToken=" + percent_encode(token);
      const auto response = send("GET", path, {});
      if (!response) return std::unexpected(response.error());
      if (response->status != 200) return std::unexpected(error_of(*response));
      auto page = parse(response->body);
      if (!page) return std::unexpected(unreadable(page.error()));
      auto& items = (*page).*entities;
      // A server that gave the same page for ever would else hold us for ever.
      if (page->next_page_token == token && !token.empty()) break;
      std::ranges::move(items, std::back_inserter(all));
      token = page->next_page_token;
    } while (!token.empty());
    return all;
  }

  Error unreadable(const Error& error) const {
    return {ErrorCode::failed,
            fmt::format("cannot read the answer from {}: {}", endpoint_.url(), error.message)};
  }

  Result<HttpResponse> send(const std::string& method, const std::string& target, std::string body,
                            std::optional<milliseconds> timeout = {}) {
    HttpRequest request;
    request.method = method;
    request.target = target;
    request.headers.push_back({"User-Agent", options_.user_agent});
    if (!body.empty()) request.headers.push_back({"Content-Type", "application/json"});
    request.body = std::move(body);
    const auto start = std::chrono::steady_clock::now();
    auto response = http_->send(request, timeout.value_or(options_.request_timeout));
    if (options_.debug) debug(request, response, std::chrono::steady_clock::now() - start);
    if (!response && response.error().code == ErrorCode::unavailable) {
      response.error().message += hint_for(endpoint_);
    }
    return response;
  }

  void debug(const HttpRequest& request, const Result<HttpResponse>& response,
             std::chrono::steady_clock::duration took) const {
    options_.debug(fmt::format("{} {}{} {}-> {} in {} ms", request.method, endpoint_.url(),
                               request.target, request.body.empty() ? "" : request.body + " ",
                               response ? fmt::format("{} {}", response->status, response->body)
                                        : response.error().message,
                               std::chrono::duration_cast<milliseconds>(took).count()));
  }

  std::unique_ptr<HttpClient> http_;
  Endpoint endpoint_;
  ApiClientOptions options_;
};

}  // namespace

std::unique_ptr<ApiClient> make_api_client(std::unique_ptr<HttpClient> http, Endpoint endpoint,
                                           ApiClientOptions options) {
  return std::make_unique<HttpApiClient>(std::move(http), std::move(endpoint), std::move(options));
}

}  // namespace fleet::ctl
