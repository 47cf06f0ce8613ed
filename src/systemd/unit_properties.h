// Reading what systemd's D-Bus properties say of a unit. Private to this folder.
#pragma once

#include <string>

#include "systemd/unit_manager.h"

struct sd_bus_message;

namespace fleet {

// The D-Bus object path of a unit, whatever characters its name has.
std::string unit_object_path(const std::string& name);

// Reads the changed properties from a signal PropertiesChanged into `status`. False when the signal
// is about another interface than Unit, or cannot be read.
bool apply_unit_changes(sd_bus_message* signal, UnitStatus& status);

// How a unit ended, as far as units of its type say so.
struct UnitEnd {
  std::string result;   // why it failed: exit-code, timeout, signal ...
  int exec_code = 0;    // how the main process ended: CLD_EXITED, CLD_KILLED ... (waitid)
  int exec_status = 0;  // its exit status, or the signal
};

// Reads the reply to Properties.GetAll of the interface of the unit's type.
UnitEnd read_unit_end(sd_bus_message* reply);

// "failed (failed), exit-code, exit status 1", for a person.
std::string describe(const UnitStatus& status, const UnitEnd& end);

}  // namespace fleet
