#include "store/etcd/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fleet {
namespace {

std::string read(const std::string& url, bool tls_by_default = false) {
  const auto address = parse_etcd_address(url, tls_by_default);
  return address ? (address->tls ? "tls " : "") + address->host_and_port : "refused";
}

TEST(EtcdAddress, IsAHostAndAPort) {
  EXPECT_EQ(read("http://127.0.0.1:2379"), "127.0.0.1:2379");
  EXPECT_EQ(read("https://etcd.example:2379/"), "tls etcd.example:2379");
  EXPECT_EQ(read("http://[::1]:2379"), "[::1]:2379");
  EXPECT_EQ(read("etcd:2379"), "etcd:2379");
  EXPECT_EQ(read("etcd:2379", /*tls_by_default=*/true), "tls etcd:2379");
  EXPECT_EQ(read("http://etcd:2379", /*tls_by_default=*/true), "etcd:2379");
}

// As for 1.0, whose users may have an etcd behind a proxy.
TEST(EtcdAddress, AUrlWithoutAPortMeansThatOfItsScheme) {
  EXPECT_EQ(read("http://etcd.example"), "etcd.example:80");
  EXPECT_EQ(read("https://etcd.example/"), "tls etcd.example:443");
  EXPECT_EQ(read("https://[::1]"), "tls [::1]:443");
}

TEST(EtcdAddress, AnythingElseIsRefused) {
  for (const char* url : {"", "http://", "etcd", "http://etcd:", "http://:2379", "http://etcd:0",
                          "http://etcd:65536", "http://etcd:2379/v2", "ftp://etcd:2379",
                          "http://::1:2379", "http://a b:2379", "etcd:23x"}) {
    EXPECT_EQ(read(url), "refused") << url;
  }
  const auto user = parse_etcd_address("http://root:secret@etcd:2379", false);
  ASSERT_FALSE(user);
  EXPECT_THAT(user.error().message, testing::HasSubstr("etcd_username"));
  EXPECT_THAT(user.error().message, testing::Not(testing::HasSubstr("secret")));
}

}  // namespace
}  // namespace fleet
