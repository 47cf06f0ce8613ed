#include "api/json/entities.h"

#include <fstream>
#include <iterator>
#include <regex>

#include <gtest/gtest.h>

#include "api/json/status.h"

namespace fleet {
namespace {

UnitEntity unit() {
  return {.name = "a.service",
          .current_state = "loaded",
          .desired_state = "launched",
          .machine_id = "m1",
          .options = {{"Service", "ExecStart", "/bin/sh -c \"a<b && c>d\""}, {"", "x", ""}}};
}

UnitEntity unit_called(std::string name, std::string desired_state = {}) {
  UnitEntity unit;
  unit.name = std::move(name);
  unit.desired_state = std::move(desired_state);
  return unit;
}

TEST(EntitiesTest, UnitIsCompactAlphabeticalAndSparse) {
  const std::string text =
      R"({"currentState":"loaded","desiredState":"launched","machineID":"m1","name":"a.service",)"
      R"("options":[{"name":"ExecStart","section":"Service",)"
      R"("value":"/bin/sh -c \"a\u003cb \u0026\u0026 c\u003ed\""},{"name":"x"}]})";
  EXPECT_EQ(to_json(unit()), text);
  EXPECT_EQ(unit_from_json(text), unit());
  EXPECT_EQ(to_json(UnitEntity{}), "{}");
}

TEST(EntitiesTest, PagesKeepTheAlphabetWhereverTheTokenFalls) {
  EXPECT_EQ(to_json(UnitPage{}), "{}");
  EXPECT_EQ(to_json(UnitPage{{unit_called("a")}, "T=="}),
            R"({"nextPageToken":"T==","units":[{"name":"a"}]})");
  EXPECT_EQ(to_json(UnitStatePage{{{"a", "", "", "", "", ""}}, "T=="}),
            R"({"nextPageToken":"T==","states":[{"name":"a"}]})");
  EXPECT_EQ(to_json(MachinePage{{{"m", "", {}}}, "T=="}),
            R"({"machines":[{"id":"m"}],"nextPageToken":"T=="})");
}

TEST(EntitiesTest, PagesReadBack) {
  const UnitPage units{{unit(), unit_called("b")}, "T"};
  EXPECT_EQ(unit_page_from_json(to_json(units))->units, units.units);
  EXPECT_EQ(unit_page_from_json(to_json(units))->next_page_token, "T");
  const UnitStatePage states{{{"a", "m", "h", "loaded", "active", "running"}}, ""};
  EXPECT_EQ(unit_state_page_from_json(to_json(states))->states, states.states);
  EXPECT_EQ(unit_state_from_json(to_json(states.states[0])), states.states[0]);
  const MachinePage machines{{{"m", "10.0.0.1", {{"a", "b"}}}}, ""};
  EXPECT_EQ(machine_page_from_json(to_json(machines))->machines, machines.machines);
  EXPECT_EQ(machine_from_json(to_json(machines.machines[0])), machines.machines[0]);
}

TEST(EntitiesTest, ErrorReadsBackAndAlwaysHasItsMessage) {
  EXPECT_EQ(to_json(ErrorEntity{404, ""}), R"({"error":{"code":404,"message":""}})");
  const ErrorEntity error{409, "why"};
  EXPECT_EQ(error_from_json(to_json(error)), error);
  EXPECT_FALSE(error_from_json(R"({"error":{"code":123456789012}})"));
}

TEST(EntitiesTest, RequestsAreReadAsLenientlyAs1_0Does) {
  EXPECT_EQ(unit_from_json(R"({"NAME":"a","DesiredSTATE":"b","unknown":[{}]} and more)"),
            unit_called("a", "b"));
  EXPECT_EQ(unit_from_json("null"), UnitEntity{});
  EXPECT_EQ(unit_from_json(R"(  {"name":null,"options":null})"), UnitEntity{});
  EXPECT_EQ(unit_from_json(R"({"name":"a","Name":"b"})")->name, "b");
  EXPECT_EQ(unit_from_json(R"({"options":[{"section":null,"name":"n"}]})")->options,
            (std::vector<UnitOption>{{"", "n", ""}}));
}

TEST(EntitiesTest, WhatIsWrongIsRefused) {
  for (const char* text :
       {"", " ", "{", "{not json", "[]", "1", "\"a\"", "true", R"({"name":1})",
        R"({"desiredState":[]})", R"({"currentState":{}})", R"({"machineID":false})",
        R"({"options":{}})", R"({"options":[null]})", R"({"options":["a"]})",
        R"({"options":[{"value":1}]})", R"({"name":"\ud800"})"}) {
    const Result<UnitEntity> unit = unit_from_json(text);
    ASSERT_FALSE(unit) << text;
    EXPECT_EQ(unit.error().code, ErrorCode::invalid);
    EXPECT_FALSE(unit.error().message.empty());
  }
}

TEST(EntitiesTest, DeepNestingIsRefusedQuickly) {
  EXPECT_FALSE(unit_from_json(std::string(100'000, '[')));
  EXPECT_FALSE(unit_from_json(R"({"x":)" + std::string(100'000, '[')));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += R"({"a":)";
  EXPECT_FALSE(unit_from_json(objects));
}

TEST(EntitiesTest, TextThatIsNotUtf8IsMended) {
  EXPECT_EQ(unit_from_json("{\"name\":\"caf\xe9!\"}")->name, "caf\xef\xbf\xbd!");
}

TEST(EntitiesTest, MetadataChangesTakeBothFormsOfAValue) {
  const std::vector<MetadataChange> changes = {{"add", "/m/metadata/a", "b"},
                                               {"remove", "/m/metadata/c", ""}};
  EXPECT_EQ(
      metadata_changes_from_json(R"([{"op":"add","path":"/m/metadata/a","value":{"value":"b"}},)"
                                 R"({"op":"remove","path":"/m/metadata/c"}])"),
      changes);
  EXPECT_EQ(metadata_changes_from_json(R"([{"op":"add","path":"/m/metadata/a","value":"b"},)"
                                       R"({"op":"remove","path":"/m/metadata/c","value":null}])"),
            changes);
  EXPECT_EQ(metadata_changes_from_json(to_json(changes)), changes);
  EXPECT_EQ(metadata_changes_from_json("null"), std::vector<MetadataChange>{});
  EXPECT_EQ(metadata_changes_from_json("[]"), std::vector<MetadataChange>{});
  for (const char* text : {"{}", "[null]", "[1]", R"([{"op":1}])", R"([{"value":1}])",
                           R"([{"value":{"value":1}}])", R"([{"value":["a"]}])"}) {
    EXPECT_FALSE(metadata_changes_from_json(text)) << text;
  }
}

// With all its members.
StatusEntity full_status() {
  StatusEntity status;
  status.revision = 7;
  status.missing = {"gone.service"};
  UnitStatusEntity& unit = status.units.emplace_back();
  unit.name = "a.service";
  unit.desired_state = "launched";
  unit.current_state = "inactive";
  unit.hash = "h";
  unit.reason = "no machine";
  unit.restarts = 3;
  unit.unplaceable = {{"m1", "disk is not ssd"}};
  UnitStatusEntity& global = status.units.emplace_back();
  global.name = "g.service";
  global.global = true;
  global.destroyed = true;
  global.machines = {
      {"m1", "launched", "loaded", "h2", "loaded", "inactive", "dead", "start failed", 2, true}};
  return status;
}

TEST(StatusTest, WritesAndReadsBack) {
  const StatusEntity status = full_status();
  EXPECT_EQ(
      to_json(status),
      R"({"missing":["gone.service"],"revision":7,"units":[)"
      R"({"currentState":"inactive","desiredState":"launched","hash":"h","name":"a.service",)"
      R"("reason":"no machine","restarts":3,"unplaceable":[{"machineID":"m1","reason":"disk is not ssd"}]},)"
      R"({"destroyed":true,"global":true,"machines":[{"absent":true,"currentState":"loaded","hash":"h2",)"
      R"("machineID":"m1","problem":"start failed","restarts":2,"state":"launched",)"
      R"("systemdActiveState":"inactive","systemdLoadState":"loaded","systemdSubState":"dead"}],)"
      R"("name":"g.service"}]})");
  EXPECT_EQ(status_from_json(to_json(status)), status);
  EXPECT_EQ(to_json(StatusEntity{}), R"({"revision":0})");
  EXPECT_FALSE(status_from_json(R"({"revision":"7"})"));
}

TEST(StatusTest, EveryMemberIsDocumented) {
  std::ifstream in(FLEET_SOURCE_DIR "/docs/api.md");
  const std::string document(std::istreambuf_iterator<char>(in), {});
  const std::string json = to_json(full_status());
  const std::regex member("\"([A-Za-z]+)\":");
  int members = 0;
  for (std::sregex_iterator it(json.begin(), json.end(), member), end; it != end; ++it, ++members) {
    EXPECT_NE(document.find("`" + (*it)[1].str() + "`"), std::string::npos) << (*it)[1];
  }
  EXPECT_EQ(members, 26);
}

}  // namespace
}  // namespace fleet
