#include "fleetd/identity.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include "base/limits.h"

namespace fleet {

namespace {

std::string read_word(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

bool is_global_unicast(std::uint32_t address) {
  const std::uint32_t first = address >> 24;
  const bool loopback = first == 127;
  const bool link_local = (address >> 16) == 0xa9fe;
  const bool multicast_or_reserved = first >= 224;
  return address != 0 && !loopback && !link_local && !multicast_or_reserved;
}

// The interface of the first default route in /proc/net/route: one line a route, of interface,
// destination, gateway, flags, references, use, metric and mask, in hexadecimal.
std::string default_interface4(std::istream& routes) {
  std::string line;
  std::getline(routes, line);  // the heading
  while (std::getline(routes, line)) {
    std::istringstream fields(line);
    std::string interface, destination, gateway, flags, references, use, metric, mask;
    fields >> interface >> destination >> gateway >> flags >> references >> use >> metric >> mask;
    if (destination == "00000000" && mask == "00000000") return interface;
  }
  return {};
}

// The same of /proc/net/ipv6_route: destination, its bits, source, its bits, gateway, metric,
// references, use, flags and interface. Where there is no route the kernel shows one by lo.
std::string default_interface6(std::istream& routes) {
  std::string line;
  while (std::getline(routes, line)) {
    std::istringstream fields(line);
    std::string destination, bits, source, source_bits, gateway, metric, references, use, flags;
    std::string interface;
    fields >> destination >> bits >> source >> source_bits >> gateway >> metric >> references >>
        use >> flags >> interface;
    if (destination == std::string(32, '0') && bits == "00" && interface != "lo") return interface;
  }
  return {};
}

}  // namespace

std::string default_interface(std::istream& routes4, std::istream& routes6) {
  const std::string interface = default_interface4(routes4);
  return interface.empty() ? default_interface6(routes6) : interface;
}

Result<std::string> read_machine_id(const std::string& path) {
  std::string id = read_word(path);
  if (id.empty()) {
    return fail(ErrorCode::not_found,
                path +
                    " is missing or empty: fleet names the machine by it; make one with "
                    "systemd-machine-id-setup");
  }
  if (id.size() > limits::kMachineIdBytes || id.find('/') != std::string::npos) {
    return fail(ErrorCode::invalid, path + " does not hold a machine ID (machine-id(5))");
  }
  return id;
}

Result<std::string> read_boot_id() {
  std::string id = read_word("/proc/sys/kernel/random/boot_id");
  if (id.empty()) {
    return fail(ErrorCode::not_found, "/proc/sys/kernel/random/boot_id cannot be read");
  }
  return id;
}

std::string detect_public_ip() {
  std::ifstream routes4("/proc/net/route");
  std::ifstream routes6("/proc/net/ipv6_route");
  const std::string wanted = default_interface(routes4, routes6);
  if (wanted.empty()) return {};
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, &freeifaddrs);
  for (const ifaddrs* it = list; it != nullptr; it = it->ifa_next) {
    if (it->ifa_addr == nullptr || it->ifa_addr->sa_family != AF_INET) continue;
    if (wanted != it->ifa_name) continue;
    const auto* address = reinterpret_cast<const sockaddr_in*>(it->ifa_addr);
    if (!is_global_unicast(ntohl(address->sin_addr.s_addr))) continue;
    char text[INET_ADDRSTRLEN] = {};
    inet_ntop(AF_INET, &address->sin_addr, text, sizeof text);
    return text;
  }
  return {};
}

}  // namespace fleet
