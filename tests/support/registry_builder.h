// A registry made from puts, for tests: what users, machines and agents would have written.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <utility>

#include "cluster/registry.h"
#include "store/memory/memory_registry.h"
#include "tests/support/virtual_loop.h"
#include "unit/unit_file.h"

namespace fleet {

class RegistryBuilder {
 public:
  RegistryBuilder() : store_(loop_), registry_(Keys()) {
    store_.add_listener([this](const WatchBatch& batch) { pending_.push_back(batch); });
    reload();
  }

  const Keys& keys() const { return registry_.keys(); }
  // As it was when it was last synced: what has been written since does not show.
  const Registry& seen() const { return registry_; }
  const Registry& registry() {
    sync();
    return registry_;
  }

  void sync() {
    for (; !pending_.empty(); pending_.pop_front()) {
      Registry::Changes changes = registry_.apply(pending_.front());
      changes_.units.merge(changes.units);
      changes_.machines.merge(changes.machines);
      changes_.leader = changes_.leader || changes.leader;
    }
  }
  // What has changed since this was last called.
  Registry::Changes take_changes() {
    sync();
    return std::exchange(changes_, {});
  }
  void reload() {
    pending_.clear();
    changes_ = {};
    registry_.load(*store_.read(keys().everything(), 0));
  }

  Revision put(const std::string& key, const std::string& value) {
    return store_.commit({{}, {Put{key, value, 0}}})->revision;
  }
  void remove(const std::string& key) { (void)store_.commit({{}, {Delete{{key, false}}}}); }
  Result<TransactionResult> commit(const Transaction& transaction) {
    return store_.commit(transaction);
  }

  void machine(const std::string& id, std::map<std::string, std::string> metadata = {},
               bool leaving = false) {
    MachineRecord record;
    record.id = id;
    record.metadata = std::move(metadata);
    record.leaving = leaving;
    put(keys().machine(id), encode(record));
  }
  void lose(const std::string& id) {
    remove(keys().machine(id));
    (void)store_.commit({{}, {Delete{{keys().state(id, {}), true}}}});
  }
  void metadata(const std::string& id, const std::string& key, const std::string& value) {
    put(keys().metadata(id, key), value);
  }

  // `fleet` is what stands in the unit's [X-Fleet] section.
  static UnitRecord record(const std::string& name, const std::string& fleet = {},
                           const std::string& command = "/bin/sleep") {
    return make_unit_record(
        name, *parse_unit_file("[Service]\nExecStart=" + command + "\n[X-Fleet]\n" + fleet + "\n"));
  }
  void unit(const std::string& name, const std::string& fleet = {},
            UnitState desired = UnitState::launched, const std::string& command = "/bin/sleep") {
    put(keys().unit(name), encode(record(name, fleet, command)));
    want(name, desired);
  }
  void want(const std::string& name, UnitState desired, std::uint64_t restarts = 0) {
    TargetRecord target;
    target.state = desired;
    target.restarts = restarts;
    put(keys().target(name), encode(target));
  }
  void destroy(const std::string& name) {
    remove(keys().unit(name));
    TargetRecord target;
    target.destroyed = true;
    put(keys().target(name), encode(target));
  }

  // A decision of earlier: the unit as it is now, or the order to leave.
  void schedule(const std::string& id, const std::string& name,
                UnitState state = UnitState::launched) {
    ScheduleRecord decision;
    decision.state = state;
    const Unit* now = registry().unit(name);
    if (state != UnitState::inactive && now != nullptr && now->unit.value) {
      decision.text = now->unit->text;
      decision.hash = now->unit->hash;
    }
    put(keys().schedule(id, name), encode(decision));
  }
  void state(const std::string& id, const std::string& name,
             UnitState current = UnitState::launched) {
    StateRecord report;
    report.current = current;
    put(keys().state(id, name), encode(report));
  }
  // What the agent does once it has let go of a unit.
  void let_go(const std::string& id, const std::string& name) {
    (void)store_.commit(
        {{},
         {Delete{{keys().schedule(id, name), false}}, Delete{{keys().state(id, name), false}}}});
  }
  // Makes `id` the leader; returns the term.
  Revision lead(const std::string& id) {
    remove(keys().leader());
    return put(keys().leader(), id);
  }

 private:
  VirtualLoop loop_;
  MemoryRegistry store_;
  Registry registry_;
  std::deque<WatchBatch> pending_;
  Registry::Changes changes_;
};

}  // namespace fleet
