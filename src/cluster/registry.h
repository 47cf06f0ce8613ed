// Registry: the whole of the store's registry at one revision, as values in memory.
//
// Filled by one read of everything and then by watch batches, so that it is always what the store
// held at revision(). Pure: no I/O. The engine decides from it and the API answers from it.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/name_map.h"
#include "cluster/keys.h"
#include "cluster/values.h"
#include "store/store.h"

namespace fleet {

// One key as it was read. A key that exists but cannot be understood has an `error` and no value:
// whatever it is about is left alone until it can be read.
template <class T>
struct Entry {
  std::optional<T> value;
  std::string error;
  Revision create_revision = 0;  // 0: there is no such key
  Revision mod_revision = 0;

  bool exists() const { return create_revision != 0; }
  const T* operator->() const { return &*value; }
};

// Everything about one unit name. A name may have leftovers (schedule, states, a tombstone) after
// the unit itself has gone.
struct Unit {
  Entry<UnitRecord> unit;
  Entry<TargetRecord> target;
  std::map<std::string, Entry<ScheduleRecord>> schedule;  // by machine
  std::map<std::string, Entry<StateRecord>> states;       // by machine
  Revision changed = 0;                                   // the newest revision of any of these

  // The user's unit is there and readable, and not destroyed.
  bool is_known() const { return unit.value && !(target.value && target.value->destroyed); }
  // Why nothing may be decided about it: a key of it that cannot be read. Empty if all can.
  std::string unreadable() const;
  UnitState desired() const {
    return target.value && !target.value->destroyed ? target.value->state : UnitState::inactive;
  }
};

// A machine that is there, or whose schedule or metadata are.
struct Machine {
  Entry<MachineRecord> presence;
  LeaseId lease = 0;                                           // that the presence is on
  std::map<std::string, Entry<std::string>> dynamic_metadata;  // set through the API
  std::map<std::string, std::string>
      metadata;                 // configured, overlaid by dynamic; empty values hide
  std::set<std::string> units;  // names with a schedule record here
  Revision changed = 0;         // the newest revision of presence and metadata

  bool is_present() const { return presence.exists(); }
};

class Registry {
 public:
  struct Changes {
    std::set<std::string> units;     // their unit, target, schedule or states
    std::set<std::string> machines;  // their presence or metadata; not what is scheduled to them
    bool leader = false;
  };

  explicit Registry(Keys keys) : keys_(std::move(keys)) {}

  // Replaces all that is held by what was read under keys().everything().
  void load(const ReadResult& everything);

  // Applies one batch of the watch that follows the load. Returns what it was about.
  Changes apply(const WatchBatch& batch);

  const Keys& keys() const { return keys_; }
  Revision revision() const { return revision_; }
  // The revision of the last load(). What vanished before it has left no trace here.
  Revision load_revision() const { return load_revision_; }
  const NameMap<Unit>& units() const { return units_; }
  const NameMap<Machine>& machines() const { return machines_; }
  const Entry<std::string>& leader() const { return leader_; }  // value: the machine's ID
  // While it exists the registry is being filled from another one, and what is missing from it says
  // nothing: the engine decides nothing and the API changes nothing. Value: by whom, for people.
  const Entry<std::string>& incomplete() const { return incomplete_; }
  // The revision at which what an existing unit asks of the cluster was last changed. (New units
  // do not count: nothing was placed beside them yet.) 0: never.
  Revision requirements_changed() const { return requirements_changed_; }

  // Null if nothing is held under that name.
  const Unit* unit(const std::string& name) const;
  const Machine* machine(const std::string& id) const;

  // The machine that a non-global unit is scheduled to: the one record that is not `inactive`;
  // empty if none.
  std::string target_machine(const Unit& unit) const;
  // How far a unit has been taken (behaviour document 4.6). For a global unit: the least over the
  // machines that it is scheduled to.
  UnitState current_state(const Unit& unit) const;

 private:
  void put(const KeyValue& value, Changes& changes);
  void remove(const std::string& key, Revision revision, Changes& changes);
  void refresh_metadata(Machine& machine);
  void forget_unit_if_empty(const std::string& name);
  void forget_machine_if_empty(const std::string& id);

  Keys keys_;
  Revision revision_ = 0;
  Revision load_revision_ = 0;
  NameMap<Unit> units_;
  NameMap<Machine> machines_;
  Entry<std::string> leader_;
  Entry<std::string> incomplete_;
  Revision requirements_changed_ = 0;
};

}  // namespace fleet
