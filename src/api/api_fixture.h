// What the tests of the API share: an Api over a backend in memory, and short words to use it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "api/api.h"
#include "api/json/entities.h"
#include "base/sha1.h"
#include "tests/support/fake_api_backend.h"
#include "tests/support/virtual_loop.h"

namespace fleet {

class ApiFixture : public testing::Test {
 protected:
  ApiFixture() : ApiFixture(100) {}
  explicit ApiFixture(unsigned token_limit)
      : api_(std::make_unique<Api>(loop_, backend_, ApiOptions{token_limit, "2.0.0"})) {
    backend_.serve(api_.get());
  }

  // Sends a request; the answer comes when the loop has run.
  std::shared_ptr<std::optional<ApiResponse>> send(const std::string& method,
                                                   const std::string& target,
                                                   const std::string& body = {}) {
    ApiRequest request{method, target, {"application/json"}, body, "test"};
    return send(std::move(request));
  }
  std::shared_ptr<std::optional<ApiResponse>> send(ApiRequest request) {
    auto answer = std::make_shared<std::optional<ApiResponse>>();
    api_->handle(request, [answer](ApiResponse response) {
      EXPECT_FALSE(*answer) << "answered twice";
      *answer = std::move(response);
    });
    return answer;
  }

  // Sends a request and waits, without letting time pass, for the answer.
  ApiResponse ask(const std::string& method, const std::string& target,
                  const std::string& body = {}) {
    const auto answer = send(method, target, body);
    loop_.run_ready();
    EXPECT_TRUE(*answer) << method << " " << target << " has no answer";
    return answer->value_or(ApiResponse{});
  }
  ApiResponse get(const std::string& path) { return ask("GET", "/fleet/v1" + path); }
  int put(const std::string& name, const std::string& body) {
    return ask("PUT", "/fleet/v1/units/" + name, body).status;
  }
  int remove(const std::string& name) { return ask("DELETE", "/fleet/v1/units/" + name).status; }

  // The body of a PUT with one option.
  static std::string body(const std::string& desired, const std::string& command = "/bin/true",
                          const std::string& fleet_option = {}) {
    UnitEntity unit;
    unit.desired_state = desired;
    unit.options = {{"Service", "ExecStart", command}};
    if (const std::size_t equals = fleet_option.find('='); equals != std::string::npos) {
      unit.options.push_back(
          {"X-Fleet", fleet_option.substr(0, equals), fleet_option.substr(equals + 1)});
    }
    return to_json(unit);
  }

  // Plays the engine and an agent.
  void add_machine(const std::string& id, const std::map<std::string, std::string>& metadata = {}) {
    MachineRecord machine;
    machine.metadata = metadata;
    machine.id = id;
    machine.public_ip = "10.0.0.1";
    backend_.put(keys().machine(id), encode(machine));
  }
  void schedule(const std::string& machine, const std::string& name, UnitState state) {
    ScheduleRecord record;
    record.state = state;
    if (state != UnitState::inactive) {
      record.text = "text";
      record.hash = sha1_hex(record.text);
    }
    backend_.put(keys().schedule(machine, name), encode(record));
  }
  void report(const std::string& machine, const std::string& name, UnitState current) {
    const Unit* unit = backend_.mirror().unit(name);
    StateRecord record;
    if (unit != nullptr && unit->unit.value) record.hash = unit->unit->hash;
    record.load_state = "loaded";
    record.active_state = current == UnitState::launched ? "active" : "inactive";
    record.sub_state = current == UnitState::launched ? "running" : "dead";
    record.current = current;
    backend_.put(keys().state(machine, name), encode(record));
  }

  const Keys& keys() const { return backend_.keys(); }
  TargetRecord target(const std::string& name) const {
    const std::optional<std::string> value = backend_.value(keys().target(name));
    EXPECT_TRUE(value) << "no target of " << name;
    return decode_target(value.value_or("")).value_or(TargetRecord{});
  }

  VirtualLoop loop_;
  FakeApiBackend backend_{loop_};
  std::unique_ptr<Api> api_;
};

}  // namespace fleet
