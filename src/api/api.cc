#include "api/api.h"

#include <algorithm>
#include <charconv>
#include <compare>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "api/answers.h"
#include "api/committer.h"
#include "api/discovery.h"
#include "api/lists.h"
#include "api/metrics_text.h"
#include "api/request_target.h"
#include "api/status_waiters.h"
#include "api/views.h"
#include "api/writes.h"

namespace fleet {
namespace {

constexpr std::string_view kRestart = "/restart";

// The part of the path after the API's prefix; nothing if it is not below one.
std::optional<std::string_view> below_prefix(std::string_view path) {
  for (const std::string_view prefix : {"/fleet/v1", "/v1-alpha"}) {
    if (!path.starts_with(prefix)) continue;
    const std::string_view rest = path.substr(prefix.size());
    if (rest.empty() || rest.starts_with('/')) return rest;
  }
  return std::nullopt;
}

// The element after `folder`, if that is all there is.
std::optional<std::string> element_below(std::string_view folder, std::string_view path) {
  if (!path.starts_with(folder)) return std::nullopt;
  const std::string_view rest = path.substr(folder.size());
  if (rest.empty() || rest.find('/') != std::string_view::npos) return std::nullopt;
  return std::string(rest);
}

// As 1.0's metrics name a method. The client chooses it, so that not every one can have a number of
// its own.
std::string method_label(std::string_view method) {
  for (const std::string_view known :
       {"delete", "get", "head", "options", "patch", "post", "put", "trace"}) {
    const auto lower = [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    if (std::ranges::equal(method, known, {}, lower)) return std::string(known);
  }
  return "other";
}

ApiResponse method_not_allowed(const ApiRequest& request) {
  return error_answer(405, fmt::format("{} is not possible here", request.method));
}

ApiResponse moved_answer(const RequestTarget& target, const std::string& path) {
  ApiResponse answer = empty_answer(301);
  answer.location = encode_path(path);
  if (!target.raw_query.empty()) answer.location += "?" + target.raw_query;
  return answer;
}

// The revision in `text`; nothing if it is none.
std::optional<Revision> parse_revision(const std::string& text) {
  Revision revision = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, revision);
  if (error != std::errc() || stop != end || revision < 0) return std::nullopt;
  return revision;
}

}  // namespace

struct Api::Impl {
  Impl(EventLoop& loop, ApiBackend& api_backend, ApiOptions api_options)
      : backend(api_backend),
        options(std::move(api_options)),
        committer(loop, backend),
        waiters(loop, backend) {}

  void handle(const ApiRequest& request, Reply reply);
  Reply counted(const ApiRequest& request, std::string_view handler, Reply reply);
  ApiResponse health(const ApiRequest& request, bool asks_if_ready) const;
  ApiResponse metrics() const;
  void route(std::string_view path, const ApiRequest& request, const RequestTarget& target,
             Reply reply);
  void handle_unit(const std::string& name, const ApiRequest& request, Reply reply);
  void handle_units(const ApiRequest& request, const RequestTarget& target, Reply reply);
  void handle_restart(const std::string& name, const ApiRequest& request, Reply reply);
  void handle_machines(const ApiRequest& request, const RequestTarget& target, Reply reply);
  void handle_status(const RequestTarget& target, Reply reply);

  // Answers by what `make` makes of the registry.
  template <class Make>
  void answer_from_registry(Reply reply, Make make) {
    backend.read(
        [reply = std::move(reply), make = std::move(make)](Result<const Registry*> registry) {
          reply(registry ? make(**registry) : unavailable_answer(registry.error()));
        });
  }

  struct Answered {
    std::string handler;
    std::string method;
    int status = 0;

    auto operator<=>(const Answered&) const = default;
  };

  ApiBackend& backend;
  ApiOptions options;
  // Replies may come after the end.
  std::shared_ptr<std::map<Answered, std::uint64_t>> answered =
      std::make_shared<std::map<Answered, std::uint64_t>>();
  Committer committer;
  StatusWaiters waiters;
};

void Api::Impl::handle(const ApiRequest& request, Reply reply) {
  const Result<RequestTarget> target = parse_request_target(request.target);
  const bool is_metrics = target && target->path == "/metrics";
  const bool is_health = target && (target->path == "/healthz" || target->path == "/readyz");
  reply = counted(request,
                  is_metrics  ? "prometheus"
                  : is_health ? "health"
                              : "api",
                  std::move(reply));
  if (is_health) return reply(health(request, target->path == "/readyz"));
  // Whatever the path: 1.0's clients know by this that they should ask another machine.
  if (const Status ready = backend.ready(); !ready) {
    return reply(unavailable_answer(ready.error()));
  }
  if (!target) return reply(error_answer(400, target.error().message));
  if (is_metrics) return reply(metrics());
  if (const std::string clean = clean_path(target->path); clean != target->path) {
    return reply(moved_answer(*target, clean));
  }
  if (target->path == "/") return reply(method_not_allowed(request));
  const std::optional<std::string_view> path = below_prefix(target->path);
  if (!path) return reply(error_answer(404, "there is nothing at this path"));
  if (path->empty()) return reply(method_not_allowed(request));
  route(*path, request, *target, std::move(reply));
}

Api::Reply Api::Impl::counted(const ApiRequest& request, std::string_view handler, Reply reply) {
  return [counts = answered, handler = std::string(handler), method = method_label(request.method),
          reply = std::move(reply)](ApiResponse answer) {
    ++(*counts)[{handler, method, answer.status}];
    reply(std::move(answer));
  };
}

// Who asks for these must be answered also when all else is refused: 503 to everything would look
// the same as a fleetd that is to be restarted.
ApiResponse Api::Impl::health(const ApiRequest& request, bool asks_if_ready) const {
  if (request.method != "GET") return method_not_allowed(request);
  if (!asks_if_ready) return text_answer(200, "ok\n");  // the loop turns, or nobody would answer
  const Status ready = backend.ready();
  return ready ? text_answer(200, "ok\n") : text_answer(503, ready.error().message + "\n");
}

ApiResponse Api::Impl::metrics() const {
  MetricsText text;
  backend.add_metrics(text);
  text.begin("http_requests_total", "counter", "Requests that were answered, by status.");
  for (const auto& [what, count] : *answered) {
    text.sample(count, {{"code", std::to_string(what.status)},
                        {"handler", what.handler},
                        {"method", what.method}});
  }
  ApiResponse answer;
  answer.content_type = MetricsText::kContentType;
  answer.body = text.take();
  return answer;
}

void Api::Impl::route(std::string_view path, const ApiRequest& request, const RequestTarget& target,
                      Reply reply) {
  if (const std::optional<std::string> unit = element_below("/units/", path)) {
    return handle_unit(*unit, request, std::move(reply));
  }
  // An encoded slash belongs to a name, which then is none.
  if (path.ends_with(kRestart) && target.raw_path.ends_with(kRestart)) {
    const std::string_view unit = path.substr(0, path.size() - kRestart.size());
    if (const std::optional<std::string> name = element_below("/units/", unit)) {
      return handle_restart(*name, request, std::move(reply));
    }
  }
  if (path == "/units") return handle_units(request, target, std::move(reply));
  if (path == "/machines") return handle_machines(request, target, std::move(reply));

  const bool reads = request.method == "GET";
  const std::optional<std::string> state = element_below("/state/", path);
  if (path == "/discovery") {
    return reply(reads ? json_answer(std::string(discovery_document()))
                       : error_answer(400, "only GET is possible here"));
  }
  if (!state && path != "/info" && path != "/state" && path != "/status") {
    return reply(error_answer(404, "there is nothing at this path"));
  }
  if (!reads) return reply(method_not_allowed(request));
  if (path == "/status") return handle_status(target, std::move(reply));
  if (path == "/info") {
    return answer_from_registry(std::move(reply), [options = options](const Registry& registry) {
      return get_info(registry, options);
    });
  }
  const unsigned limit = options.token_limit;
  if (path == "/state") {
    return answer_from_registry(std::move(reply), [target, limit](const Registry& registry) {
      return list_states(registry, target, limit);
    });
  }
  answer_from_registry(std::move(reply), [name = *state](const Registry& registry) {
    return get_state(registry, name);
  });
}

void Api::Impl::handle_unit(const std::string& name, const ApiRequest& request, Reply reply) {
  if (request.method == "GET") {
    return answer_from_registry(
        std::move(reply), [name](const Registry& registry) { return get_unit(registry, name); });
  }
  if (request.method == "DELETE") {
    return committer.run([name](const Registry& registry) { return decide_delete(registry, name); },
                         std::move(reply));
  }
  if (request.method != "PUT") return reply(method_not_allowed(request));
  UnitEntity wanted;
  if (std::optional<ApiResponse> refusal = check_put(request, name, wanted)) {
    return reply(std::move(*refusal));
  }
  committer.run([name, wanted = std::move(wanted)](
                    const Registry& registry) { return decide_put(registry, name, wanted); },
                std::move(reply));
}

void Api::Impl::handle_units(const ApiRequest& request, const RequestTarget& target, Reply reply) {
  if (request.method == "GET") {
    return answer_from_registry(std::move(reply),
                                [target, limit = options.token_limit](const Registry& registry) {
                                  return list_units(registry, target, limit);
                                });
  }
  if (request.method != "PUT") return reply(method_not_allowed(request));
  std::vector<UnitEntity> wanted;
  if (std::optional<ApiResponse> refusal = check_put_all(request, wanted)) {
    return reply(std::move(*refusal));
  }
  committer.run([wanted = std::move(wanted)](
                    const Registry& registry) { return decide_put_all(registry, wanted); },
                std::move(reply));
}

void Api::Impl::handle_restart(const std::string& name, const ApiRequest& request, Reply reply) {
  if (request.method != "POST") return reply(method_not_allowed(request));
  committer.run([name](const Registry& registry) { return decide_restart(registry, name); },
                std::move(reply));
}

void Api::Impl::handle_machines(const ApiRequest& request, const RequestTarget& target,
                                Reply reply) {
  if (request.method == "GET") {
    return answer_from_registry(std::move(reply),
                                [target, limit = options.token_limit](const Registry& registry) {
                                  return list_machines(registry, target, limit);
                                });
  }
  if (request.method != "PATCH") return reply(method_not_allowed(request));
  Result<std::vector<MetadataChange>> changes = metadata_changes_from_json(request.body);
  if (!changes) return reply(error_answer(400, changes.error().message));
  committer.run([changes = std::move(*changes)](
                    const Registry& registry) { return decide_patch(registry, changes); },
                std::move(reply));
}

void Api::Impl::handle_status(const RequestTarget& target, Reply reply) {
  const std::vector<std::string> names = target.values("unit");
  const std::vector<std::string> after = target.values("after");
  Revision newer_than = -1;
  if (!after.empty()) {
    const std::optional<Revision> revision = parse_revision(after.front());
    if (!revision) return reply(error_answer(400, "after must be the revision of an answer"));
    newer_than = *revision;
  }
  waiters.run({names.begin(), names.end()}, newer_than, std::move(reply));
}

Api::Api(EventLoop& loop, ApiBackend& backend, ApiOptions options)
    : impl_(std::make_unique<Impl>(loop, backend, std::move(options))) {}

Api::~Api() = default;

void Api::set_token_limit(unsigned token_limit) {
  impl_->options.token_limit = token_limit;
}

void Api::handle(const ApiRequest& request, Reply reply) {
  impl_->handle(request, std::move(reply));
}

void Api::registry_changed(const Registry& registry, const Registry::Changes& changes) {
  impl_->committer.registry_changed(registry);
  impl_->waiters.registry_changed(registry, changes);
}

void Api::registry_lost(const Error& error) {
  impl_->committer.registry_lost(error);
  impl_->waiters.registry_lost(error);
}

}  // namespace fleet
