#include "fleetd/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fleet {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

CommandLine parse(const std::vector<std::string>& arguments) {
  return parse_command_line(arguments, "2.0.0");
}

TEST(FleetdCommandLine, TakesAConfigurationFile) {
  EXPECT_FALSE(parse({}).exit_status);
  EXPECT_FALSE(parse({}).config_file);
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"-config", "/a"},
                                             {"--config", "/a"},
                                             {"-config=/a"},
                                             {"--config=/a"},
                                             {"-config", "/b", "-config", "/a", "--"}}) {
    const CommandLine parsed = parse(arguments);
    EXPECT_FALSE(parsed.exit_status);
    EXPECT_EQ(parsed.config_file, "/a");
  }
}

TEST(FleetdCommandLine, PrintsItsVersionOrItsUsage) {
  for (const char* word : {"-version", "--version", "version"}) {
    EXPECT_EQ(parse({word}).exit_status, 0);
    EXPECT_EQ(parse({word}).out, "fleetd version 2.0.0\n");
    EXPECT_THAT(parse({word}).error, IsEmpty());
  }
  EXPECT_EQ(parse({"-config", "/a", "version"}).out, "fleetd version 2.0.0\n");
  for (const char* word : {"-h", "--h", "-help", "--help"}) {
    EXPECT_EQ(parse({word}).exit_status, 0);
    EXPECT_THAT(parse({word}).out, StartsWith("Usage: fleetd"));
  }
}

TEST(FleetdCommandLine, ReadsTheRegistryCommands) {
  EXPECT_EQ(parse({"registry", "move"}).registry, RegistryArguments{});
  const CommandLine import =
      parse({"-config", "/a", "registry", "import", "-from", "http://a:2379,http://b:2379",
             "--from-prefix=/old", "-skip-unreadable", "-lost", "m1", "-lost=m2"});
  EXPECT_FALSE(import.exit_status) << import.error;
  EXPECT_EQ(import.config_file, "/a");
  EXPECT_EQ(import.registry, (RegistryArguments{.verb = RegistryArguments::Verb::import,
                                                .lost = {"m1", "m2"},
                                                .from = {"http://a:2379", "http://b:2379"},
                                                .from_prefix = "/old",
                                                .skip_unreadable = true}));
  EXPECT_EQ(parse({"registry", "move", "-h"}).exit_status, 0);
  for (const auto& wrong : std::vector<std::vector<std::string>>{{},
                                                                 {"copy"},
                                                                 {"move", "now"},
                                                                 {"move", "-from", "x"},
                                                                 {"move", "-skip-unreadable"},
                                                                 {"import", "-lost"},
                                                                 {"import", "-from="},
                                                                 {"import", "-skip-unreadable=x"},
                                                                 {"import", "-nonsense"}}) {
    std::vector<std::string> arguments{"registry"};
    arguments.insert(arguments.end(), wrong.begin(), wrong.end());
    EXPECT_EQ(parse(arguments).exit_status, 2) << testing::PrintToString(wrong);
    EXPECT_THAT(parse(arguments).error, HasSubstr("\nUsage: fleetd"));
    EXPECT_FALSE(parse(arguments).registry);
  }
}

TEST(FleetdCommandLine, RefusesWhatItDoesNotKnowOnStandardError) {
  EXPECT_EQ(parse({"-nonsense"}).exit_status, 2);
  EXPECT_THAT(parse({"-nonsense"}).error, HasSubstr("unknown flag \"-nonsense\"\nUsage:"));
  EXPECT_EQ(parse({"-version", "-nonsense"}).exit_status, 2);
  EXPECT_EQ(parse({"-config"}).exit_status, 2);
  EXPECT_THAT(parse({"-config"}).error, HasSubstr("a file name must follow"));
  EXPECT_EQ(parse({"start"}).exit_status, 1);
  EXPECT_THAT(parse({"start"}).error, HasSubstr("unexpected argument \"start\"\nUsage:"));
  EXPECT_THAT(parse({"start"}).out, IsEmpty());
  EXPECT_EQ(parse({"version", "twice"}).exit_status, 1);
  EXPECT_EQ(parse({"-"}).exit_status, 1);
  EXPECT_EQ(parse({"--", "-version"}).exit_status, 1);
}

}  // namespace
}  // namespace fleet
