#include "fleetd/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "fleetd/config_values.h"

namespace fleet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

Config load(const std::string& text) {
  auto loaded = load_config("fleet.conf", text, {});
  EXPECT_TRUE(loaded) << loaded.error().message;
  return loaded ? loaded->config : Config{};
}

std::string error_of(const std::string& text, const Environment& environment = {}) {
  const auto loaded = load_config("fleet.conf", text, environment);
  return loaded ? "no error" : loaded.error().message;
}

std::vector<std::string> warnings_of(const std::string& text, const Environment& environment = {}) {
  const auto loaded = load_config("fleet.conf", text, environment);
  return loaded ? loaded->warnings : std::vector<std::string>{loaded.error().message};
}

// Every key of behaviour document 7.
TEST(Config, DefaultsAreThoseOf10) {
  const Config config = load("");
  EXPECT_EQ(config.verbosity, 0);
  // 1.0: an etcd on this machine. Without one named, the registry is embedded.
  EXPECT_THAT(config.etcd_servers, IsEmpty());
  EXPECT_EQ(config.etcd_username, "");
  EXPECT_EQ(config.etcd_password, "");
  EXPECT_EQ(config.etcd_cafile, "");
  EXPECT_EQ(config.etcd_certfile, "");
  EXPECT_EQ(config.etcd_keyfile, "");
  EXPECT_EQ(config.etcd_key_prefix, "/_coreos.com/fleet/");
  EXPECT_EQ(config.etcd_request_timeout, std::chrono::milliseconds(1000));
  EXPECT_EQ(config.public_ip, "");
  EXPECT_THAT(config.metadata, IsEmpty());
  EXPECT_EQ(config.agent_ttl, std::chrono::seconds(30));
  EXPECT_EQ(config.units_directory, "/run/fleet/units/");
  EXPECT_FALSE(config.systemd_user);
  EXPECT_EQ(config.token_limit, 100u);
  EXPECT_FALSE(config.disable_engine);
  EXPECT_EQ(config.engine_mass_loss_percent, 50);
}

TEST(Config, EveryKeyCanBeSet) {
  const Config config = load(
      "verbosity=0x2\netcd_servers=https://a:1\netcd_username=u\netcd_password=p\n"
      "etcd_cafile=/ca\netcd_certfile=/cert\netcd_keyfile=/key\netcd_key_prefix=/other\n"
      "etcd_request_timeout=2.5\npublic_ip=10.0.0.1\nmetadata=a=b\nagent_ttl=1m\n"
      "units_directory=/run/u\nsystemd_user=t\ntoken_limit=010\ndisable_engine=TRUE\n"
      "engine_mass_loss_percent=100\n");
  EXPECT_EQ(config.verbosity, 2);
  EXPECT_THAT(config.etcd_servers, ElementsAre("https://a:1"));
  EXPECT_EQ(config.etcd_username, "u");
  EXPECT_EQ(config.etcd_password, "p");
  EXPECT_EQ(config.etcd_cafile, "/ca");
  EXPECT_EQ(config.etcd_certfile, "/cert");
  EXPECT_EQ(config.etcd_keyfile, "/key");
  EXPECT_EQ(config.etcd_key_prefix, "/other");
  EXPECT_EQ(config.etcd_request_timeout, std::chrono::milliseconds(2500));
  EXPECT_EQ(config.public_ip, "10.0.0.1");
  EXPECT_THAT(config.metadata, ElementsAre(Pair("a", "b")));
  EXPECT_EQ(config.agent_ttl, std::chrono::minutes(1));
  EXPECT_EQ(config.units_directory, "/run/u/");
  EXPECT_TRUE(config.systemd_user);
  EXPECT_EQ(config.token_limit, 8u);
  EXPECT_TRUE(config.disable_engine);
  EXPECT_EQ(config.engine_mass_loss_percent, 100);
}

TEST(Config, ReadsTheValueFormsOf10) {
  EXPECT_EQ(load("public_ip=\"1.2.3.4\"").public_ip, "1.2.3.4");
  EXPECT_EQ(load("public_ip='1.2.3.4'").public_ip, "1.2.3.4");
  EXPECT_EQ(load("  PUBLIC_IP = 1.2.3.4 ; note").public_ip, "1.2.3.4");
  EXPECT_EQ(load("public_ip=1\npublic_ip=2").public_ip, "2");
  EXPECT_EQ(load("public_ip=1.2.\\\n3.4\r\n").public_ip, "1.2.3.4");
  EXPECT_EQ(load("public_ip=1.2.\\ \t\n3.4").public_ip, "1.2.3.4");
  EXPECT_EQ(load("public_ip=1.2.3.4\\").public_ip, "1.2.3.4");
  EXPECT_EQ(load("etcd_password=\"it's #1\"").etcd_password, "it's #1");
  EXPECT_EQ(load("etcd_password=").etcd_password, "");
  EXPECT_EQ(load("# note\n; note\n\n   # note\npublic_ip=1").public_ip, "1");
  // As in 1.0: a comment can be continued, too.
  EXPECT_EQ(load("# note \\\npublic_ip=1").public_ip, "");
}

// section 8, row 56: in 1.0 the quotes became part of the value.
TEST(Config, QuotedValueMayBeFollowedByAComment) {
  EXPECT_EQ(load("public_ip=\"1.2.3.4\" # mine").public_ip, "1.2.3.4");
  EXPECT_EQ(load("metadata=\"a=1;b\" ; x").metadata,
            (std::map<std::string, std::string>{{"a", "1;b"}}));
}

TEST(Config, ReadsListsDurationsAndMetadata) {
  EXPECT_THAT(load("etcd_servers=[\"http://a:1\", \"http://b:2\"]").etcd_servers,
              ElementsAre("http://a:1", "http://b:2"));
  EXPECT_THAT(load("etcd_servers=\"http://a:1\",\"http://[::1]:2\"").etcd_servers,
              ElementsAre("http://a:1", "http://[::1]:2"));
  EXPECT_EQ(load("agent_ttl=1m30s").agent_ttl, std::chrono::seconds(90));
  EXPECT_EQ(load("agent_ttl=2.9s").agent_ttl, std::chrono::seconds(2));
  EXPECT_EQ(load("etcd_request_timeout=0.5").etcd_request_timeout, std::chrono::milliseconds(500));
  EXPECT_EQ(load("etcd_request_timeout=-1").etcd_request_timeout, std::chrono::seconds(60));
  EXPECT_THAT(load("metadata=\"a=1, b = 2,junk,c=x=y,a=3,=\"").metadata,
              ElementsAre(Pair("", ""), Pair("a", "3"), Pair("b", "2"), Pair("c", "x=y")));
}

// Section 8, row 55: 1.0 took malformed values for 0 or false.
TEST(Config, MalformedValuesAreErrorsThatNameFileLineAndKey) {
  EXPECT_EQ(error_of("\nagent_ttl=30"),
            "fleet.conf:2: agent_ttl: \"30\" is not a duration such as 30s, 500ms or 1m30s: "
            "missing unit");
  const std::pair<const char*, const char*> cases[] = {
      {"verbosity=loud", "\"loud\" is not a whole number"},
      {"verbosity=", "\"\" is not a whole number"},
      {"verbosity=2147483648", "2147483648 is not between"},
      {"verbosity=99999999999999999999", "is not between"},
      {"disable_engine=maybe", "neither true nor false"},
      {"systemd_user=", "neither true nor false"},
      {"token_limit=0", "between 1 and 65535"},
      {"token_limit=65536", "between 1 and 65535"},
      {"engine_mass_loss_percent=0", "between 1 and 100"},
      {"agent_ttl=1ms", "between 2s and 1h"},
      {"agent_ttl=61m", "between 2s and 1h"},
      {"etcd_request_timeout=soon", "not a number of seconds"},
      {"etcd_request_timeout=nan", "not a number of seconds"},
      {"engine_reconcile_interval=x", "not a number of seconds"},  // also where it has no effect
      {"disable_watches=", "neither true nor false"},
      {"enable_grpc=x", "neither true nor false"},
      {"units_directory=run", "absolute"},
      {"etcd_servers=,", "no server"},
      {"etcd_servers=http://a:1,ftp://b:1", "ftp://b:1"},
      {"etcd_certfile=/a", "belong together"},
      {"etcd_keyfile=/a", "belong together"},
      {"public_ip=1.2.3.4 5.6.7.8", "not an address"},
      {"metadata=a=\xff", "not text in UTF-8"},
      {"metadata=a=\x01", "not text in UTF-8"}};
  for (const auto& [line, why] : cases) {
    const std::string error = error_of(std::string("# one\n# two\n") + line);
    const std::string key = std::string(line).substr(0, std::string(line).find('='));
    EXPECT_THAT(error, StartsWith("fleet.conf:3: " + key + ": ")) << line;
    EXPECT_THAT(error, HasSubstr(why)) << line;
  }
}

TEST(Config, ALineThatIsNoneOfItsFormsIsAnErrorThatTellsNoSecret) {
  EXPECT_EQ(error_of("\n\njust words"),
            "fleet.conf:3: the line that begins with \"just\" is not of the form key=value");
  EXPECT_THAT(error_of("=x"), HasSubstr("fleet.conf:1"));
  EXPECT_THAT(error_of("etcd_password: hunter2"), Not(HasSubstr("hunter2")));
}

TEST(Config, LongListsAndMetadataAreRefused) {
  std::string servers = "etcd_servers=http://a:1";
  for (std::size_t i = 0; i < limits::kEtcdServers; ++i) servers += ",http://a:1";
  EXPECT_THAT(error_of(servers), HasSubstr("65 servers; 64 are allowed"));
  EXPECT_THAT(error_of("metadata=a=" + std::string(limits::kMetadataValueBytes + 1, 'x')),
              HasSubstr("4096 are allowed"));
  std::string metadata = "metadata=";
  for (int i = 0; i < 20; ++i)
    metadata += "k" + std::to_string(i) + "=" + std::string(4'000, 'x') + ",";
  EXPECT_THAT(error_of(metadata), HasSubstr("65536 are allowed"));
}

TEST(Config, UnknownAndRetiredKeysAreWarnedAboutOnceEach) {
  EXPECT_THAT(
      warnings_of("nonsense=1\nenable_grpc=true\nenable_grpc=false\nnonsense=2\n"
                  "[other]\nmetadata=x=y",
                  {{"FLEET_ENABLE_GRPC", "1"}, {"FLEET_ODD", "1"}}),
      ElementsAre("fleet.conf:1: unknown key \"nonsense\" is ignored",
                  HasSubstr("enable_grpc has no effect"), HasSubstr("fleet.conf:5: this section"),
                  "environment variable FLEET_ODD: unknown key \"odd\" is ignored"));
  EXPECT_THAT(load("[other]\nmetadata=x=y").metadata, IsEmpty());
  EXPECT_THAT(warnings_of("engine_reconcile_interval=2\ndisable_watches=false\nenable_grpc=t\n"
                          "verify_units=false\nauthorized_keys_file=/a"),
              ElementsAre(HasSubstr("engine_reconcile_interval has no effect: the engine acts"),
                          HasSubstr("disable_watches has no effect: fleet works by watching"),
                          HasSubstr("enable_grpc has no effect"),
                          HasSubstr("verify_units has no effect: signed units were retired"),
                          HasSubstr("authorized_keys_file has no effect")));
  EXPECT_THAT(warnings_of("etcd_request_timeout=0\nengine_mass_loss_percent=50"),
              ElementsAre("fleet.conf:1: etcd_request_timeout: 0 is taken for 60 s: it is from "
                          "0.05 to 60"));
  EXPECT_THAT(warnings_of("metadata=a=b,disk"),
              ElementsAre(HasSubstr("fleet.conf:1: metadata: \"disk\" is ignored")));
}

TEST(Config, EnvironmentWinsAndAnEmptyValueCounts) {
  const auto loaded = load_config("f", "public_ip=1.1.1.1\nmetadata=a=b",
                                  {{"FLEET_PUBLIC_IP", "2.2.2.2"},
                                   {"FLEET_METADATA", ""},
                                   {"FLEETCTL_ENDPOINT", "x"},
                                   {"FLEET_public_ip", "3.3.3.3"},
                                   {"HOME", "/"}});
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.public_ip, "2.2.2.2");
  EXPECT_THAT(loaded->config.metadata, IsEmpty());
  EXPECT_THAT(loaded->warnings, IsEmpty());
  EXPECT_THAT(loaded->origins,
              UnorderedElementsAre(Pair("public_ip", "environment variable FLEET_PUBLIC_IP"),
                                   Pair("metadata", "environment variable FLEET_METADATA")));

  EXPECT_THAT(error_of("", {{"FLEET_AGENT_TTL", "x"}}),
              StartsWith("environment variable FLEET_AGENT_TTL: agent_ttl: \"x\" is not"));
  // A wrong value in the file is wrong even where the environment would win.
  EXPECT_THAT(error_of("agent_ttl=x", {{"FLEET_AGENT_TTL", "5s"}}), HasSubstr("fleet.conf:1"));
}

TEST(Config, DurationsAreBounded) {
  EXPECT_FALSE(parse_duration(""));
  EXPECT_FALSE(parse_duration("-1s"));
  EXPECT_FALSE(parse_duration("99999999999h"));
  EXPECT_FALSE(parse_duration("1x"));
  EXPECT_FALSE(parse_duration("infs"));
  EXPECT_EQ(*parse_duration("1.5s"), std::chrono::milliseconds(1500));
}

TEST(Config, ChangesAreToldApartByWhenTheyTakeEffect) {
  const Config running = load("agent_ttl=5s\nmetadata=a=b\nverbosity=1\netcd_password=p");
  const Config wanted = load("agent_ttl=6s\nmetadata=a=c\npublic_ip=1.1.1.1\netcd_password=p");
  EXPECT_THAT(changes_between(running, running).at_once, IsEmpty());
  EXPECT_THAT(changes_between(running, running).at_restart, IsEmpty());
  // An option that was removed from the file is back at its default.
  EXPECT_THAT(changes_between(running, wanted).at_once,
              ElementsAre("metadata", "public_ip", "verbosity"));
  EXPECT_THAT(changes_between(running, wanted).at_restart, ElementsAre("agent_ttl"));

  Config expected = wanted;
  expected.agent_ttl = running.agent_ttl;
  EXPECT_EQ(reconfigured(running, wanted), expected);
  EXPECT_THAT(changes_between(expected, wanted).at_once, IsEmpty());
}

}  // namespace
}  // namespace fleet
