#include "cluster/values.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "base/sha1.h"

namespace fleet {
namespace {

UnitFile sleeper() {
  return {{{"Service", "ExecStart", "/bin/sleep 100000"}, {"X-Fleet", "Global", "true"}}};
}

MachineRecord machine() {
  return {.id = "m1",
          .public_ip = "172.18.1.1",
          .metadata = {{"disk", "ssd"}, {"az", "z1"}},
          .version = "2.0.0",
          .boot_id = "b",
          .leaving = true};
}

TEST(ValuesTest, UnitStateWords) {
  for (UnitState state : {UnitState::inactive, UnitState::loaded, UnitState::launched}) {
    EXPECT_EQ(parse_unit_state(to_string(state)), state);
  }
  for (const char* word : {"", "Launched", "launched ", "bogus"}) {
    const Result<UnitState> parsed = parse_unit_state(word);
    ASSERT_FALSE(parsed) << word;
    EXPECT_EQ(parsed.error().code, ErrorCode::invalid);
    EXPECT_NE(parsed.error().message.find("inactive, loaded, launched"), std::string::npos);
  }
  EXPECT_LT(parse_unit_state(std::string(1'000'000, 'x')).error().message.size(), 200U);
}

TEST(ValuesTest, UnitRecordIsTheTextItsHashAndWhatFollowsFromThem) {
  const UnitRecord record = make_unit_record("a.service", sleeper());
  EXPECT_EQ(record.text, "[Service]\nExecStart=/bin/sleep 100000\n\n[X-Fleet]\nGlobal=true\n");
  EXPECT_EQ(record.hash, sha1_hex(record.text));
  EXPECT_TRUE(record.requirements.global);
  EXPECT_EQ(decode_unit("a.service", encode(record)), record);
}

TEST(ValuesTest, RequirementsAreThoseOfTheTextAsItReadsBack) {
  const UnitFile odd{{{"X-Fleet", "MachineOf=a", "b.service"}}};
  const UnitRecord record = make_unit_record("a.service", odd);
  EXPECT_EQ(record.requirements.machine_of, std::vector<std::string>{"a=b.service"});
  EXPECT_EQ(decode_unit("a.service", encode(record)), record);
}

TEST(ValuesTest, AnyBytesSurvive) {
  const UnitFile latin1{{{"Unit", "Description", "caf\xe9 \"\\\t</script>"}}};
  const UnitRecord record = make_unit_record("a.service", latin1);
  EXPECT_EQ(decode_unit("a.service", encode(record)), record);
}

TEST(ValuesTest, EncodingIsStable) {
  EXPECT_EQ(encode(TargetRecord{}), R"({"v":1,"state":"inactive"})");
  EXPECT_EQ(encode(TargetRecord{UnitState::launched, true, 3}),
            R"({"v":1,"state":"launched","destroyed":true,"restarts":3})");
  EXPECT_EQ(encode(ScheduleRecord{UnitState::loaded, "[A]\nb=c\n", "abc", 2, 7, "because"}),
            R"({"v":1,"state":"loaded","hash":"abc","restarts":2,"term":7,"reason":"because",)"
            R"("text":"[A]\nb=c\n"})");
  EXPECT_EQ(encode(machine()),
            R"({"v":1,"id":"m1","public_ip":"172.18.1.1","metadata":{"az":"z1","disk":"ssd"},)"
            R"("version":"2.0.0","boot_id":"b","leaving":true})");
  EXPECT_EQ(encode(StateRecord{"abc", "loaded", "active", "running", UnitState::launched, "none"}),
            R"({"v":1,"current":"launched","hash":"abc","load_state":"loaded",)"
            R"("active_state":"active","sub_state":"running","problem":"none"})");
}

TEST(ValuesTest, EveryRecordReadsBack) {
  const TargetRecord target{UnitState::loaded, true, UINT64_MAX};
  EXPECT_EQ(decode_target(encode(target)), target);
  const ScheduleRecord schedule{UnitState::launched, "t", sha1_hex("t"), 1, INT64_MAX, "r"};
  EXPECT_EQ(decode_schedule(encode(schedule)), schedule);
  EXPECT_EQ(decode_schedule(encode(ScheduleRecord{})), ScheduleRecord{});
  ScheduleRecord successor = schedule;
  successor.after = {"a.service", "b.service"};
  EXPECT_EQ(decode_schedule(encode(successor)), successor);
  EXPECT_EQ(decode_machine(encode(machine())), machine());
  const StateRecord state{"h", "l", "a", "s", UnitState::loaded, "p", 3};
  EXPECT_EQ(decode_state(encode(state)), state);
  EXPECT_EQ(decode_state(encode(StateRecord{})), StateRecord{});
}

TEST(ValuesTest, ADecisionWhoseFileIsNotTheOneOfItsHashIsAnError) {
  const ScheduleRecord whole{UnitState::launched, "[A]\nb=c\n", sha1_hex("[A]\nb=c\n"), 0, 7, "r"};
  ScheduleRecord torn = whole;
  torn.text = "[A]\n";
  ScheduleRecord empty = whole;
  empty.text.clear();
  ScheduleRecord bare = empty;
  bare.hash.clear();
  for (const ScheduleRecord& record : {torn, empty, bare}) {
    const Result<ScheduleRecord> read = decode_schedule(encode(record));
    ASSERT_FALSE(read);
    EXPECT_NE(read.error().message.find("the hash of the text is"), std::string::npos);
  }
}

TEST(ValuesTest, EveryByteReadsBack) {
  ScheduleRecord schedule;
  for (int byte = 0; byte < 256; ++byte) schedule.reason += static_cast<char>(byte);
  schedule.after = {schedule.reason + "1", "", "\\\""};
  EXPECT_EQ(decode_schedule(encode(schedule)), schedule);
  MachineRecord known = machine();
  known.metadata = {{"a\"b", "\n"}, {schedule.reason, ""}};
  EXPECT_EQ(decode_machine(encode(known)), known);
}

TEST(ValuesTest, UnknownMembersAreIgnored) {
  EXPECT_EQ(decode_target(R"({"v":1,"later":[{}],"state":"loaded"})")->state, UnitState::loaded);
}

TEST(ValuesTest, WhatCannotBeUnderstoodIsAnError) {
  for (const char* text : {
           "",
           "x",
           "null",
           "[]",
           "1",
           "\"loaded\"",
           "{}",
           R"({"state":"loaded"})",
           R"({"v":2,"state":"loaded"})",
           R"({"v":"1","state":"loaded"})",
           R"({"v":1})",
           R"({"v":1,"state":1})",
           R"({"v":1,"state":null})",
           R"({"v":1,"state":"bogus"})",
           R"({"v":1,"state":"loaded","destroyed":1})",
           R"({"v":1,"state":"loaded","restarts":-1})",
           R"({"v":1,"state":"loaded","restarts":1.5})",
           R"({"v":1,"state":"loaded","restarts":"1"})",
           R"({"v":1,"state":"loaded","restarts":18446744073709551616})",
           R"({"v":1,"state":"loaded"} x)",
           R"({"v":1,"state":"loaded")",
       }) {
    const Result<TargetRecord> decoded = decode_target(text);
    ASSERT_FALSE(decoded) << text;
    EXPECT_EQ(decoded.error().code, ErrorCode::invalid) << text;
    EXPECT_FALSE(decoded.error().message.empty());
  }
  EXPECT_FALSE(decode_machine(R"({"v":1})"));
  EXPECT_FALSE(decode_machine(R"({"v":1,"id":"m","metadata":[]})"));
  EXPECT_FALSE(decode_machine(R"({"v":1,"id":"m","metadata":{"a":1}})"));
  EXPECT_FALSE(decode_schedule(R"({"v":1,"state":"loaded","term":-1})"));
  EXPECT_FALSE(decode_state(R"({"v":1})"));
}

TEST(ValuesTest, AUnitMustMatchItsHashAndParse) {
  EXPECT_FALSE(decode_unit("a.service", R"({"v":1,"text":""})"));
  EXPECT_FALSE(decode_unit("a.service", R"({"v":1,"hash":"x","text":"[Service]\nA=b\n"})"));
  const std::string broken = "[Service\n";
  const Result<UnitRecord> decoded =
      decode_unit("a.service", encode(UnitRecord{broken, sha1_hex(broken), {}}));
  ASSERT_FALSE(decoded);
  EXPECT_NE(decoded.error().message.find("unit file"), std::string::npos);
}

TEST(ValuesTest, LimitsHold) {
  const std::string big(limits::kRegistryValueBytes + 1, ' ');
  EXPECT_EQ(decode_target(big).error().code, ErrorCode::too_large);
  EXPECT_EQ(decode_unit("a.service", big).error().code, ErrorCode::too_large);

  const std::string deep = R"({"v":1,"state":"loaded","x":)" + std::string(100'000, '[') +
                           std::string(100'000, ']') + "}";
  EXPECT_EQ(decode_target(deep).error().code, ErrorCode::invalid);
}

}  // namespace
}  // namespace fleet
