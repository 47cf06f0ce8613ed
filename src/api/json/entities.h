// What goes over the wire in /fleet/v1, as values: used by the server and by fleetctl. States are
// words here, since a client shows what the server says.
//
// to_json writes compact text with its members in alphabetical order and empty ones left out.
// The readers follow 1.0's rules for requests (see json_reader.h); they fail with `invalid`.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "unit/unit_file.h"

namespace fleet {

struct UnitEntity {
  std::string name;
  std::string current_state;
  std::string desired_state;
  std::string machine_id;  // the target of a unit that is not global
  std::vector<UnitOption> options;

  bool operator==(const UnitEntity&) const = default;
};

struct UnitPage {
  std::vector<UnitEntity> units;
  std::string next_page_token;  // empty: this is the last page
};

struct UnitStateEntity {
  std::string name;
  std::string machine_id;
  std::string hash;
  std::string systemd_load_state;
  std::string systemd_active_state;
  std::string systemd_sub_state;

  bool operator==(const UnitStateEntity&) const = default;
};

struct UnitStatePage {
  std::vector<UnitStateEntity> states;
  std::string next_page_token;
};

struct MachineEntity {
  std::string id;
  std::string primary_ip;
  std::map<std::string, std::string> metadata;

  bool operator==(const MachineEntity&) const = default;
};

struct MachinePage {
  std::vector<MachineEntity> machines;
  std::string next_page_token;
};

// What answers, and where the cluster's registry is.
struct InfoEntity {
  std::string leader_machine_id;    // empty: none leads
  std::string machine_id;           // of the fleetd that answers
  std::string registry;             // "etcd" or "embedded"
  std::string registry_incomplete;  // who is filling it; empty: nobody, it is whole
  std::string registry_location;    // for people
  std::string version;              // of the fleetd that answers

  bool operator==(const InfoEntity&) const = default;
};

// One entry of a PATCH of /machines.
struct MetadataChange {
  std::string op;    // add, replace or remove
  std::string path;  // /<machine ID>/metadata/<key>
  std::string value;

  bool operator==(const MetadataChange&) const = default;
};

struct ErrorEntity {
  int code = 0;
  std::string message;

  bool operator==(const ErrorEntity&) const = default;
};

std::string to_json(const UnitEntity& unit);
std::string to_json(const UnitPage& page);
std::string to_json(const UnitStateEntity& state);
std::string to_json(const UnitStatePage& page);
std::string to_json(const MachineEntity& machine);
std::string to_json(const MachinePage& page);
std::string to_json(const InfoEntity& info);
std::string to_json(const std::vector<MetadataChange>& changes);
std::string to_json(const ErrorEntity& error);

Result<UnitEntity> unit_from_json(std::string_view text);
Result<UnitPage> unit_page_from_json(std::string_view text);
Result<UnitStateEntity> unit_state_from_json(std::string_view text);
Result<UnitStatePage> unit_state_page_from_json(std::string_view text);
Result<MachineEntity> machine_from_json(std::string_view text);
Result<MachinePage> machine_page_from_json(std::string_view text);
Result<InfoEntity> info_from_json(std::string_view text);
// Takes a value as 1.0 does, {"value":"<text>"}, and as it is documented, "<text>".
Result<std::vector<MetadataChange>> metadata_changes_from_json(std::string_view text);
Result<ErrorEntity> error_from_json(std::string_view text);

}  // namespace fleet
