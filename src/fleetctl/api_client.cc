#include "fleetctl/api_client.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/limits.h"
#include "fleetctl/version.h"

namespace fleet::ctl {
namespace {

using std::chrono::milliseconds;

// The options of the units in one request, so that its body and what becomes of it in the registry
// stay well below their limits.
constexpr std::size_t kListBytes = limits::kTransactionBytes / 4;
// The API answers a long poll after this at the latest.
constexpr milliseconds kLongPoll = limits::kApiWait;

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
  HttpApiClient(std::unique_ptr<HttpClient> http, Endpoint endpoint, const Clock& clock,
                ApiClientOptions options)
      : http_(std::move(http)),
        endpoint_(std::move(endpoint)),
        clock_(clock),
        options_(std::move(options)) {}

  Result<std::vector<MachineEntity>> machines() override {
    return list<MachineEntity>("machines", machine_page_from_json, &MachinePage::machines);
  }
  Result<std::vector<UnitEntity>> units() override {
    return list<UnitEntity>("units", unit_page_from_json, &UnitPage::units);
  }
  Result<std::vector<UnitStateEntity>> states() override {
    return list<UnitStateEntity>("state", unit_state_page_from_json, &UnitStatePage::states);
  }

  Result<InfoEntity> info() override {
    const auto response = send("GET", "/fleet/v1/info", {});
    if (!response) return std::unexpected(response.error());
    if (response->status != 200) return std::unexpected(error_of(*response));
    auto info = info_from_json(response->body);
    if (!info) return std::unexpected(unreadable(info.error()));
    return info;
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

  Status put_units(const std::vector<UnitEntity>& units,
                   const std::function<void(std::size_t)>& done) override {
    for (std::size_t begin = 0; begin < units.size();) {
      const std::size_t end = end_of_request(units, begin);
      if (end - begin > 1 && takes_lists_) {
        const auto taken = put_at_once({units.begin() + static_cast<std::ptrdiff_t>(begin),
                                        units.begin() + static_cast<std::ptrdiff_t>(end)});
        if (!taken) return std::unexpected(taken.error());
        if (*taken) {
          for (; begin < end; ++begin) done(begin);
          continue;
        }
      }
      for (; begin < end; ++begin) {
        if (Status put = put_unit(units[begin]); !put) return put;
        done(begin);
      }
    }
    return {};
  }

  Result<bool> destroy_unit(const std::string& name) override {
    const auto response = send("DELETE", unit_path(name), {});
    if (!response) return std::unexpected(response.error());
    if (response->status == 404) return false;
    if (response->status != 204) return std::unexpected(error_of(*response));
    return true;
  }

  Result<std::optional<std::int64_t>> restart_unit(const std::string& name) override {
    const auto response = send("POST", unit_path(name) + "/restart", {});
    if (!response) return std::unexpected(response.error());
    if (response->status == 404) return std::nullopt;
    if (response->status != 200) return std::unexpected(error_of(*response));
    const auto restarts = restarts_from_json(response->body);
    if (!restarts) return std::unexpected(unreadable(restarts.error()));
    return std::optional(*restarts);
  }

  Result<StatusEntity> status(const std::vector<std::string>& names) override {
    return read_status(send("GET", status_path(names, std::nullopt), {}), names);
  }

  Result<std::optional<StatusEntity>> wait_for_change(const std::vector<std::string>& names,
                                                      std::int64_t after,
                                                      milliseconds timeout) override {
    const milliseconds longest = kLongPoll + options_.request_timeout;
    const auto end = clock_.now() + timeout;
    auto status =
        read_status(send("GET", status_path(names, after), {}, std::min(timeout, longest)), names);
    if (status) return std::optional(std::move(*status));
    if (status.error().code == ErrorCode::unavailable && clock_.now() >= end) {
      return std::nullopt;
    }
    return std::unexpected(status.error());
  }

 private:
  // Of the units from `begin` on those up to the returned index go into one request: none twice,
  // and no more than fleetd takes.
  static std::size_t end_of_request(const std::vector<UnitEntity>& units, std::size_t begin) {
    std::set<std::string_view> names;
    std::size_t bytes = 0;
    std::size_t end = begin;
    for (; end < units.size() && end - begin < limits::kPutUnits; ++end) {
      for (const UnitOption& option : units[end].options) {
        bytes += option.section.size() + option.name.size() + option.value.size();
      }
      if (end > begin && bytes > kListBytes) break;
      if (!names.insert(units[end].name).second) break;
    }
    return end;
  }

  // False if fleetd did not take them, and has changed nothing. Put one by one, each gets the
  // answer that is its own.
  Result<bool> put_at_once(std::vector<UnitEntity> units) {
    const auto response = send("PUT", "/fleet/v1/units", to_json(UnitPage{std::move(units), {}}));
    if (!response) return std::unexpected(response.error());
    if (response->status == 200) return true;
    if (response->status >= 500) return std::unexpected(error_of(*response));
    // An older fleetd, or fleet 1.0, knows no lists.
    if (response->status == 404 || response->status == 405) takes_lists_ = false;
    return false;
  }

  static std::string unit_path(const std::string& name) {
    return "/fleet/v1/units/" + percent_encode(name);
  }

  static std::string status_path(const std::vector<std::string>& names,
                                 std::optional<std::int64_t> after) {
    std::string query;
    for (const std::string& name : names) query += "&unit=" + percent_encode(name);
    if (after) query += fmt::format("&after={}", *after);
    if (!query.empty()) query.front() = '?';
    const std::string path = "/fleet/v1/status" + query;
    // What is too long to be asked is about all units, and the answer is sifted here.
    return path.size() > limits::kHttpTargetBytes ? status_path({}, after) : path;
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
    request.headers.push_back({"User-Agent", "fleetctl/" + options_.version});
    if (!body.empty()) request.headers.push_back({"Content-Type", "application/json"});
    request.body = std::move(body);
    const auto start = clock_.now();
    auto response = http_->send(request, timeout.value_or(options_.request_timeout));
    if (options_.debug) debug(request, response, clock_.now() - start);
    if (response) look_at_server(*response);
    if (!response && response.error().code == ErrorCode::unavailable && !options_.tunnelled) {
      response.error().message += hint_for(endpoint_);
    }
    return response;
  }

  // fleetd names its version in each answer (behaviour document 5.1).
  void look_at_server(const HttpResponse& response) {
    constexpr std::string_view kPrefix = "fleetd/";
    const std::string server = response.header("Server").value_or("");
    if (std::exchange(knows_server_, true) || !server.starts_with(kPrefix)) return;
    const std::string version = server.substr(kPrefix.size());
    if (options_.newer_server && is_newer(version, options_.version)) {
      options_.newer_server(version);
    }
  }

  void debug(const HttpRequest& request, const Result<HttpResponse>& response,
             Duration took) const {
    const auto after_blank = [](const std::string& body) { return body.empty() ? "" : " " + body; };
    options_.debug(
        fmt::format("{} {}{}{} -> {} in {} ms", request.method, endpoint_.url(), request.target,
                    after_blank(request.body),
                    response ? fmt::format("{}{}", response->status, after_blank(response->body))
                             : response.error().message,
                    std::chrono::duration_cast<milliseconds>(took).count()));
  }

  std::unique_ptr<HttpClient> http_;
  Endpoint endpoint_;
  const Clock& clock_;
  ApiClientOptions options_;
  bool knows_server_ = false;
  bool takes_lists_ = true;  // of units to put
};

}  // namespace

std::unique_ptr<ApiClient> make_api_client(std::unique_ptr<HttpClient> http, Endpoint endpoint,
                                           const Clock& clock, ApiClientOptions options) {
  return std::make_unique<HttpApiClient>(std::move(http), std::move(endpoint), clock,
                                         std::move(options));
}

}  // namespace fleet::ctl
