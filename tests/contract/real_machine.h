// What tests that run on a machine with systemd do to it besides the code under test.
#pragma once

#include <string>
#include <vector>

namespace fleet {

inline constexpr const char* kBase = "/run/fleetct";
inline constexpr const char* kUnits = "/run/fleetct/units/";
inline constexpr const char* kLinks = "/run/systemd/system/";
inline constexpr const char* kBeforeLinks = "/etc/systemd/system/";
inline constexpr const char* kBusSocket = "/run/dbus/system_bus_socket";

// Runs a command and returns what it wrote to its standard output, without the last line ends.
std::string run_command(const std::vector<std::string>& arguments);

// A property of a unit, as `systemctl show` tells it.
std::string property(const std::string& name, const std::string& which);

// Shuts this process's connections to the system bus down under their users. Returns how many.
int cut_bus_connections();

// Takes every unit named *fleetct* and the files of the tests off the machine.
void clean_machine();

}  // namespace fleet
