#include "fleetctl/command_line.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "fleetctl/units.h"
#include "fleetctl/version.h"

namespace fleet::ctl {
namespace {

using Args = std::vector<std::string>;

std::map<std::string, std::string> variables;

Result<CommandLine> parse(const Args& args) {
  return parse_command_line(args, [](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

std::string command_of(const Args& args) {
  const auto line = parse(args);
  if (!line) return line.error().message.substr(0, line.error().message.find('\n'));
  return line->command == nullptr ? "none" : std::string(line->command->name);
}

TEST(CommandLine, CommandsAreInOrderAndHaveTexts) {
  EXPECT_TRUE(std::ranges::is_sorted(commands(), {}, &Command::name));
  EXPECT_TRUE(std::ranges::is_sorted(global_flags(), {}, &FlagSpec::name));
  for (const Command& command : commands()) {
    EXPECT_FALSE(command.summary.empty()) << command.name;
    EXPECT_FALSE(command.description.empty()) << command.name;
    for (const FlagSpec& flag : command.flags) EXPECT_FALSE(flag.help.empty()) << flag.name;
  }
}

TEST(CommandLine, CommandsMayBeAbbreviated) {
  EXPECT_EQ(command_of({"list-m"}), "list-machines");
  EXPECT_EQ(command_of({"sub"}), "submit");
  EXPECT_EQ(command_of({"start"}), "start");
  EXPECT_EQ(command_of({}), "none");
  EXPECT_EQ(command_of({"--debug"}), "none");
  EXPECT_EQ(command_of({"list-u"}), "Error: unknown command \"list-u\" for \"fleetctl\"");
  EXPECT_EQ(command_of({"bogus"}), "Error: unknown command \"bogus\" for \"fleetctl\"");
  EXPECT_EQ(command_of({""}), "Error: unknown command \"\" for \"fleetctl\"");
}

TEST(CommandLine, FlagsStandAnywhere) {
  for (const Args& args : {Args{"--endpoint", "e", "--full", "list-units", "--fields", "unit", "x"},
                           Args{"list-units", "x", "--endpoint=e", "--full=true", "--fields=unit"},
                           Args{"list-units", "--fields", "unit", "-l", "--endpoint", "e", "x"},
                           Args{"--fields", "unit", "--l",
                                "list-u"
                                "nits",
                                "x", "--endpoint=e"}}) {
    const auto line = parse(args);
    ASSERT_TRUE(line) << line.error().message;
    EXPECT_EQ(line->command->name, "list-units");
    EXPECT_EQ(line->flags.text("endpoint"), "e");
    EXPECT_EQ(line->flags.text("fields"), "unit");
    EXPECT_TRUE(line->flags.flag("full"));
    EXPECT_FALSE(line->flags.flag("no-legend"));
    EXPECT_EQ(line->args, Args{"x"});
  }
}

TEST(CommandLine, ValuesInAllForms) {
  const auto line = parse({"start", "--block-attempts", "-3", "--no-block=false", "a", "--replace",
                           "b", "--request-timeout=0.5", "--", "--c", "-d", "--"});
  ASSERT_TRUE(line) << line.error().message;
  EXPECT_EQ(line->flags.integer("block-attempts"), -3);
  EXPECT_FALSE(line->flags.flag("no-block"));
  EXPECT_TRUE(line->flags.flag("replace"));
  EXPECT_EQ(line->flags.number("request-timeout"), 0.5);
  EXPECT_EQ(line->args, (Args{"a", "b", "--c", "-d", "--"}));
  // The last one counts.
  EXPECT_EQ(
      parse({"start", "--block-attempts=1", "--block-attempts=2"})->flags.integer("block-attempts"),
      2);
}

TEST(CommandLine, ShortFlagsTakeTheirValuesInAllForms) {
  for (const Args& args : {Args{"list-units", "-o", "json"}, Args{"list-units", "-ojson"},
                           Args{"-o", "json", "list-units"}, Args{"list-units", "--o=json"},
                           Args{"list-units", "-lo", "json"}, Args{"list-units", "--o", "json"}}) {
    const auto line = parse(args);
    ASSERT_TRUE(line) << line.error().message;
    EXPECT_EQ(line->flags.text("output"), "json") << ::testing::PrintToString(args);
    EXPECT_TRUE(line->args.empty());
  }
}

TEST(CommandLine, VersionHasItsShortFormOnlyWithoutACommand) {
  EXPECT_TRUE(parse({"-v"})->flags.flag("version"));
  EXPECT_TRUE(parse({"list-units", "--version"}));
  EXPECT_FALSE(parse({"ssh", "m", "grep", "-v", "x"}));
  EXPECT_EQ(parse({"ssh", "m", "--", "grep", "-v", "x"})->args, (Args{"m", "grep", "-v", "x"}));
}

TEST(CommandLine, DefaultsAndEmptyValues) {
  const auto line = parse({"list-units"});
  EXPECT_EQ(line->flags.text("endpoint"), "unix:///var/run/fleet.sock");
  EXPECT_EQ(line->flags.text("fields"), "unit,machine,active,sub");
  EXPECT_EQ(line->flags.number("request-timeout"), 3);
  EXPECT_FALSE(line->flags.given("fields"));
  const auto empty = parse({"list-units", "--fields=", "x"});
  ASSERT_TRUE(empty) << empty.error().message;
  EXPECT_EQ(empty->flags.text("fields"), "");
  EXPECT_EQ(empty->args, Args{"x"});
}

TEST(CommandLine, BracketsAreWordsLikeOthers) {
  const auto line = parse({"ssh", "m", "[ -d /x ]", "[a,b]"});
  ASSERT_TRUE(line);
  EXPECT_EQ(line->args, (std::vector<std::string>{"m", "[ -d /x ]", "[a,b]"}));
}

TEST(CommandLine, ABooleanTakesNoSeparateValue) {
  // As 1.0: "false" is the command here.
  EXPECT_EQ(command_of({"--debug", "false"}), "Error: unknown command \"false\" for \"fleetctl\"");
}

TEST(CommandLine, BadFlagsAreNamedIn1_0sWords) {
  EXPECT_EQ(parse({"list-units", "--bogus=1"}).error().message,
            "Error: unknown flag: --bogus\n\ncannot execute cmdFleet: unknown flag: --bogus\n");
  EXPECT_EQ(parse({"start", "--noblock", "x"}).error().message,
            "Error: unknown flag: --noblock\n\nDid you mean this?\n\t--no-block\n\n"
            "cannot execute cmdFleet: unknown flag: --noblock\n");
  EXPECT_EQ(command_of({"list-units", "-x"}), "Error: unknown shorthand flag: 'x' in -x");
  EXPECT_EQ(command_of({"cat", "--replace", "x"}), "Error: unknown flag: --replace");
  EXPECT_EQ(command_of({"list-units", "--fields"}), "Error: flag needs an argument: --fields");
}

TEST(CommandLine, TheEnvironmentComesAfterTheCommandLine) {
  variables = {{"FLEETCTL_ENDPOINT", "env"},   {"FLEETCTL_REQUEST_TIMEOUT", "much"},
               {"FLEETCTL_DEBUG", "true"},     {"FLEETCTL_CA_FILE", ""},
               {"FLEETCTL_NO_LEGEND", "true"}, {"FLEETCTL_HELP", "true"}};
  const auto line = parse({"list-units"});
  const auto given = parse({"list-units", "--endpoint", "flag", "--debug=false"});
  variables.clear();
  EXPECT_EQ(line->flags.text("endpoint"), "env");
  EXPECT_EQ(line->flags.number("request-timeout"), 3);  // what makes no sense is ignored
  EXPECT_TRUE(line->flags.flag("debug"));
  EXPECT_EQ(line->flags.text("ca-file"), "");
  EXPECT_FALSE(line->flags.flag("no-legend"));  // only global flags
  EXPECT_FALSE(line->flags.flag("help"));
  EXPECT_EQ(given->flags.text("endpoint"), "flag");
  EXPECT_FALSE(given->flags.flag("debug"));
}

TEST(Version, NewerByNumbers) {
  EXPECT_TRUE(is_newer("2.0.1", "2.0.0"));
  EXPECT_TRUE(is_newer("2.10.0", "2.9.9"));
  EXPECT_TRUE(is_newer("v3.0.0", "2.0.0"));
  EXPECT_TRUE(is_newer("2.0.1-rc1", "2.0.0+git"));
  EXPECT_FALSE(is_newer("2.0.0", "2.0.0"));
  EXPECT_FALSE(is_newer("v1.0.0", "2.0.0"));
  EXPECT_FALSE(is_newer("", "2.0.0"));
  EXPECT_FALSE(is_newer("latest", "2.0.0"));
  EXPECT_FALSE(is_newer("2..1", "2.0.0"));
}

// Section 8, row 20: every type is taken for what it is.
TEST(UnitArgument, NamesAndPaths) {
  EXPECT_EQ(unit_argument("hello"), (UnitArgument{"hello.service", "hello.service"}));
  EXPECT_EQ(unit_argument("dir/x@1"), (UnitArgument{"dir/x@1.service", "x@1.service"}));
  EXPECT_EQ(unit_argument("/a/b.timer"), (UnitArgument{"/a/b.timer", "b.timer"}));
  for (const std::string type : {"target", "slice", "swap", "scope", "busname", "snapshot",
                                 "socket", "path", "device", "mount", "automount"}) {
    EXPECT_EQ(unit_argument("a." + type).name, "a." + type);
  }
  EXPECT_EQ(unit_argument("a.conf").name, "a.conf.service");
  EXPECT_EQ(unit_names({"a", "a.service", "b", "./a"}), (Args{"a.service", "b.service"}));
}

}  // namespace
}  // namespace fleet::ctl
