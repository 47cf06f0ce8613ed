// Reading what systemd's D-Bus properties say of a unit. Private to this folder.
#pragma once

#include <string>

#include "base/error.h"
#include "systemd/unit_manager.h"

struct sd_bus_message;

namespace fleet {

struct UnitProperties {
  UnitStatus status;
  std::string fragment_path;  // the file that it was read from, empty if none
  // Only where all interfaces' properties were asked for:
  std::string result;   // why it failed: exit-code, timeout, signal ...
  int exec_code = 0;    // how the main process ended: CLD_EXITED, CLD_KILLED ... (waitid)
  int exec_status = 0;  // its exit status, or the signal
};

// Reads the reply to Properties.GetAll. Properties that it does not know are skipped.
Result<UnitProperties> read_unit_properties(sd_bus_message* reply);

// The D-Bus object path of a unit, whatever characters its name has.
std::string unit_object_path(const std::string& name);

// "failed (failed), exit-code, status 1", for a person.
std::string describe(const UnitProperties& unit);

}  // namespace fleet
