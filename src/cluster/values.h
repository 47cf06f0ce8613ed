// The values that fleet keeps in its registry: JSON objects with a format version "v", so that an
// operator can read them with etcdctl. An unknown version, a value over limits::kRegistryValueBytes
// or one that does not parse is an error to the reader, never "nothing there".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "store/store.h"
#include "unit/requirements.h"
#include "unit/unit_file.h"

namespace fleet {

// How far a unit is to be taken, or has been taken, on a machine.
enum class UnitState {
  inactive,  // not on any machine
  loaded,    // its file is known to a machine's systemd; not started
  launched,  // and started
};

std::string_view to_string(UnitState state);
Result<UnitState> parse_unit_state(
    std::string_view word);  // fails: invalid, naming the three words

// unit/<name>: the unit as the user gave it.
struct UnitRecord {
  std::string text;           // canonical (serialize())
  std::string hash;           // SHA-1 of `text`
  Requirements requirements;  // derived from text and name; not stored

  bool operator==(const UnitRecord&) const = default;
};

// Makes the record of a unit from its file.
UnitRecord make_unit_record(std::string_view name, const UnitFile& file);

// target/<name>: what the user wants of it. `destroyed` is the tombstone that a destroy leaves
// until every machine has let go of the unit: a missing record would not say that.
struct TargetRecord {
  UnitState state = UnitState::inactive;
  bool destroyed = false;
  std::uint64_t restarts = 0;  // how often a restart was asked for

  bool operator==(const TargetRecord&) const = default;
};

// schedule/<machine>/<name>: one decision of the engine, complete. `inactive` is the order to stop
// and unload the unit; the agent removes the record once that is done.
struct ScheduleRecord {
  UnitState state = UnitState::inactive;
  std::string text;  // empty for inactive
  std::string hash;
  std::uint64_t restarts = 0;
  Revision term = 0;                    // of the leader that decided
  std::string reason;                   // why, for people
  std::vector<std::string> after = {};  // units that must have left the machine before it starts

  bool operator==(const ScheduleRecord&) const = default;
};

// machine/<id>: a machine that is there.
struct MachineRecord {
  std::string id;
  std::string public_ip;
  std::map<std::string, std::string> metadata;  // as configured on the machine
  std::string version;                          // of fleetd
  std::string boot_id;   // kernel's boot id: tells a restarted fleetd from a second machine
  bool leaving = false;  // fleetd is being stopped: takes no units and hands over its own

  bool operator==(const MachineRecord&) const = default;
};

// state/<machine>/<name>: what systemd says of a unit there, on the machine's lease.
struct StateRecord {
  std::string hash;
  std::string load_state;
  std::string active_state;
  std::string sub_state;
  UnitState current = UnitState::inactive;  // how far the agent has taken it
  std::string problem;                      // what keeps the agent from doing more, for people
  std::uint64_t restarts = 0;  // of those in ScheduleRecord, up to which it has carried them out

  bool operator==(const StateRecord&) const = default;
};

std::string encode(const UnitRecord& record);
std::string encode(const TargetRecord& record);
std::string encode(const ScheduleRecord& record);
std::string encode(const MachineRecord& record);
std::string encode(const StateRecord& record);

// Fail: invalid, too_large.
Result<UnitRecord> decode_unit(std::string_view name, std::string_view json);
Result<TargetRecord> decode_target(std::string_view json);
Result<ScheduleRecord> decode_schedule(std::string_view json);
Result<MachineRecord> decode_machine(std::string_view json);
Result<StateRecord> decode_state(std::string_view json);

}  // namespace fleet
