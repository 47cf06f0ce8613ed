#include "fleetd/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fleet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

const Environment kEmpty = [](const std::string&) { return std::optional<std::string>(); };

Environment with(std::map<std::string, std::string> variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

Config load(const std::string& text) {
  auto loaded = load_config("fleet.conf", text, kEmpty);
  EXPECT_TRUE(loaded) << loaded.error().message;
  return loaded ? loaded->config : Config{};
}

std::string error_of(const std::string& text) {
  const auto loaded = load_config("fleet.conf", text, kEmpty);
  return loaded ? "no error" : loaded.error().message;
}

TEST(Config, DefaultsAreThoseOf10) {
  const Config config = load("");
  EXPECT_EQ(config.verbosity, 0);
  EXPECT_THAT(config.etcd_servers, ElementsAre("http://127.0.0.1:2379", "http://127.0.0.1:4001"));
  EXPECT_EQ(config.etcd_key_prefix, "/_coreos.com/fleet/");
  EXPECT_EQ(config.etcd_request_timeout, std::chrono::milliseconds(1000));
  EXPECT_EQ(config.agent_ttl, std::chrono::seconds(30));
  EXPECT_EQ(config.units_directory, "/run/fleet/units/");
  EXPECT_EQ(config.token_limit, 100u);
  EXPECT_FALSE(config.disable_engine);
}

TEST(Config, ReadsTheValueFormsOf10) {
  EXPECT_EQ(load("public_ip=\"1.2.3.4\"").public_ip, "1.2.3.4");
  EXPECT_EQ(load("public_ip='1.2.3.4'").public_ip, "1.2.3.4");
  EXPECT_EQ(load("  PUBLIC_IP = 1.2.3.4 ; note").public_ip, "1.2.3.4");
  EXPECT_EQ(load("public_ip=1\npublic_ip=2").public_ip, "2");
  EXPECT_EQ(load("public_ip=1.2.\\\n3.4\r\n").public_ip, "1.2.3.4");
}

// Section 8, row 56: in 1.0 the quotes became part of the value.
TEST(Config, QuotedValueMayBeFollowedByAComment) {
  EXPECT_EQ(load("public_ip=\"1.2.3.4\" # mine").public_ip, "1.2.3.4");
  EXPECT_EQ(load("metadata=\"a=1;b\" ; x").metadata,
            (std::map<std::string, std::string>{{"a", "1;b"}}));
}

TEST(Config, ReadsListsDurationsAndMetadata) {
  EXPECT_THAT(load("etcd_servers=[\"http://a:1\", \"http://b:2\"]").etcd_servers,
              ElementsAre("http://a:1", "http://b:2"));
  EXPECT_EQ(load("agent_ttl=1m30s").agent_ttl, std::chrono::seconds(90));
  EXPECT_EQ(load("etcd_request_timeout=0.5").etcd_request_timeout, std::chrono::milliseconds(500));
  EXPECT_THAT(load("metadata=\"a=1, b = 2,junk,c=x=y,a=3\"").metadata,
              ElementsAre(Pair("a", "3"), Pair("b", "2"), Pair("c", "x=y")));
}

// Section 8, row 55: 1.0 took malformed values for 0 or false.
TEST(Config, MalformedValuesAreErrorsThatNameFileLineAndKey) {
  EXPECT_EQ(error_of("\nagent_ttl=30"),
            "fleet.conf:2: agent_ttl: \"30\" is not a duration such as 30s, 500ms or 1m30s: "
            "missing unit");
  EXPECT_THAT(error_of("verbosity=loud"), HasSubstr("fleet.conf:1: verbosity"));
  EXPECT_THAT(error_of("disable_engine=maybe"), HasSubstr("neither true nor false"));
  EXPECT_THAT(error_of("token_limit=0"), HasSubstr("between 1 and 65535"));
  EXPECT_THAT(error_of("agent_ttl=1ms"), HasSubstr("between 2s and 1h"));
  EXPECT_THAT(error_of("units_directory=run"), HasSubstr("absolute"));
  EXPECT_THAT(error_of("etcd_servers=,"), HasSubstr("no server"));
  EXPECT_THAT(error_of("just words"), HasSubstr("key=value"));
  EXPECT_THAT(error_of("etcd_certfile=/a"), HasSubstr("belong together"));
}

TEST(Config, UnknownAndRetiredKeysAreWarnedAbout) {
  const auto loaded =
      load_config("f", "nonsense=1\nenable_grpc=true\n[other]\nmetadata=x=y", kEmpty);
  ASSERT_TRUE(loaded);
  EXPECT_THAT(loaded->warnings,
              ElementsAre(HasSubstr("unknown key nonsense"), HasSubstr("enable_grpc has no effect"),
                          HasSubstr("f:3: this section")));
  EXPECT_THAT(loaded->config.metadata, IsEmpty());
}

TEST(Config, EnvironmentWinsAndAnEmptyValueCounts) {
  const auto loaded = load_config("f", "public_ip=1.1.1.1\nmetadata=a=b",
                                  with({{"FLEET_PUBLIC_IP", "2.2.2.2"}, {"FLEET_METADATA", ""}}));
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.public_ip, "2.2.2.2");
  EXPECT_THAT(loaded->config.metadata, IsEmpty());

  const auto bad = load_config("", "", with({{"FLEET_AGENT_TTL", "x"}}));
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message, HasSubstr("environment variable FLEET_AGENT_TTL"));
}

TEST(Config, DurationsAreBounded) {
  EXPECT_FALSE(parse_duration(""));
  EXPECT_FALSE(parse_duration("-1s"));
  EXPECT_FALSE(parse_duration("99999999999h"));
  EXPECT_FALSE(parse_duration("1x"));
  EXPECT_EQ(*parse_duration("1.5s"), std::chrono::milliseconds(1500));
}

}  // namespace
}  // namespace fleet
