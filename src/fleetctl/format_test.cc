#include "fleetctl/format.h"

#include <fstream>
#include <iterator>
#include <regex>

#include <gtest/gtest.h>

#include "fleetctl/json.h"

namespace fleet::ctl {
namespace {

TEST(Table, PadsWithTabsAs1_0Does) {
  // Recorded from 1.0.
  EXPECT_EQ(table({{"UNIT", "MACHINE", "ACTIVE", "SUB"}}), "UNIT\tMACHINE\tACTIVE\tSUB\n");
  EXPECT_EQ(table({{"UNIT", "HASH", "DSTATE", "STATE", "TARGET"},
                   {"app@.service", "ad33b09", "inactive", "inactive", "-"},
                   {"app@1.service", "ad33b09", "launched", "launched", "0e3a9c30.../172.18.1.1"},
                   {"glob.service", "b0c6c01", "launched", "-", "global"}}),
            "UNIT\t\tHASH\tDSTATE\t\tSTATE\t\tTARGET\n"
            "app@.service\tad33b09\tinactive\tinactive\t-\n"
            "app@1.service\tad33b09\tlaunched\tlaunched\t0e3a9c30.../172.18.1.1\n"
            "glob.service\tb0c6c01\tlaunched\t-\t\tglobal\n");
  EXPECT_EQ(table({{"MACHINE", "IP", "METADATA"},
                   {"0e3a9c30ddfb4eae8bdaf53ec6464b74", "172.18.1.1", "az=z1"}}),
            "MACHINE\t\t\t\t\tIP\t\tMETADATA\n"
            "0e3a9c30ddfb4eae8bdaf53ec6464b74\t172.18.1.1\taz=z1\n");
}

TEST(Table, WidthsAreMultiplesOfEight) {
  // 7 characters fit a tab stop, 8 do not.
  EXPECT_EQ(table({{"1234567", "x"}, {"", "y"}}), "1234567\tx\n\ty\n");
  EXPECT_EQ(table({{"12345678", "x"}, {"", "y"}, {"12345678", "z"}}),
            "12345678\tx\n\t\ty\n12345678\tz\n");
  EXPECT_EQ(table({}), "");
  EXPECT_EQ(table({{"a"}, {"much longer than the first"}}), "a\nmuch longer than the first\n");
}

TEST(Table, CountsCharactersAndKeepsControlsOut) {
  EXPECT_EQ(table({{"\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4", "x"}}),
            "\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\tx\n");
  EXPECT_EQ(table({{"a\tb\nc", "\x1b[31mred"}}), "a b c\t [31mred\n");
}

TEST(Names, AreCutAndJoined) {
  const MachineNames machines({{.id = "148a18ff-6e95", .primary_ip = "10.10.1.1", .metadata = {}},
                               {.id = "491586a6-508f", .primary_ip = "", .metadata = {}}});
  EXPECT_EQ(machines.text("148a18ff-6e95", false), "148a18ff.../10.10.1.1");
  EXPECT_EQ(machines.text("148a18ff-6e95", true), "148a18ff-6e95/10.10.1.1");
  EXPECT_EQ(machines.text("491586a6-508f", false), "491586a6...");
  EXPECT_EQ(machines.text("unknown", false), "unknown...");
  EXPECT_EQ(machines.text("", false), "");
  EXPECT_EQ(metadata_text({{"b", "2"}, {"a", "1"}}), "a=1,b=2");
  EXPECT_EQ(hash_text("9fbc0c702b0f68cf26b0d867042a4bbd36d3bd4b", false), "9fbc0c7");
  EXPECT_EQ(hash_text("", false), "");
}

UnitOnMachineEntity on(const std::string& state, const std::string& current,
                       const std::string& active) {
  UnitOnMachineEntity machine;
  machine.machine_id = "m";
  machine.state = state;
  machine.current_state = current;
  machine.systemd_active_state = active;
  return machine;
}

TEST(GlobalSpread, CountsWhatRunsOfWhatShould) {
  UnitStatusEntity unit;
  EXPECT_EQ(global_spread(unit), "0 of 0");
  unit.machines = {on("launched", "launched", "active"), on("launched", "loaded", "failed"),
                   on("launched", "", ""), on("inactive", "launched", "active"),
                   on("launched", "launched", "active")};
  EXPECT_EQ(global_spread(unit), "2 of 4");
  unit.machines = {on("loaded", "loaded", "inactive")};
  EXPECT_EQ(global_spread(unit), "0 of 1");
}

TEST(Json, EveryMemberIsDocumented) {
  std::ifstream in(FLEET_SOURCE_DIR "/docs/fleetctl-json.md");
  const std::string document(std::istreambuf_iterator<char>(in), {});
  UnitStatusEntity unit;
  unit.machines.emplace_back();
  unit.unplaceable.emplace_back();
  const std::string json = machines_json({{}}) + states_json({{}}, {}) + units_json({unit}, {}, {});
  const std::regex member("\"([A-Za-z]+)\":");
  int members = 0;
  for (std::sregex_iterator it(json.begin(), json.end(), member), end; it != end; ++it) {
    EXPECT_NE(document.find("`" + (*it)[1].str() + "`"), std::string::npos) << (*it)[1];
    ++members;
  }
  EXPECT_EQ(members, 35);
}

}  // namespace
}  // namespace fleet::ctl
