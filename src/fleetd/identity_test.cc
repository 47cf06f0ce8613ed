#include "fleetd/identity.h"

#include <sstream>

#include <gtest/gtest.h>

namespace fleet {
namespace {

const std::string kHeading =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
const std::string kLan4 = "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
const std::string kDefault4 = "eth1\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";

std::string route6(const std::string& destination, const std::string& interface) {
  const std::string any(32, '0');
  return destination + " " + any + " 00 " + any + " 00000400 00000001 00000000 00000001     " +
         interface + "\n";
}
const std::string kLan6 = route6("fd000000000000000000000000000000 40", "eth0");
const std::string kNoRoute6 = route6(std::string(32, '0') + " 00", "lo");
const std::string kDefault6 = route6(std::string(32, '0') + " 00", "eth2");

std::string interface_of(const std::string& routes4, const std::string& routes6) {
  std::istringstream four(routes4);
  std::istringstream six(routes6);
  return default_interface(four, six);
}

TEST(DefaultInterface, IsThatOfTheFirstDefaultRoute) {
  EXPECT_EQ(interface_of(kHeading + kLan4 + kDefault4, kDefault6), "eth1");
  EXPECT_EQ(interface_of(kHeading + kLan4, kLan6 + kNoRoute6 + kDefault6), "eth2");
  EXPECT_EQ(interface_of(kHeading + kLan4, kLan6 + kNoRoute6), "");
  EXPECT_EQ(interface_of("", ""), "");
}

}  // namespace
}  // namespace fleet
