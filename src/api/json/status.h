// The answer of GET /fleet/v1/status: everything the cluster knows of some units, at one revision.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace fleet {

// A unit on one machine: what is decided for it there, and what systemd says.
struct UnitOnMachineEntity {
  std::string machine_id;
  std::string state;          // decided: launched, loaded or inactive (to be let go of)
  std::string current_state;  // how far the machine has taken it; empty: it has said nothing
  std::string hash;           // of the content that the machine has
  std::string systemd_load_state;
  std::string systemd_active_state;
  std::string systemd_sub_state;
  std::string problem;        // what keeps the machine from doing more
  std::int64_t restarts = 0;  // of those asked for, up to which it has carried them out
  bool absent = false;        // the machine is not there: nobody can say what it does

  bool operator==(const UnitOnMachineEntity&) const = default;
};

struct RefusalEntity {
  std::string machine_id;
  std::string reason;

  bool operator==(const RefusalEntity&) const = default;
};

struct UnitStatusEntity {
  std::string name;
  std::string desired_state;
  std::string current_state;
  std::string machine_id;  // the target of a unit that is not global
  std::string hash;
  std::string reason;  // why it is not where it should be; empty: all is well
  bool global = false;
  bool destroyed = false;     // it is gone, but something is left of it
  std::int64_t restarts = 0;  // how often a restart has been asked for
  std::vector<UnitOnMachineEntity> machines;
  std::vector<RefusalEntity> unplaceable;

  bool operator==(const UnitStatusEntity&) const = default;
};

struct StatusEntity {
  std::int64_t revision = 0;  // to be given as `after` to wait for the next change
  std::vector<UnitStatusEntity> units;
  std::vector<std::string> missing;  // asked for, but no such unit

  bool operator==(const StatusEntity&) const = default;
};

std::string to_json(const StatusEntity& status);
Result<StatusEntity> status_from_json(std::string_view text);

// One entry of the answer of PUT /fleet/v1/units: what the PUT of that unit alone would answer.
struct UnitResultEntity {
  std::string name;
  int code = 0;

  bool operator==(const UnitResultEntity&) const = default;
};
std::string to_json(const std::vector<UnitResultEntity>& results);

// The answer of POST /fleet/v1/units/<name>/restart: how often a restart has been asked for.
std::string restarts_to_json(std::int64_t restarts);
Result<std::int64_t> restarts_from_json(std::string_view text);

}  // namespace fleet
