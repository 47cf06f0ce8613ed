// Placement: which unit is on which machine, as the engine sees it: the registry's schedule plus
// the decisions that it has made and that the registry does not show yet. Pure.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/name_map.h"
#include "cluster/registry.h"

namespace fleet {

// A unit on a machine.
struct Occupant {
  // Decided to be there. A unit that has been ordered away and has not left yet is not assigned:
  // it carries no load and nothing can follow it, but it still gets in the way of others.
  bool assigned = true;
  std::vector<std::string> conflicts;      // its own patterns
  std::vector<std::string> replaces = {};  // its own patterns

  bool operator==(const Occupant&) const = default;
};

// What is on one machine.
class MachineLoad {
 public:
  void put(const std::string& unit, Occupant occupant);
  void erase(const std::string& unit);

  bool has_assigned(const std::string& unit) const;
  // Null if the unit is not there.
  const Occupant* occupant(const std::string& unit) const;
  std::size_t assigned() const { return assigned_; }
  const std::map<std::string, Occupant>& occupants() const { return occupants_; }

  // The first occupant other than `unit` that `unit`, with its own `conflicts`, cannot be beside
  // (behaviour document 3.2, check 4: either side's pattern counts). Null if there is none.
  const std::string* conflicting(const std::string& unit, const std::vector<std::string>& conflicts,
                                 bool only_assigned) const;

  // The first assigned occupant other than `unit` that replaces `unit`, and that is none of those
  // that match `but_for`. Null if there is none.
  const std::string* replacing(const std::string& unit,
                               const std::vector<std::string>& but_for) const;

  // The assigned occupants other than `unit` that `unit`, with its own `replaces`, takes the place
  // of.
  std::vector<std::string> replaced_by(const std::string& unit,
                                       const std::vector<std::string>& replaces) const;

 private:
  // Takes an occupant out of what is counted of all.
  void discount(const std::string& unit, const Occupant& occupant);
  bool counts(const std::string& other, const std::string& unit, bool only_assigned) const {
    return other != unit && (!only_assigned || occupants_.at(other).assigned);
  }

  std::map<std::string, Occupant> occupants_;
  std::set<std::string> with_conflicts_;  // occupants that have conflicts of their own
  std::set<std::string> with_replaces_;   // occupants that replace others
  std::size_t assigned_ = 0;
};

// A machine that may be given units. The least loaded comes first, then the lowest ID.
struct OpenMachine {
  std::size_t load = 0;
  const std::string* id = nullptr;  // never null; lives as long as the placement

  bool operator<(const OpenMachine& other) const {
    return load != other.load ? load < other.load : *id < *other.id;
  }
};

class Placement {
 public:
  using ByLoad = std::set<OpenMachine>;

  Placement() = default;
  Placement(Placement&&) = default;
  Placement& operator=(Placement&&) = default;

  // Opens a machine with this metadata for new units, or closes it. What is on it stays known
  // either way.
  void open(const std::string& machine, const std::map<std::string, std::string>& metadata);
  void close(const std::string& machine);
  void put(const std::string& machine, const std::string& unit, Occupant occupant);
  void erase(const std::string& machine, const std::string& unit);

  const ByLoad& open_machines() const { return open_; }
  // Never fails: a machine of which nothing is known is empty.
  const MachineLoad& on(const std::string& machine) const;
  // The machines that have `unit`, assigned to them or still to leave.
  const std::set<std::string>& machines_of(const std::string& unit) const;

  // The first of the open machines, the least loaded first, that `accepts`; null if none does.
  // Those that do not meet the MachineID, MachineOf or MachineMetadata of `requirements` may be
  // left out without being asked about: finding one takes no longer in a large cluster.
  const std::string* first_open(const Requirements& requirements,
                                const std::function<bool(const std::string&)>& accepts) const;

 private:
  struct Place {
    MachineLoad load;
    bool open = false;
    std::map<std::string, std::string> metadata;  // while it is open
  };
  using Places = NameMap<Place>;

  // Calls `each` with every set that an open machine is in.
  template <class Each>
  void for_each_order(const Place& place, Each each);
  void change_load(Places::value_type& place, const std::function<void(MachineLoad&)>& change);
  const ByLoad* with_metadata(const std::string& key, const std::string& value) const;
  std::vector<const ByLoad*> narrowest(const Requirements& requirements) const;

  Places machines_;
  ByLoad open_;
  std::map<std::string, std::map<std::string, ByLoad>> by_metadata_;    // key, value
  std::unordered_map<std::string, std::set<std::string>> machines_of_;  // by unit; never walked
};

// Whether a machine may be given units: it is there, its record can be read, and it is not leaving.
bool is_open(const Machine& machine);

// An occupant with the patterns of the unit's file; without any if that is not known.
Occupant make_occupant(const Unit* unit, bool assigned);

// Whether a unit with this schedule record is assigned to the machine.
bool is_assigned(const Entry<ScheduleRecord>& record);

// The occupant that a schedule record makes of a unit.
Occupant occupant_of(const Unit& unit, const Entry<ScheduleRecord>& record);

// Whether one of the globs matches.
bool matches_any(const std::vector<std::string>& patterns, const std::string& name);

// Whether two units cannot be on one machine: a pattern of either matches the other's name.
bool in_conflict(const std::string& one, const std::vector<std::string>& conflicts_of_one,
                 const std::string& other, const std::vector<std::string>& conflicts_of_other);

// Whether a unit is asking for a place, or is assigned to the machine and may stay: then what has
// been ordered to leave the machine is no reason for it to leave too.
enum class Stay { arriving, staying };

// Why `unit` cannot run on `machine`, for people; nothing if it can. The first failing check
// decides: presence, MachineID, MachineMetadata, MachineOf, Conflicts (behaviour document 3.2), and
// last whether a unit there replaces it.
std::optional<std::string> refusal(const std::string& unit, const Requirements& requirements,
                                   const std::string& machine_id, const Machine& machine,
                                   const MachineLoad& load, Stay stay = Stay::arriving);

// Why nothing can be said about what may run on a machine that is there: a record of it cannot be
// read. What it has it keeps. Empty if all can be read.
std::string unreadable(const Machine& machine);

}  // namespace fleet
