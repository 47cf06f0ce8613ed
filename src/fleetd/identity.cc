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

// The interface of the first default route in the main IPv4 table; /proc/net/route(5) has one line
// a route: interface, destination, ..., flags, ..., mask, in hexadecimal.
std::string default_interface() {
  std::ifstream routes("/proc/net/route");
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

bool is_global_unicast(std::uint32_t address) {
  const std::uint32_t first = address >> 24;
  const bool loopback = first == 127;
  const bool link_local = (address >> 16) == 0xa9fe;
  const bool multicast_or_reserved = first >= 224;
  return address != 0 && !loopback && !link_local && !multicast_or_reserved;
}

}  // namespace

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
  const std::string wanted = default_interface();
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
