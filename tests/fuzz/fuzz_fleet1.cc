// What an etcd answers when it is asked for the registry of a fleet 1.0 (version 2 of its API): a
// line for each answer.

#include "cluster/registry.h"
#include "fleetd/fleet1_registry.h"
#include "tests/fuzz/fuzz.h"

using namespace fleet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = fuzz::text_of(data, size);
  Fleet1Keys fleet1;
  while (!text.empty()) {
    if (const Status added = add_v2_answer(fuzz::take_until(text, '\n'), "/f/", fleet1); !added) {
      fuzz::check_error(added);
    }
  }
  const Keys keys("/g");
  const Fleet1Import import = import_fleet1(fleet1, keys);
  HOLDS(import.placed <= import.units);
  // All of it is understood by whoever reads the registry, and every unit has a desired state.
  ReadResult read;
  for (const auto& [key, value] : import.contents) {
    read.values.push_back({.key = key, .value = value, .create_revision = 1, .mod_revision = 1});
  }
  Registry registry(keys);
  registry.load(read);
  std::size_t units = 0;
  for (const auto& [name, unit] : registry.units()) {
    HOLDS(unit.unreadable().empty());
    HOLDS(unit.unit.value && unit.target.value && unit.schedule.size() <= 1);
    for (const auto& [machine, record] : unit.schedule) {
      HOLDS(record->state == unit.desired());
      HOLDS(record->state == UnitState::inactive || record->hash == unit.unit->hash);
    }
    ++units;
  }
  HOLDS(units == import.units);
  return 0;
}
