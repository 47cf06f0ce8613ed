// Where things are in the registry (ARCHITECTURE.md, "The registry"). All paths begin with the
// configured prefix, which is normalised to start and end with one slash.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "store/store.h"

namespace fleet {

// A key taken apart. `machine` and `name` are empty where the kind has none.
struct Key {
  enum class Kind {
    unit,
    target,
    schedule,
    machine,
    metadata,
    state,
    leader,
    incomplete,
    requirements
  };
  Kind kind = Kind::unit;
  std::string machine;
  std::string name;  // unit name, or the metadata key

  bool operator==(const Key&) const = default;
};

class Keys {
 public:
  explicit Keys(std::string_view prefix = "/_coreos.com/fleet/");

  const std::string& prefix() const { return prefix_; }
  KeyRange everything() const { return {prefix_, true}; }

  std::string unit(std::string_view name) const;    // unit/<name>
  std::string target(std::string_view name) const;  // target/<name>
  std::string schedule(std::string_view machine, std::string_view name) const;
  std::string schedule_of(std::string_view machine) const;  // the prefix of one machine's schedule
  std::string machine(std::string_view id) const;           // machine/<id>
  std::string metadata(std::string_view id, std::string_view key) const;
  std::string metadata_of(std::string_view id) const;  // the prefix of one machine's metadata
  std::string state(std::string_view machine, std::string_view name) const;
  std::string leader() const;                         // engine/leader
  std::string barrier() const;                        // engine/barrier
  std::string requirements() const;                   // engine/requirements
  std::string incomplete() const;                     // incomplete
  std::string fence(std::string_view machine) const;  // fence/<machine>

  // Takes a key apart; nothing if it is not one of the above, or one that nobody reads (barrier,
  // fence).
  std::optional<Key> parse(std::string_view key) const;

 private:
  std::string prefix_;
};

}  // namespace fleet
