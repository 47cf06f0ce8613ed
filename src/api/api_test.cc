#include "api/api.h"

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

// Row 9.
TEST_F(ApiTest, Row9DiscoveryIsADocumentAndOtherMethodsAreBadRequests) {
  const ApiResponse document = get("/discovery");
  EXPECT_TRUE(document.body.starts_with("{\n  \"kind\": \"discovery#restDescription\",\n"));
  for (const char* word : {"\"fleet:v1\"", "\"fleet.Unit.Set\"", "\"units/{unitName}\"",
                           "\"fleet.UnitState.List\"", "\"$ENDPOINT/fleet/v1/\""}) {
    EXPECT_NE(document.body.find(word), std::string::npos) << word;
  }
  EXPECT_EQ(ask("PUT", "/fleet/v1/discovery").status, 400);
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

TEST_F(ApiTest, StoresTheUnitAndItsDesiredStateInOneTransaction) {
  EXPECT_EQ(put("a.service", body("launched", "/bin/sleep 1")), 201);
  EXPECT_EQ(backend_.commits, 1);
  const UnitRecord stored = *decode_unit("a.service", *backend_.value(keys().unit("a.service")));
  EXPECT_EQ(stored.text, "[Service]\nExecStart=/bin/sleep 1\n");
  EXPECT_EQ(target("a.service"), (TargetRecord{.state = UnitState::launched}));
  const Unit& unit = *backend_.mirror().unit("a.service");
  EXPECT_EQ(unit.unit.mod_revision, unit.target.mod_revision);
}

TEST_F(ApiTest, AnUpdateThatChangesNothingWritesNothing) {
  EXPECT_EQ(put("a.service", body("launched")), 201);
  EXPECT_EQ(put("a.service", R"({"desiredState":"launched"})"), 204);
  EXPECT_EQ(put("a.service", body("launched")), 204);
  EXPECT_EQ(backend_.commits, 1);
  EXPECT_EQ(put("a.service", R"({"desiredState":"loaded","currentState":"x","machineID":"y"})"),
            204);
  EXPECT_EQ(backend_.commits, 2);
  EXPECT_EQ(target("a.service").state, UnitState::loaded);
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

// Row 4: what `fleetctl start --replace` builds on.
TEST_F(ApiTest, Row4AReplacementWithoutStateIsInactive) {
  EXPECT_EQ(put("a.service", body("launched")), 201);
  EXPECT_EQ(put("a.service", body("", "/bin/false")), 201);
  EXPECT_EQ(target("a.service").state, UnitState::inactive);
}

// Row 5, first half.
TEST_F(ApiTest, Row5AnUnknownDesiredStateIsRefused) {
  EXPECT_EQ(put("a.service", body("bogus")), 400);
  EXPECT_EQ(put("a.service", body("inactive")), 201);
  EXPECT_EQ(put("a.service", R"({"desiredState":"Launched"})"), 400);
  EXPECT_EQ(target("a.service").state, UnitState::inactive);
}

// Row 5, second half.
TEST_F(ApiTest, Row5UnreadableUnitsCanBeSeenReplacedAndDestroyed) {
  EXPECT_EQ(put("a.service", body("launched")), 201);
  EXPECT_EQ(put("b.service", body("launched")), 201);
  for (const std::string& key : {keys().unit("a.service"), keys().target("a.service")}) {
    backend_.put(key, "nonsense");
    const ApiResponse alone = get("/units/a.service");
    EXPECT_EQ(alone.status, 500);
    EXPECT_NE(error_from_json(alone.body)->message.find(key), std::string::npos) << alone.body;
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

// Row 6.
TEST_F(ApiTest, Row6OptionsOfAReplacementAreChecked) {
  EXPECT_EQ(put("a.service", body("launched")), 201);
  const UnitEntity bad{
      "a.service", "", "launched", "", {{"X-Fleet", "MachineID", "a"}, {"X-Fleet", "Global", "1"}}};
  EXPECT_EQ(put("a.service", to_json(bad)), 400);
  const UnitEntity broken{"a.service", "", "launched", "", {{"[x]", "a", "b"}}};
  EXPECT_EQ(put("a.service", to_json(broken)), 400);
  EXPECT_EQ(target("a.service").state, UnitState::launched);
  EXPECT_EQ(backend_.commits, 1);
}

// Row 8.
TEST_F(ApiTest, Row8StateOfOneUnit) {
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

// Row 13.
TEST_F(ApiTest, Row13CurrentStateOfGlobalUnits) {
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

// Row 1 and 57.
TEST_F(ApiTest, Row1And57Metadata) {
  add_machine("m1");
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
  EXPECT_EQ(metadata(), (Metadata{{"a", "3"}, {"b", "2"}}));
  EXPECT_EQ(backend_.commits, 1);
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

TEST_F(ApiTest, WithoutTheStoreEverythingIs503) {
  EXPECT_EQ(put("a.service", body("inactive")), 201);
  backend_.lose_store({ErrorCode::unavailable, "no endpoint answers"});
  for (const char* path : {"/units", "/units/a.service", "/state", "/state/a.service", "/machines",
                           "/status", "/status?after=1"}) {
    const ApiResponse answer = get(path);
    EXPECT_EQ(answer.status, 503) << path;
    EXPECT_NE(error_from_json(answer.body)->message.find("no endpoint answers"), std::string::npos);
  }
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
