#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "unit/requirements.h"
#include "unit/unit_file.h"

namespace fleet {
namespace {

using testing::HasSubstr;

using Options = std::vector<UnitOption>;

const UnitOption kExec{"Service", "ExecStart", "/bin/sleep 100000"};

UnitFile with(const Options& fleet_options) {
  UnitFile file{{kExec}};
  file.options.insert(file.options.end(), fleet_options.begin(), fleet_options.end());
  return file;
}

UnitOption fleet_option(const std::string& name, const std::string& value) {
  return {"X-Fleet", name, value};
}

void expect_good(const UnitFile& file) {
  const Status status = check_unit_file(file);
  EXPECT_TRUE(status.has_value()) << serialize(file) << ": " << status.error().message;
}

void expect_bad(const UnitFile& file, const std::string& reason,
                ErrorCode code = ErrorCode::invalid) {
  const Status status = check_unit_file(file);
  ASSERT_FALSE(status.has_value()) << serialize(file);
  EXPECT_EQ(status.error().code, code) << status.error().message;
  EXPECT_THAT(status.error().message, HasSubstr(reason));
}

UnitOption machine_id() {
  return fleet_option("MachineID", "abc");
}
UnitOption machine_of() {
  return fleet_option("MachineOf", "b.service");
}
UnitOption metadata() {
  return fleet_option("MachineMetadata", "disk=ssd");
}
UnitOption conflicts() {
  return fleet_option("Conflicts", "b*");
}
UnitOption replaces() {
  return fleet_option("Replaces", "b.service");
}
UnitOption global() {
  return fleet_option("Global", "true");
}

// The combinations that a running 1.0 was asked about, in that order.
TEST(CheckUnitFile, RefusesTheCombinationsThatFleetRefused) {
  expect_bad(with({machine_id(), machine_of()}), "MachineID cannot be used with MachineOf");
  expect_bad(with({machine_id(), conflicts()}), "MachineID cannot be used with Conflicts");
  expect_bad(with({machine_id(), global()}), "MachineID cannot be used with Global");
  expect_bad(with({machine_id(), replaces()}), "MachineID cannot be used with Replaces");
  expect_bad(with({global(), machine_of()}), "Global cannot be used with MachineOf");
  expect_bad(with({global(), replaces()}), "Global cannot be used with Replaces");
  expect_bad(with({conflicts(), replaces()}), "Conflicts cannot be used with Replaces");
  expect_bad(with({machine_of(), conflicts()}), "MachineOf=\"b.service\" matches Conflicts=\"b*\"");
  expect_bad(with({machine_of(), fleet_option("Replaces", "b*")}),
             "MachineOf=\"b.service\" matches Replaces=\"b*\"");
  expect_bad(with({fleet_option("X-ConditionMachineID", "abc"), fleet_option("X-Conflicts", "b*")}),
             "MachineID cannot be used with Conflicts");
}

// section 8, row 25, for one: Global with Conflicts or MachineMetadata, and nothing else.
TEST(CheckUnitFile, TakesTheCombinationsThatFleetTook) {
  expect_good(with({global(), metadata()}));
  expect_good(with({global(), conflicts()}));
  expect_good(with({fleet_option("MachineMetadata", "nonsense")}));
  expect_good(with({fleet_option("Global", "maybe")}));
  expect_good(with({fleet_option("Nonsense", "1")}));
  expect_good(with({machine_of(), metadata()}));
  expect_good(with({machine_id(), metadata()}));
  expect_good(with({fleet_option("Conflicts", "[bad")}));
  expect_good(with({machine_of(), fleet_option("MachineOf", "c.service")}));
}

// The option values that a running 1.0 was asked about, and what it made of them.
TEST(CheckUnitFile, RefusesTheValuesThatFleetRefused) {
  expect_bad({{{"Service", "ExecStart", "a\nb"}}}, "unexpected newline");
  expect_bad({{{"Service", "ExecStart", std::string(5'000, 'x')}}}, "line too long",
             ErrorCode::too_large);
  expect_bad({{{"[x]", "a", "b"}}}, "garbage after section name");
}

TEST(CheckUnitFile, TakesTheValuesThatFleetTookAndReadsThemBackAlike) {
  const auto expect_read_back = [](const UnitOption& sent, const UnitOption& stored) {
    expect_good({{sent}});
    EXPECT_EQ(parse_unit_file(serialize({{sent}})), UnitFile{{stored}});
  };
  expect_read_back({"", "ExecStart", "x"}, {"", "ExecStart", "x"});
  expect_read_back({"Service", "", "x"}, {"Service", "", "x"});
  expect_read_back({"Service", "ExecStart", ""}, {"Service", "ExecStart", ""});
  expect_read_back({"Unit", "Description", "tail \\"}, {"Unit", "Description", "tail \\\n"});
  expect_read_back({"Service", "a=b", "c"}, {"Service", "a", "b=c"});
}

TEST(CheckUnitFile, EmptyValuesCountButForConflicts) {
  expect_bad(with({fleet_option("MachineID", ""), machine_of()}), "MachineID cannot be used");
  expect_bad(with({fleet_option("MachineOf", ""), machine_id()}), "MachineID cannot be used");
  expect_bad(with({fleet_option("Replaces", ""), conflicts()}), "Conflicts cannot be used");
  expect_good(with({fleet_option("Conflicts", " "), machine_id()}));
}

TEST(CheckUnitFile, OnlyATrueGlobalCounts) {
  expect_good(with({fleet_option("Global", "false"), machine_id()}));
  expect_good(with({global(), fleet_option("Global", "no"), replaces()}));
  expect_bad(with({fleet_option("Global", "no"), global(), replaces()}), "Global cannot be used");
}

TEST(CheckUnitFile, ReportsTheFirstOfSeveralFaults) {
  expect_bad(with({machine_id(), machine_of(), conflicts(), global()}), "unresolvable");
  expect_bad(with({global(), replaces(), machine_id()}), "MachineID cannot be used with Global");
  expect_bad(with({{"Service", "a", "\nb"}, machine_id(), global()}), "unexpected newline");
}

// A template is checked before its instances have names.
TEST(CheckUnitFile, SeesSpecifiersAsTheyAreWritten) {
  expect_good(with(
      {fleet_option("MachineOf", "web@%i.service"), fleet_option("Conflicts", "web@1.service")}));
  expect_bad(with({fleet_option("MachineOf", "web@%i.service"),
                   fleet_option("Conflicts", "web@%i.service")}),
             "unresolvable");
}

TEST(CheckUnitFile, ValuesCannotBringInUncheckedOptions) {
  expect_bad({{{"Unit", "Description", "x\n[X-Fleet]\nMachineID=a\nGlobal=true"}}},
             "MachineID cannot be used with Global");
  expect_bad(with({fleet_option("MachineID=a", "b"), global()}), "MachineID cannot be used");
  // The other way round: swallowed by the value before it, but sent all the same.
  expect_bad(with({fleet_option("MachineID", "a\\"), global()}), "MachineID cannot be used");
}

TEST(CheckUnitFile, KeepsTheLimits) {
  Options options(limits::kUnitFileOptions, kExec);
  expect_good({options});
  options.push_back(kExec);
  expect_bad({options}, "too many options", ErrorCode::too_large);

  const Options long_ones(300, {"Service", "Environment", std::string(2'000, 'x')});
  expect_bad({long_ones}, "unit file too large", ErrorCode::too_large);

  const Options peers(3'000, fleet_option("MachineOf", "b.service"));
  Options both = peers;
  both.insert(both.end(), 3'000, fleet_option("Conflicts", "*c"));
  expect_good({peers});
  expect_bad({both}, "too many or too long values", ErrorCode::too_large);
}

TEST(CheckUnitFile, TakesTheEmptyFile) {
  expect_good({});
}

}  // namespace
}  // namespace fleet
