#include "fleetd/fleet1_registry.h"

#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sha1.h"
#include "cluster/values.h"

namespace fleet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr const char* kText = "[Service]\nExecStart=/bin/sleep infinity\n";
constexpr const char* kGlobal = "[Service]\nExecStart=/bin/true\n\n[X-Fleet]\nGlobal=true\n";

std::string object_of(const std::string& name, const std::string& hash) {
  std::string bytes;
  for (std::size_t i = 0; i < hash.size(); i += 2) {
    bytes += fmt::format("{}{}", i == 0 ? "" : ",", std::stoi(hash.substr(i, 2), nullptr, 16));
  }
  return fmt::format(R"({{"Name":"{}","UnitHash":[{}]}})", name, bytes);
}

std::string raw(std::string text) {
  for (std::size_t at = 0; (at = text.find('\\', at)) != std::string::npos; at += 2) {
    text.insert(at, 1, '\\');
  }
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) {
    text.replace(at, 1, "\\n");
  }
  return fmt::format(R"({{"Raw":"{}"}})", text);
}

class Fleet1Test : public testing::Test {
 protected:
  // Writes a unit as 1.0 does.
  void unit(const std::string& name, const std::string& desired, const std::string& machine = {},
            const std::string& text = kText) {
    const std::string hash = sha1_hex(text);
    fleet1_["job/" + name + "/object"] = object_of(name, hash);
    fleet1_["job/" + name + "/target-state"] = desired;
    if (!machine.empty()) fleet1_["job/" + name + "/target"] = machine;
    fleet1_["unit/" + hash] = raw(text);
  }
  Fleet1Import import() { return import_fleet1(fleet1_, keys_); }

  Keys keys_{"/f"};
  Fleet1Keys fleet1_;
};

TEST_F(Fleet1Test, TakesUnitsDesiredStatesAndPlacements) {
  unit("run.service", "launched", "m1");
  unit("load.service", "loaded", "m2");
  unit("wait.service", "launched");
  unit("idle.service", "inactive");
  fleet1_["job/run.service/job-state"] = "m1";
  fleet1_["states/run.service/m1"] = "{}";
  fleet1_["state/run.service"] = "{}";
  fleet1_["engine/version"] = "1";
  fleet1_["lease/engine-leader"] = "m1";
  const Fleet1Import found = import();
  EXPECT_THAT(found.unreadable, IsEmpty());
  EXPECT_THAT(found.machines, IsEmpty());
  EXPECT_EQ(found.units, 4U);
  EXPECT_EQ(found.placed, 2U);
  std::vector<std::string> keys;
  for (const auto& [key, value] : found.contents) keys.push_back(key);
  EXPECT_THAT(
      keys, ElementsAre("/f/schedule/m1/run.service", "/f/schedule/m2/load.service",
                        "/f/target/idle.service", "/f/target/load.service", "/f/target/run.service",
                        "/f/target/wait.service", "/f/unit/idle.service", "/f/unit/load.service",
                        "/f/unit/run.service", "/f/unit/wait.service"));
  const auto run = decode_schedule(found.contents.at("/f/schedule/m1/run.service"));
  ASSERT_TRUE(run);
  EXPECT_EQ(run->state, UnitState::launched);
  EXPECT_EQ(run->text, kText);
  EXPECT_EQ(run->hash, sha1_hex(kText)) << "by which the agent knows the file that 1.0 left";
  EXPECT_EQ(run->restarts, 0U);
  EXPECT_EQ(decode_schedule(found.contents.at("/f/schedule/m2/load.service"))->state,
            UnitState::loaded);
  EXPECT_EQ(decode_unit("run.service", found.contents.at("/f/unit/run.service"))->text, kText);
  EXPECT_EQ(decode_target(found.contents.at("/f/target/idle.service"))->state, UnitState::inactive);
}

// 1.0's engine had not come to it yet; its agent would have unloaded it for the desired state.
TEST_F(Fleet1Test, WhatIsStillPlacedAgainstItsDesiredStateIsOrderedOff) {
  unit("a.service", "inactive", "m1");
  const Fleet1Import found = import();
  EXPECT_EQ(decode_schedule(found.contents.at("/f/schedule/m1/a.service"))->state,
            UnitState::inactive);
  EXPECT_EQ(found.placed, 0U);
}

TEST_F(Fleet1Test, GlobalUnitsAndTemplatesHaveNoPlacement) {
  unit("all.service", "launched", "m1", kGlobal);
  unit("t@.service", "launched", "m1");
  const Fleet1Import found = import();
  EXPECT_EQ(found.units, 2U);
  EXPECT_EQ(found.contents.size(), 4U);
  EXPECT_FALSE(found.contents.contains("/f/schedule/m1/all.service"));
}

// 1.0 hands systemd what it reads back, which is not what it stored for a value that ends in "\".
TEST_F(Fleet1Test, TheHashIsThatOfTheFileWhich10WroteForSystemd) {
  const std::string stored = "[Service]\nExecStart=/bin/a \\\n";
  unit("a.service", "launched", "m1", stored);
  const Fleet1Import found = import();
  ASSERT_THAT(found.unreadable, IsEmpty());
  const auto record = decode_schedule(found.contents.at("/f/schedule/m1/a.service"));
  EXPECT_EQ(record->hash, sha1_hex(record->text));
  EXPECT_EQ(record->text, serialize(*parse_unit_file(stored)));
}

TEST_F(Fleet1Test, TakesMetadataAndTellsOfLivingMachines) {
  fleet1_["machines/m1/object"] = R"({"ID":"m1"})";
  fleet1_["machines/m1/metadata/disk"] = "ssd";
  fleet1_["machines/m2/metadata/region"] = "";  // hides the configured one
  fleet1_["machines/m2/metadata/" + std::string(300, 'k')] = "x";
  fleet1_["machines//metadata/disk"] = "x";
  const Fleet1Import found = import();
  EXPECT_THAT(found.machines, ElementsAre("m1"));
  EXPECT_EQ(found.contents,
            (RegistryContents{{"/f/metadata/m1/disk", "ssd"}, {"/f/metadata/m2/region", ""}}));
  EXPECT_THAT(found.unreadable, UnorderedElementsAre(HasSubstr("machines//metadata/disk: "),
                                                     HasSubstr("machines/m2/metadata/kkk")));
}

TEST_F(Fleet1Test, WhatADestroyLeavesIsNoUnit) {
  fleet1_["job/gone.service/job-state"] = "m1";
  fleet1_["unit/" + sha1_hex(kText)] = raw(kText);
  const Fleet1Import found = import();
  EXPECT_THAT(found.contents, IsEmpty());
  EXPECT_THAT(found.unreadable, IsEmpty());
}

TEST_F(Fleet1Test, NamesWhatCannotBeReadAndTakesTheRest) {
  unit("good.service", "launched", "m1");
  unit("word.service", "running", "m1");
  unit("nameless", "launched");
  unit("stateless.service", "launched", "m1");
  fleet1_.erase("job/stateless.service/target-state");
  unit("odd-target.service", "launched", "m1/x");
  unit("broken.service", "launched");
  fleet1_["job/broken.service/object"] = "{";
  unit("hashless.service", "launched");
  fleet1_["job/hashless.service/object"] = R"({"UnitHash":[1,2,256]})";
  unit("contentless.service", "launched");
  fleet1_["job/contentless.service/object"] =
      object_of("contentless.service", std::string(40, 'a'));
  fleet1_["job/changed.service/object"] = object_of("changed.service", sha1_hex("x"));
  fleet1_["unit/" + sha1_hex("x")] = raw(kText);
  fleet1_["job/unparsable.service/object"] = object_of("unparsable.service", sha1_hex("[Service"));
  fleet1_["unit/" + sha1_hex("[Service")] = raw("[Service");
  const Fleet1Import found = import();
  EXPECT_EQ(found.units, 1U);
  EXPECT_EQ(found.contents.size(), 3U);
  EXPECT_THAT(
      found.unreadable,
      UnorderedElementsAre(
          HasSubstr("job/word.service: its target-state: unit state \"running\" is not one of"),
          HasSubstr("job/nameless: "),
          HasSubstr("job/stateless.service: its target-state is not there"),
          HasSubstr("job/odd-target.service: its target is no machine ID"),
          HasSubstr("job/broken.service: its object: not JSON"),
          HasSubstr("job/hashless.service: its object has no UnitHash of 20 bytes"),
          HasSubstr("job/contentless.service: its content, unit/aaaaaaaaaa"),
          HasSubstr("job/changed.service: unit/11f6ad8ec52a2984abaafd7c3b516503785c2072 holds"),
          HasSubstr("job/unparsable.service: its unit file: ")));
}

TEST(Fleet1AnswerTest, IsFlattened) {
  Fleet1Keys keys;
  ASSERT_TRUE(add_v2_answer(
      R"({"action":"get","node":{"key":"/p/job","dir":true,"nodes":[
          {"key":"/p/job/a.service","dir":true,"nodes":[
            {"key":"/p/job/a.service/target","value":"m1","modifiedIndex":7}]},
          {"key":"/p/job/empty","dir":true},
          {"key":"/other/x","value":"y"}]}})",
      "/p/", keys));
  EXPECT_EQ(keys, (Fleet1Keys{{"job/a.service/target", "m1"}}));
}

TEST(Fleet1AnswerTest, RefusesWhatIsNone) {
  Fleet1Keys keys;
  for (const char* text : {"", "[]", "{}", R"({"node":1})", R"({"node":{"key":"/p","nodes":{}}})",
                           R"({"node":{"nodes":[{"value":"x"}]}})"}) {
    EXPECT_FALSE(add_v2_answer(text, "/p/", keys)) << text;
  }
  EXPECT_FALSE(add_v2_answer(std::string(100'000, '['), "/p/", keys));
  EXPECT_THAT(keys, IsEmpty());
}

}  // namespace
}  // namespace fleet
