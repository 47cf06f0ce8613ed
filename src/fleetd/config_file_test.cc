#include "fleetd/config_file.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.h"

namespace fleet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class ConfigFileTest : public testing::Test {
 protected:
  ConfigFileTest() {
    std::string pattern = testing::TempDir() + "fleet-config-XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~ConfigFileTest() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& text) {
    std::ofstream(folder_ + "/fleet.conf") << text;
    return folder_ + "/fleet.conf";
  }
  std::string error_of(const ConfigSource& source) {
    const auto loaded = read_config(source);
    return loaded ? "no error" : loaded.error().message;
  }

  std::string folder_;
};

TEST_F(ConfigFileTest, ReadsTheFileAndTheEnvironment) {
  const std::string path = write("metadata=a=b\npublic_ip=1.1.1.1\n");
  const auto loaded = read_config({path, true, {{"FLEET_PUBLIC_IP", "2.2.2.2"}}});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->config.metadata.at("a"), "b");
  EXPECT_EQ(loaded->config.public_ip, "2.2.2.2");
  EXPECT_EQ(loaded->origins.at("metadata"), path + ":1");
}

TEST_F(ConfigFileTest, AFileThatNobodyAskedForMayBeMissing) {
  const auto loaded = read_config({folder_ + "/none", false, {}});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->config, Config{});
  EXPECT_EQ(error_of({folder_ + "/none", true, {}}),
            "cannot read the configuration file " + folder_ + "/none: No such file or directory");
}

TEST_F(ConfigFileTest, WhatIsThereAndCannotBeReadIsAnErrorInAnyCase) {
  EXPECT_THAT(error_of({folder_, false, {}}), HasSubstr("is a directory"));
  EXPECT_THAT(error_of({write("") + "/below", false, {}}), HasSubstr("Not a directory"));
  EXPECT_THAT(error_of({write(std::string(limits::kConfigFileBytes + 1, '#')), true, {}}),
              HasSubstr("is larger than 1048576 bytes"));
}

TEST_F(ConfigFileTest, FilesForTlsMustBeReadable) {
  const std::string path = write("\netcd_cafile=" + folder_ + "/ca.pem\n");
  EXPECT_EQ(error_of({path, true, {}}), path + ":2: etcd_cafile: cannot read " + folder_ +
                                            "/ca.pem: No such file or directory");
  std::ofstream(folder_ + "/ca.pem") << "x";
  EXPECT_EQ(error_of({path, true, {}}), "no error");
  EXPECT_THAT(error_of({path, true, {{"FLEET_ETCD_CAFILE", "/nowhere"}}}),
              StartsWith("environment variable FLEET_ETCD_CAFILE: etcd_cafile: cannot read"));
}

TEST(OwnEnvironment, IsThatOfTheProcess) {
  ASSERT_EQ(setenv("FLEET_CONFIG_FILE_TEST", "a=b", 1), 0);
  EXPECT_EQ(own_environment().at("FLEET_CONFIG_FILE_TEST"), "a=b");
}

}  // namespace
}  // namespace fleet
