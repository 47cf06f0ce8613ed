#include "api/api.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "api/api_fixture.h"
#include "base/limits.h"

namespace fleet {
namespace {

class ApiTest : public ApiFixture {};

TEST_F(ApiTest, BothPrefixesAreEqual) {
  EXPECT_EQ(put("a.service", body("inactive")), 201);
  for (const char* path : {"/units", "/units/a.service", "/state", "/machines", "/discovery"}) {
    const ApiResponse one = ask("GET", std::string("/fleet/v1") + path);
    const ApiResponse other = ask("GET", std::string("/v1-alpha") + path);
    EXPECT_EQ(one.status, 200) << path;
    EXPECT_EQ(one.body, other.body) << path;
    EXPECT_EQ(one.content_type, "application/json");
  }
}

TEST_F(ApiTest, UncleanPathsAreMoved) {
  const std::pair<const char*, const char*> cases[] = {
      {"/fleet/v1//units?a=b%20c", "/fleet/v1/units?a=b%20c"},
      {"/fleet/v1/./units", "/fleet/v1/units"},
      {"/fleet/v1/units/../state", "/fleet/v1/state"},
      {"/fleet/v1/units/%2E%2E/state", "/fleet/v1/state"},
      {"//evil.example/x", "/evil.example/x"},
      {"/fleet/v1/units//a%20b.service", "/fleet/v1/units/a%20b.service"},
  };
  for (const auto& [path, location] : cases) {
    for (const char* method : {"GET", "PUT", "HEAD"}) {
      const ApiResponse answer = ask(method, path);
      EXPECT_EQ(answer.status, 301) << path;
      EXPECT_EQ(answer.location, location);
    }
  }
}

TEST_F(ApiTest, PathsAndMethods) {
  const std::tuple<const char*, const char*, int> cases[] = {
      {"GET", "/", 405},
      {"GET", "/fleet/v1", 405},
      {"PUT", "/v1-alpha", 405},
      {"GET", "/fleet/v1/", 404},
      {"GET", "/fleet/v10/units", 404},
      {"GET", "/fleet/v1units", 404},
      {"GET", "/favicon.ico", 404},
      {"DELETE", "/fleet/v1/units/a%2Fb.service", 404},
      {"POST", "/fleet/v1/units/a.service%2Frestart", 404},
      {"GET", "/fleet/v1/state/a/b", 404},
      {"HEAD", "/fleet/v1/units/a.service", 405},
      {"HEAD", "/fleet/v1/state/a.service", 405},
      {"HEAD", "/fleet/v1/machines", 405},
      {"OPTIONS", "/fleet/v1/units", 405},
      {"get", "/fleet/v1/units", 405},
      {"DELETE", "/fleet/v1/machines", 405},
      {"POST", "/fleet/v1/units/a.service", 405},
      {"POST", "/fleet/v1/status", 405},
      {"GET", "/fleet/v1/%zz", 400},
      {"GET", "*", 400},
  };
  for (const auto& [method, path, status] : cases) {
    const ApiResponse answer = ask(method, path);
    EXPECT_EQ(answer.status, status) << method << " " << path;
    EXPECT_EQ(answer.content_type, "application/json");
    EXPECT_EQ(error_from_json(answer.body)->code, status) << answer.body;
  }
}

// section 8, row 9.
TEST_F(ApiTest, DiscoveryIsADocumentAndOtherMethodsAreBadRequests) {
  const ApiResponse document = get("/discovery");
  EXPECT_TRUE(document.body.starts_with("{\n  \"kind\": \"discovery#restDescription\",\n"));
  for (const char* word : {"\"fleet:v1\"", "\"fleet.Unit.Set\"", "\"units/{unitName}\"",
                           "\"fleet.UnitState.List\"", "\"$ENDPOINT/fleet/v1/\""}) {
    EXPECT_NE(document.body.find(word), std::string::npos) << word;
  }
  EXPECT_EQ(ask("PUT", "/fleet/v1/discovery").status, 400);
}

TEST_F(ApiTest, TellsWhatServes) {
  api_ = std::make_unique<Api>(
      loop_, backend_, ApiOptions{100, "2.0.0", "m1", "embedded", "/var/lib/fleet/registry.db"});
  backend_.serve(api_.get());
  EXPECT_EQ(get("/info").body,
            R"({"machineID":"m1","registry":"embedded",)"
            R"("registryLocation":"/var/lib/fleet/registry.db","version":"2.0.0"})");
  backend_.put(keys().leader(), "m2");
  backend_.put(keys().incomplete(), "fleetd registry move");
  const auto info = info_from_json(get("/info").body);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->leader_machine_id, "m2");
  EXPECT_EQ(info->registry_incomplete, "fleetd registry move");
  EXPECT_EQ(ask("PUT", "/fleet/v1/info").status, 405);
}

// For whoever restarts or routes around what does not work.
TEST_F(ApiTest, HealthIsAnsweredAlsoWithoutTheStore) {
  for (const char* path : {"/healthz", "/readyz", "/readyz?verbose"}) {
    const ApiResponse answer = ask("GET", path);
    EXPECT_EQ(answer.status, 200) << path;
    EXPECT_EQ(answer.body, "ok\n");
    EXPECT_EQ(answer.content_type, "text/plain; charset=utf-8");
    EXPECT_EQ(ask("POST", path).status, 405);
  }
  backend_.lose_store({ErrorCode::unavailable, "no endpoint answers"});
  EXPECT_EQ(ask("GET", "/healthz").status, 200);
  EXPECT_EQ(ask("GET", "/readyz").status, 503);
  EXPECT_EQ(ask("GET", "/readyz").body, "no endpoint answers\n");
  EXPECT_EQ(ask("GET", "/readyz/").status, 503) << "a path like any other";
  backend_.find_store();
  EXPECT_EQ(ask("GET", "/readyz").status, 200);
  EXPECT_EQ(ask("GET", "/readyz/").status, 404);
  EXPECT_NE(
      ask("GET", "/metrics")
          .body.find("http_requests_total{code=\"503\",handler=\"health\",method=\"get\"} 2\n"),
      std::string::npos);
}

TEST_F(ApiTest, MetricsAreTextForAnyMethod) {
  for (const char* method : {"GET", "POST", "HEAD"}) {
    const ApiResponse answer = ask(method, "/metrics?x=y");
    EXPECT_EQ(answer.status, 200) << method;
    EXPECT_EQ(answer.content_type, "text/plain; version=0.0.4");
    EXPECT_TRUE(answer.body.starts_with("# HELP fake ")) << "what the fleetd tells comes first";
  }
  EXPECT_EQ(ask("GET", "/metrics/").status, 404);
  EXPECT_EQ(ask("GET", "/fleet/v1/metrics").status, 404);
  EXPECT_EQ(ask("GET", "//metrics").location, "/metrics");
}

TEST_F(ApiTest, AnswersAreCounted) {
  get("/units");
  get("/units");
  get("/units/a.service");
  ask("BREW", "/fleet/v1/units");
  ask("get", "/metrics");
  const auto waits = send("GET", "/fleet/v1/status?after=1000");
  const std::string metrics = ask("GET", "/metrics").body;
  for (const char* line : {
           "# TYPE http_requests_total counter",
           "http_requests_total{code=\"200\",handler=\"api\",method=\"get\"} 2",
           "http_requests_total{code=\"404\",handler=\"api\",method=\"get\"} 1",
           "http_requests_total{code=\"405\",handler=\"api\",method=\"other\"} 1",
           "http_requests_total{code=\"200\",handler=\"prometheus\",method=\"get\"} 1",
       }) {
    EXPECT_NE(metrics.find(std::string(line) + "\n"), std::string::npos) << line << "\n" << metrics;
  }
  EXPECT_FALSE(*waits);
}

TEST_F(ApiTest, MediaTypeOfPut) {
  const std::pair<std::vector<std::string>, int> cases[] = {
      {{"application/json"}, 201},
      {{" application/json ; charset=utf-8"}, 201},
      {{}, 415},
      {{""}, 415},
      {{"Application/JSON"}, 415},
      {{"application/jsonx"}, 415},
      {{"text/plain; application/json"}, 415},
      {{"application/json", "application/json"}, 415},
  };
  for (const auto& [types, status] : cases) {
    remove("a.service");
    const auto answer = send({"PUT", "/fleet/v1/units/a.service", types, body("inactive"), "test"});
    loop_.run_ready();
    EXPECT_EQ((*answer)->status, status);
  }
}

// section 8, row 12: only a PUT needs a media type.
TEST_F(ApiTest, OtherMethodsTakeAnyMediaType) {
  const auto status = [this](const char* method, const char* path, const std::string& text) {
    const auto answer = send({method, path, {"text/plain", "image/png"}, text, "test"});
    loop_.run_ready();
    return (*answer)->status;
  };
  EXPECT_EQ(put("a.service", body("launched")), 201);
  EXPECT_EQ(status("PATCH", "/fleet/v1/machines",
                   R"([{"op":"add","path":"/m1/metadata/a","value":{"value":"1"}}])"),
            204);
  EXPECT_EQ(status("GET", "/fleet/v1/units", ""), 200);
  EXPECT_EQ(status("POST", "/fleet/v1/units/a.service/restart", ""), 200);
  EXPECT_EQ(status("DELETE", "/fleet/v1/units/a.service", ""), 204);
}

TEST_F(ApiTest, MemberNamesMatchInAnyCaseAndUnknownOnesAreIgnored) {
  const std::string text =
      R"({"NAME":"a.service","desiredstate":"loaded","x":{"y":[null]},"OPTIONS":)"
      R"([{"Section":"Service","nAmE":"ExecStart","VALUE":"/bin/true","comment":7}]} trailing ])";
  EXPECT_EQ(put("a.service", text), 201);
  EXPECT_EQ(target("a.service").state, UnitState::loaded);
  EXPECT_EQ(unit_from_json(get("/units/a.service").body)->options,
            (std::vector<UnitOption>{{"Service", "ExecStart", "/bin/true"}}));
  EXPECT_EQ(ask("PATCH", "/fleet/v1/machines",
                R"([{"OP":"add","Path":"/m1/metadata/a","Value":{"VALUE":"1"}}] x)")
                .status,
            204);
  EXPECT_EQ(backend_.value(keys().metadata("m1", "a")), "1");
}

TEST_F(ApiTest, NullsSayNothing) {
  EXPECT_EQ(put("a.service", "null"), 409) << "as if it were empty";
  EXPECT_EQ(put("a.service", R"({"name":null,"desiredState":null,"options":null})"), 409);
  EXPECT_EQ(put("a.service", R"({"name":null,"desiredState":null,"options":[{"section":"Service",)"
                             R"("name":"ExecStart","value":null}]})"),
            201);
  EXPECT_EQ(ask("PATCH", "/fleet/v1/machines", "[null]").status, 400);
  EXPECT_EQ(
      ask("PATCH", "/fleet/v1/machines", R"([{"op":"add","path":"/m1/metadata/a","value":null}])")
          .status,
      400);
}

TEST_F(ApiTest, BadBodiesChangeNothing) {
  const std::string bodies[] = {
      "",
      "[]",
      "{",
      "\"a\"",
      R"({"name":7})",
      R"({"options":[null]})",
      R"({"name":"b.service","options":[{"section":"A","name":"b","value":"c"}]})",
      std::string(100'000, '['),
      R"({"options":)" + std::string(100'000, '['),
  };
  for (const std::string& bad : bodies) {
    EXPECT_EQ(put("a.service", bad), 400) << bad.substr(0, 80);
  }
  EXPECT_EQ(backend_.commits, 0);
}

TEST_F(ApiTest, LimitsOfAUnitFile) {
  UnitEntity unit;
  unit.options.assign(limits::kUnitFileOptions + 1, {"Service", "A", "b"});
  EXPECT_EQ(put("a.service", to_json(unit)), 400);
  unit.options.assign(600, {"Service", "A", std::string(1'500, 'x')});
  EXPECT_EQ(put("a.service", to_json(unit)), 400);
  // Bytes that take six in the registry's JSON.
  unit.options.assign(300, {"Service", "A", std::string(1'500, '\x01')});
  EXPECT_EQ(put("a.service", to_json(unit)), 400);
  EXPECT_EQ(backend_.commits, 0);
}

// 5.3: the first fault, in this order, is the one that is named.
TEST_F(ApiTest, FaultsOfAPutAreFoundInOrder) {
  const auto fault = [this](const std::string& name, const std::string& text,
                            const std::string& type = "application/json") {
    const auto answer = send({"PUT", "/fleet/v1/units/" + name, {type}, text, "test"});
    loop_.run_ready();
    const Result<ErrorEntity> error = error_from_json((*answer)->body);
    return fmt::format("{} {}", error->code, error->message);
  };
  using testing::HasSubstr;
  const std::string named = R"({"name":"b.service","desiredState":"x"})";
  EXPECT_THAT(fault("no-type", "{", "text/plain"), HasSubstr("415 "));
  EXPECT_THAT(fault("no-type", "{"), HasSubstr("400 the body"));
  EXPECT_THAT(fault("no-type", named), HasSubstr("400 the name in the body"));
  EXPECT_THAT(fault("no-type", R"({"desiredState":"x"})"), HasSubstr("400 invalid unit name"));
  EXPECT_THAT(fault("a.service", R"({"desiredState":"x"})"), HasSubstr("400 desiredState"));
  EXPECT_THAT(fault("a.service", R"({"desiredState":"loaded"})"), HasSubstr("409 "));
  EXPECT_EQ(backend_.commits, 0);
}

// 5.3: a template may be created in any state, but only set to inactive.
TEST_F(ApiTest, TemplatesAreOnlySetToInactive) {
  EXPECT_EQ(put("a@.service", body("launched")), 201);
  EXPECT_EQ(target("a@.service").state, UnitState::launched);
  EXPECT_EQ(put("a@.service", R"({"desiredState":"launched"})"), 400);
  EXPECT_EQ(put("a@.service", R"({"desiredState":"loaded"})"), 400);
  EXPECT_EQ(put("a@.service", R"({"desiredState":"inactive"})"), 204);
  EXPECT_EQ(target("a@.service").state, UnitState::inactive);
}

// section 8, row 2.
TEST_F(ApiTest, ANewUnitIsInactiveUnlessItIsToldOtherwise) {
  EXPECT_EQ(put("a.service", body("")), 201);
  EXPECT_EQ(target("a.service").state, UnitState::inactive);
}

// section 8, row 3.
TEST_F(ApiTest, OtherOptionsReplaceAUnit) {
  EXPECT_EQ(put("a.service", body("launched", "/bin/true")), 201);
  EXPECT_EQ(put("a.service", body("launched", "/bin/false")), 201);
  EXPECT_EQ(unit_from_json(get("/units/a.service").body)->options.at(0).value, "/bin/false");
  EXPECT_EQ(target("a.service").state, UnitState::launched);
}

// section 8, row 7: what fleetctl does about the 409 is fleetctl's matter.
TEST_F(ApiTest, ThePutOfAnIdenticalUnitNeedsADesiredState) {
  EXPECT_EQ(put("a.service", body("launched")), 201);
  EXPECT_EQ(put("a.service", body("launched")), 204);
  EXPECT_EQ(put("a.service", body("")), 409);
  EXPECT_EQ(target("a.service").state, UnitState::launched);
}

TEST_F(ApiTest, StoresTheUnitAndItsDesiredStateInOneTransaction) {
  EXPECT_EQ(put("a.service", body("launched", "/bin/sleep 1")), 201);
  EXPECT_EQ(backend_.commits, 1);
  const UnitRecord stored = *decode_unit("a.service", *backend_.value(keys().unit("a.service")));
  EXPECT_EQ(stored.text, "[Service]\nExecStart=/bin/sleep 1\n");
  EXPECT_EQ(target("a.service"), (TargetRecord{.state = UnitState::launched}));
  const Unit& unit = *backend_.mirror().unit("a.service");
  EXPECT_EQ(unit.unit.mod_revision, unit.target.mod_revision);
}

TEST_F(ApiTest, AnUpdateSetsTheDesiredStateAlone) {
  EXPECT_EQ(put("a.service", body("launched")), 201);
  EXPECT_EQ(put("a.service", R"({"desiredState":"launched"})"), 204);
  EXPECT_EQ(put("a.service", body("launched")), 204);
  EXPECT_EQ(put("a.service", R"({"desiredState":"loaded","currentState":"x","machineID":"y"})"),
            204);
  EXPECT_EQ(target("a.service").state, UnitState::loaded);
}

// The mirror may lag: what it shows already may have been changed since.
TEST_F(ApiTest, AnUpdateThatSeemsToChangeNothingIsMadeAllTheSame) {
  EXPECT_EQ(put("a.service", body("launched")), 201);
  bool done = false;
  backend_.before_commit = [this, &done] {
    if (std::exchange(done, true)) return;
    backend_.put(keys().target("a.service"), encode(TargetRecord{.state = UnitState::loaded}));
  };
  EXPECT_EQ(put("a.service", R"({"desiredState":"launched"})"), 204);
  EXPECT_EQ(target("a.service").state, UnitState::launched);
}

TEST_F(ApiTest, WhatReadsBackDifferentlyIsTheSameUnitAgain) {
  const std::string odd =
      R"({"desiredState":"inactive","options":[{"section":"Unit","name":"a=b","value":"c\\"}]})";
  EXPECT_EQ(put("a.service", odd), 201);
  EXPECT_EQ(put("a.service", odd), 204);
  const Result<UnitEntity> unit = unit_from_json(get("/units/a.service").body);
  EXPECT_EQ(unit->options, (std::vector<UnitOption>{{"Unit", "a", "b=c\\\n"}}));
  EXPECT_EQ(put("a.service", to_json(*unit)), 204);
}

// section 8, row 4: what `fleetctl start --replace` builds on.
TEST_F(ApiTest, AReplacementWithoutStateIsInactive) {
  EXPECT_EQ(put("a.service", body("launched")), 201);
  EXPECT_EQ(put("a.service", body("", "/bin/false")), 201);
  EXPECT_EQ(target("a.service").state, UnitState::inactive);
}

// section 8, row 5, first half.
TEST_F(ApiTest, AnUnknownDesiredStateIsRefused) {
  EXPECT_EQ(put("a.service", body("bogus")), 400);
  EXPECT_EQ(put("a.service", body("inactive")), 201);
  EXPECT_EQ(put("a.service", R"({"desiredState":"Launched"})"), 400);
  EXPECT_EQ(target("a.service").state, UnitState::inactive);
}

// section 8, row 5, second half.
TEST_F(ApiTest, UnreadableUnitsCanBeSeenReplacedAndDestroyed) {
  EXPECT_EQ(put("a.service", body("launched")), 201);
  EXPECT_EQ(put("b.service", body("launched")), 201);
  for (const std::string& key : {keys().unit("a.service"), keys().target("a.service")}) {
    backend_.put(key, "nonsense");
    const ApiResponse alone = get("/units/a.service");
    if (key == keys().target("a.service")) {
      EXPECT_EQ(alone.status, 200);
      EXPECT_EQ(unit_from_json(alone.body)->desired_state, "");
      EXPECT_FALSE(unit_from_json(alone.body)->options.empty());
    } else {  // there is nothing to show
      EXPECT_EQ(alone.status, 500);
      EXPECT_NE(error_from_json(alone.body)->message.find(key), std::string::npos) << alone.body;
    }
    const Result<UnitPage> page = unit_page_from_json(get("/units").body);
    ASSERT_EQ(page->units.size(), 2U);
    EXPECT_EQ(page->units[0].name, "a.service");
    EXPECT_EQ(put("a.service", body("loaded")), 201);
    EXPECT_EQ(get("/units/a.service").status, 200);

    backend_.put(key, "nonsense");
    EXPECT_EQ(remove("a.service"), 204);
    EXPECT_EQ(get("/units/a.service").status, 404);
    EXPECT_EQ(put("a.service", body("launched")), 201);
  }
  backend_.put(keys().unit("a.service"), "nonsense");
  EXPECT_EQ(put("a.service", R"({"desiredState":"loaded"})"), 500);
  backend_.put(keys().target("b.service"), "nonsense");
  EXPECT_EQ(put("b.service", R"({"desiredState":"loaded"})"), 204);
  EXPECT_EQ(target("b.service").state, UnitState::loaded);
}

// section 8, row 6.
TEST_F(ApiTest, OptionsOfAReplacementAreChecked) {
  EXPECT_EQ(put("a.service", body("launched")), 201);
  const UnitEntity bad{
      "a.service", "", "launched", "", {{"X-Fleet", "MachineID", "a"}, {"X-Fleet", "Global", "1"}}};
  EXPECT_EQ(put("a.service", to_json(bad)), 400);
  const UnitEntity broken{"a.service", "", "launched", "", {{"[x]", "a", "b"}}};
  EXPECT_EQ(put("a.service", to_json(broken)), 400);
  EXPECT_EQ(target("a.service").state, UnitState::launched);
  EXPECT_EQ(backend_.commits, 1);
}

// section 8, row 8.
TEST_F(ApiTest, StateOfOneUnit) {
  EXPECT_EQ(get("/state/a.service").status, 404);
  EXPECT_EQ(put("a.service", body("launched")), 201);
  EXPECT_EQ(get("/state/a.service").status, 404);
  add_machine("m1");
  add_machine("m2");
  schedule("m2", "a.service", UnitState::launched);
  report("m1", "a.service", UnitState::loaded);
  report("m2", "a.service", UnitState::launched);
  EXPECT_EQ(unit_state_from_json(get("/state/a.service").body)->machine_id, "m2");
  EXPECT_EQ(put("a.service", R"({"options":[null]})"), 400);
  EXPECT_EQ(ask("DELETE", "/fleet/v1/units/a.service").status, 204);
  EXPECT_EQ(get("/state/a.service").status, 404) << "it is destroyed, wherever it still is";
}

TEST_F(ApiTest, StatesAreFilteredAndOnlyOfMachinesThatAreThere) {
  for (const char* name : {"a.service", "b.service"}) {
    EXPECT_EQ(put(name, body("launched")), 201);
    for (const char* machine : {"m1", "m2", "gone"}) report(machine, name, UnitState::launched);
  }
  add_machine("m2");
  add_machine("m1");
  const auto states = [this](const std::string& query) {
    std::string found;
    for (const UnitStateEntity& s : unit_state_page_from_json(get("/state" + query).body)->states) {
      found += s.name + "@" + s.machine_id + " ";
    }
    return found;
  };
  EXPECT_EQ(states(""), "a.service@m1 a.service@m2 b.service@m1 b.service@m2 ");
  EXPECT_EQ(states("?machineID=m2"), "a.service@m2 b.service@m2 ");
  EXPECT_EQ(states("?unitName=b.service&unitName=a.service"), "b.service@m1 b.service@m2 ");
  EXPECT_EQ(states("?unitName=b.service&machineID=m1"), "b.service@m1 ");
  EXPECT_EQ(states("?unitName=&machineID="), states(""));
  EXPECT_EQ(states("?unitName=b"), "");
  EXPECT_EQ(states("?machineID=gone"), "");
}

// section 8, row 13.
TEST_F(ApiTest, CurrentStateOfGlobalUnits) {
  EXPECT_EQ(put("g.service", body("launched", "/bin/true", "Global=true")), 201);
  add_machine("m1");
  schedule("m1", "g.service", UnitState::launched);
  report("m1", "g.service", UnitState::launched);
  const UnitEntity alone = *unit_from_json(get("/units/g.service").body);
  EXPECT_EQ(alone.current_state, "");
  EXPECT_EQ(alone.machine_id, "");
  const UnitPage page = *unit_page_from_json(get("/units").body);
  EXPECT_EQ(page.units.at(0).current_state, "inactive");
  EXPECT_EQ(page.units.at(0).machine_id, "");
}

TEST_F(ApiTest, DestroyLeavesATombstone) {
  EXPECT_EQ(put("a.service", body("launched")), 201);
  backend_.put(keys().target("a.service"),
               encode(TargetRecord{.state = UnitState::launched, .restarts = 7}));
  EXPECT_EQ(remove("a.service"), 204);
  EXPECT_FALSE(backend_.value(keys().unit("a.service")));
  EXPECT_EQ(target("a.service"), (TargetRecord{UnitState::inactive, true, 7}));
  EXPECT_EQ(get("/units").body, "{}");
  EXPECT_EQ(remove("a.service"), 404);
  EXPECT_EQ(put("a.service", R"({"desiredState":"launched"})"), 409);

  // A new unit takes the tombstone's place and goes on counting.
  EXPECT_EQ(put("a.service", body("loaded")), 201);
  EXPECT_EQ(target("a.service"), (TargetRecord{UnitState::loaded, false, 7}));
  EXPECT_EQ(put("a.service", body("loaded", "/bin/false")), 201);
  EXPECT_EQ(target("a.service").restarts, 7U);
}

// section 8, row 1 and section 8, row 57.
TEST_F(ApiTest, MetadataIsSetAndHidden) {
  add_machine("m1", {{"configured", "yes"}});
  const auto patch = [this](const std::string& text) {
    const ApiResponse answer = ask("PATCH", "/fleet/v1/machines", text);
    EXPECT_EQ(answer.content_type, "application/json");
    return answer.status;
  };
  const auto metadata = [this] {
    return machine_page_from_json(get("/machines").body)->machines.at(0).metadata;
  };
  using Metadata = std::map<std::string, std::string>;
  EXPECT_EQ(patch(R"([{"op":"add","path":"/m1/metadata/a","value":"1"},)"
                  R"({"op":"replace","path":"/m1/metadata/b","value":{"value":"2"}},)"
                  R"({"op":"add","path":"/m1/metadata/a","value":"3"}])"),
            204);
  EXPECT_EQ(metadata(), (Metadata{{"a", "3"}, {"b", "2"}, {"configured", "yes"}}));
  EXPECT_EQ(backend_.commits, 1);
  EXPECT_EQ(patch(R"([{"op":"remove","path":"/m1/metadata/configured"}])"), 204);
  EXPECT_EQ(metadata(), (Metadata{{"a", "3"}, {"b", "2"}})) << "fleet.conf still has it";
  EXPECT_EQ(patch(R"([{"op":"remove","path":"/m1/metadata/a"}])"), 204);
  EXPECT_EQ(metadata(), (Metadata{{"b", "2"}}));
  EXPECT_EQ(backend_.value(keys().metadata("m1", "a")), "");

  // The first fault refuses all.
  EXPECT_EQ(patch(R"([{"op":"remove","path":"/m1/metadata/b"},{"op":"move"}])"), 400);
  EXPECT_EQ(metadata(), (Metadata{{"b", "2"}}));
  EXPECT_EQ(patch("null"), 204);
}

TEST_F(ApiTest, LimitsOfAPatch) {
  const auto patch = [this](const std::vector<MetadataChange>& changes) {
    return ask("PATCH", "/fleet/v1/machines", to_json(changes)).status;
  };
  const std::string key(limits::kMetadataKeyBytes, 'k');
  const std::string machine(limits::kMachineIdBytes, 'm');
  const std::string value(limits::kMetadataValueBytes, 'v');
  EXPECT_EQ(patch({{"add", "/" + machine + "/metadata/" + key, value}}), 204);
  EXPECT_EQ(patch({{"add", "/m" + machine + "/metadata/" + key, value}}), 400);
  EXPECT_EQ(patch({{"add", "/" + machine + "/metadata/k" + key, value}}), 400);
  EXPECT_EQ(patch({{"add", "/" + machine + "/metadata/" + key, "v" + value}}), 400);
  std::vector<MetadataChange> many(limits::kPatchOperations, {"add", "/m/metadata/k", "v"});
  for (std::size_t i = 0; i < many.size(); ++i) many[i].path += std::to_string(i);
  EXPECT_EQ(patch(many), 204);
  many.push_back(many.back());
  EXPECT_EQ(patch(many), 400);
  for (const char* path :
       {"", "/", "/m", "//metadata/k", "/m/metadata", "/m/metadata/", "/m/metadata/k/",
        "/m/metadata/k l", "/m/x/k", "m/metadata/k", "/m/metadata/\xc3\xa9", "/m/n/metadata/k"}) {
    EXPECT_EQ(patch({{"add", path, "v"}}), 400) << path;
  }
  EXPECT_EQ(patch({{"add", "/m/metadata/k", ""}}), 400);
}

TEST_F(ApiTest, AMachineHasOnlySoManyMetadataKeys) {
  for (std::size_t i = 0; i + 1 < limits::kMetadataKeys; ++i) {
    backend_.put(keys().metadata("m1", "k" + std::to_string(i)), "");
  }
  const auto patch = [this](const std::vector<MetadataChange>& changes) {
    return ask("PATCH", "/fleet/v1/machines", to_json(changes)).status;
  };
  const MetadataChange a{"add", "/m1/metadata/a", "v"};
  const MetadataChange b{"add", "/m1/metadata/b", "v"};
  EXPECT_EQ(patch({a, b}), 400);
  EXPECT_EQ(patch({a, a}), 204);
  EXPECT_EQ(patch({b}), 400);
  EXPECT_EQ(patch({{"add", "/m1/metadata/k0", "v"}}), 204) << "it is there already";
  EXPECT_EQ(patch({{"add", "/m2/metadata/b", "v"}}), 204);
}

TEST_F(ApiTest, AnswersAfterItsOwnWrites) {
  backend_.hold_mirror(true);
  EXPECT_EQ(put("a.service", body("inactive")), 201);
  const auto unit = send("GET", "/fleet/v1/units/a.service");
  loop_.run_ready();
  EXPECT_FALSE(*unit);
  backend_.hold_mirror(false);
  loop_.run_ready();
  ASSERT_TRUE(*unit);
  EXPECT_EQ((*unit)->status, 200);
}

// section 8, row 35: "every path" is what 5.1 says.
TEST_F(ApiTest, WithoutTheStoreEverythingIs503) {
  EXPECT_EQ(put("a.service", body("inactive")), 201);
  backend_.lose_store({ErrorCode::unavailable, "no endpoint answers"});
  for (const char* path : {"/fleet/v1/units", "/fleet/v1/units/a.service", "/fleet/v1/state",
                           "/fleet/v1/state/a.service", "/fleet/v1/machines", "/fleet/v1/status",
                           "/fleet/v1/status?after=1", "/fleet/v1/discovery", "/v1-alpha/units",
                           "/metrics", "/", "/nonsense", "/fleet//v1", "/%zz"}) {
    const ApiResponse answer = ask("GET", path);
    EXPECT_EQ(answer.status, 503) << path;
    EXPECT_NE(error_from_json(answer.body)->message.find("no endpoint answers"), std::string::npos);
  }
  EXPECT_EQ(ask("POST", "/fleet/v1/units").status, 503);
  EXPECT_EQ(put("a.service", R"({"desiredState":"loaded"})"), 503);
  EXPECT_EQ(remove("a.service"), 503);
  EXPECT_EQ(ask("PATCH", "/fleet/v1/machines", "[]").status, 503);
  backend_.find_store();
  EXPECT_EQ(get("/units").status, 200);
}

TEST_F(ApiTest, MayEndWhileRequestsAreUnderWay) {
  backend_.hold_mirror(true);
  EXPECT_EQ(put("a.service", body("inactive")), 201);
  const auto read = send("GET", "/fleet/v1/units");
  const auto write = send("DELETE", "/fleet/v1/units/a.service");
  const auto waits = send("GET", "/fleet/v1/status?after=1");
  backend_.serve(nullptr);
  api_.reset();
  backend_.hold_mirror(false);
  loop_.run_until_idle();
}

}  // namespace
}  // namespace fleet
