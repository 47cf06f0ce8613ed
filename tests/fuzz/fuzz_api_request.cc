// A whole request to the API: "METHOD target" on the first line, the Content-Type on the second,
// then the body.

#include <optional>
#include <set>

#include "api/api.h"
#include "api/json/entities.h"
#include "api/request_target.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/fake_api_backend.h"

using namespace fleet;

namespace {

class Server {
 public:
  Server() : api_(loop_, backend_, ApiOptions{2, "2.0.0"}) {
    backend_.serve(&api_);
    for (const char* name : {"a.service", "b@.service", "c.timer"}) {
      UnitFile file{{{"Service", "ExecStart", "/bin/true"}}};
      backend_.put(backend_.keys().unit(name), encode(make_unit_record(name, file)));
      backend_.put(backend_.keys().target(name), encode(TargetRecord{}));
    }
    MachineRecord machine;
    machine.id = "m1";
    backend_.put(backend_.keys().machine("m1"), encode(machine));
    StateRecord state;
    state.current = UnitState::launched;
    backend_.put(backend_.keys().state("m1", "a.service"), encode(state));
  }

  // The answer, which must come, once, however long it takes.
  ApiResponse ask(ApiRequest request) {
    std::optional<ApiResponse> answer;
    int answers = 0;
    api_.handle(request, [&](ApiResponse response) {
      ++answers;
      answer = std::move(response);
    });
    loop_.run_for(std::chrono::minutes(1));
    HOLDS(answers == 1);
    return *answer;
  }

  const Registry& registry() const { return backend_.mirror(); }

 private:
  VirtualLoop loop_;
  FakeApiBackend backend_{loop_};
  Api api_;
};

void check_target(const std::string& text) {
  const Result<RequestTarget> target = parse_request_target(text);
  if (!target) return fuzz::check_error(target);
  HOLDS(target->path.starts_with('/'));
  const std::string clean = clean_path(target->path);
  HOLDS(clean.starts_with('/') && !clean.starts_with("//"));
  HOLDS(clean_path(clean) == clean);
  const Result<RequestTarget> encoded = parse_request_target(encode_path(target->path));
  // Two slashes at the front begin the name of a host, so that only a clean path must come back.
  if (target->path == clean) HOLDS(encoded && encoded->path == clean);
}

void check_answer(Server& server, const ApiResponse& answer) {
  static const std::set<int> kStatuses = {200, 201, 204, 301, 400, 404, 405, 409, 415, 503};
  HOLDS(kStatuses.contains(answer.status));  // never 500: nothing of ours is broken
  if (answer.status >= 400) {
    const Result<ErrorEntity> error = error_from_json(answer.body);
    HOLDS(error && error->code == answer.status && !error->message.empty());
  }
  if (answer.status == 301) {
    HOLDS(answer.location.find_first_of(" \r\n") == std::string::npos);
    const Result<RequestTarget> there = parse_request_target(answer.location);
    HOLDS(there.has_value());
    HOLDS(server.ask({"GET", answer.location, {}, "", "fuzz"}).status != 301);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = fuzz::text_of(data, size);
  std::string_view line = fuzz::take_until(rest, '\n');
  ApiRequest request;
  request.method = fuzz::take_until(line, ' ');
  request.target = line;
  if (const std::string_view type = fuzz::take_until(rest, '\n'); !type.empty()) {
    request.content_types = {std::string(type)};
  }
  request.body = rest;
  request.requester = "fuzz";
  check_target(request.target);

  Server server;
  const ApiResponse answer = server.ask(request);
  // A line break comes from an HTTP request's target only percent-encoded.
  if (request.target.find_first_of(" \r\n") == std::string::npos) check_answer(server, answer);

  // No request leaves anything in the registry that cannot be read (section 8, row 5).
  for (const auto& [name, unit] : server.registry().units()) HOLDS(unit.unreadable().empty());
  for (const auto& [id, machine] : server.registry().machines()) {
    for (const auto& [key, entry] : machine.dynamic_metadata) HOLDS(entry.error.empty());
  }
  if (request.method == "PUT" && answer.status == 201) {
    const ApiResponse read = server.ask({"GET", request.target, {}, "", "fuzz"});
    HOLDS(read.status == 200);
    UnitEntity unit = *unit_from_json(read.body);
    unit.desired_state = "inactive";
    // What was read back is the same unit.
    HOLDS(server.ask({"PUT", request.target, {"application/json"}, to_json(unit), "fuzz"}).status ==
          204);
    HOLDS(server.ask({"DELETE", request.target, {}, "", "fuzz"}).status == 204);
    HOLDS(server.ask({"GET", request.target, {}, "", "fuzz"}).status == 404);
  }
  return 0;
}
