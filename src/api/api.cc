#include "api/api.h"

#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "api/answers.h"
#include "api/committer.h"
#include "api/discovery.h"
#include "api/lists.h"
#include "api/request_target.h"
#include "api/status_waiters.h"
#include "api/views.h"
#include "api/writes.h"

namespace fleet {
namespace {

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

  void handle(ApiRequest request, Reply reply);
  void route(std::string_view path, ApiRequest request, const RequestTarget& target, Reply reply);
  void handle_unit(const std::string& name, ApiRequest request, Reply reply);
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

  ApiBackend& backend;
  ApiOptions options;
  Committer committer;
  StatusWaiters waiters;
};

void Api::Impl::handle(ApiRequest request, Reply reply) {
  const Result<RequestTarget> target = parse_request_target(request.target);
  if (!target) return reply(error_answer(400, target.error().message));
  if (const std::string clean = clean_path(target->path); clean != target->path) {
    return reply(moved_answer(*target, clean));
  }
  if (target->path == "/") return reply(method_not_allowed(request));
  const std::optional<std::string_view> path = below_prefix(target->path);
  if (!path) return reply(error_answer(404, "there is nothing at this path"));
  if (path->empty()) return reply(method_not_allowed(request));
  route(*path, std::move(request), *target, std::move(reply));
}

void Api::Impl::route(std::string_view path, ApiRequest request, const RequestTarget& target,
                      Reply reply) {
  if (const std::optional<std::string> unit = element_below("/units/", path)) {
    return handle_unit(*unit, std::move(request), std::move(reply));
  }
  if (path == "/machines") return handle_machines(request, target, std::move(reply));

  const bool reads = request.method == "GET";
  const std::optional<std::string> state = element_below("/state/", path);
  if (path == "/discovery") {
    return reply(reads ? json_answer(std::string(discovery_document()))
                       : error_answer(400, "only GET is possible here"));
  }
  if (!state && path != "/units" && path != "/state" && path != "/status") {
    return reply(error_answer(404, "there is nothing at this path"));
  }
  if (!reads) return reply(method_not_allowed(request));
  if (path == "/status") return handle_status(target, std::move(reply));
  const unsigned limit = options.token_limit;
  if (path == "/units") {
    return answer_from_registry(std::move(reply), [target, limit](const Registry& registry) {
      return list_units(registry, target, limit);
    });
  }
  if (path == "/state") {
    return answer_from_registry(std::move(reply), [target, limit](const Registry& registry) {
      return list_states(registry, target, limit);
    });
  }
  answer_from_registry(std::move(reply), [name = *state](const Registry& registry) {
    return get_state(registry, name);
  });
}

void Api::Impl::handle_unit(const std::string& name, ApiRequest request, Reply reply) {
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
                    const Registry& registry) { return decide_patch(registry.keys(), changes); },
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

void Api::handle(ApiRequest request, Reply reply) {
  impl_->handle(std::move(request), std::move(reply));
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
