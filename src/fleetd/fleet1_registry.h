// What fleet 1.0 keeps in etcd's version 2 (behaviour document 0), as a registry of this fleet's.
// Pure: the answers of etcd in, keys and values out.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cluster/keys.h"
#include "fleetd/registry_filler.h"

namespace fleet {

// Keys without the prefix ("job/a.service/target") and their values.
using Fleet1Keys = std::map<std::string, std::string>;

// Adds the keys of an answer to GET /v2/keys/<prefix>...?recursive=true. Keys that are not under
// `prefix`, which begins and ends with a slash, are left out. Fails: invalid (not such an answer).
Status add_v2_answer(std::string_view json, std::string_view prefix, Fleet1Keys& keys);

struct Fleet1Import {
  RegistryContents contents;
  std::size_t units = 0;
  std::size_t placed = 0;               // of these, on a machine
  std::vector<std::string> unreadable;  // one sentence each: what of it cannot be taken, and why
  std::vector<std::string> machines;    // on which a fleet 1.0 is alive, or was a TTL ago
};

// Takes units, desired states, placements and the metadata that was set through the API. Of global
// units there are no placements: the engine finds them on every machine. States, presence and the
// leader's lease are of no use to anybody. A unit of which anything cannot be read is left out
// whole.
Fleet1Import import_fleet1(const Fleet1Keys& fleet1, const Keys& keys);

}  // namespace fleet
