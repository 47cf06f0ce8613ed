#include "cluster/registry.h"

#include <random>

#include <gtest/gtest.h>

#include "base/sha1.h"

namespace fleet {
namespace {

constexpr const char* kName = "a.service";

// A store's history: what is there, and the batches that led to it.
class History {
 public:
  explicit History(const Keys& keys) : keys_(keys) {}

  WatchBatch put(const std::string& key, const std::string& value) {
    ++revision_;
    KeyValue& held = values_[key];
    if (held.create_revision == 0) held.create_revision = revision_;
    held.key = key;
    held.value = value;
    held.mod_revision = revision_;
    return {revision_, {{WatchEvent::Kind::put, held}}};
  }

  WatchBatch remove(const std::string& key) {
    ++revision_;
    values_.erase(key);
    KeyValue gone;
    gone.key = key;
    gone.mod_revision = revision_;
    return {revision_, {{WatchEvent::Kind::removed, gone}}};
  }

  ReadResult everything() const {
    ReadResult result{.values = {}, .revision = revision_};
    for (const auto& [key, value] : values_) result.values.push_back(value);
    return result;
  }

  const Keys& keys() const { return keys_; }
  bool has(const std::string& key) const { return values_.contains(key); }

 private:
  const Keys& keys_;
  Revision revision_ = 1;
  std::map<std::string, KeyValue> values_;
};

UnitRecord unit_record(const std::string& command, bool global = false) {
  UnitFile file{{{"Service", "ExecStart", command}}};
  if (global) file.options.push_back({"X-Fleet", "Global", "true"});
  return make_unit_record(kName, file);
}

std::string schedule_value(UnitState state) {
  return encode(ScheduleRecord{.state = state, .text = "t", .hash = sha1_hex("t"), .reason = {}});
}

std::string state_value(const UnitRecord& unit, UnitState current) {
  StateRecord record;
  record.hash = unit.hash;
  record.current = current;
  return encode(record);
}

std::string machine_value(const std::string& id, std::map<std::string, std::string> metadata = {}) {
  MachineRecord record;
  record.id = id;
  record.metadata = std::move(metadata);
  return encode(record);
}

class RegistryTest : public testing::Test {
 protected:
  Registry::Changes put(const std::string& key, const std::string& value) {
    return registry_.apply(history_.put(key, value));
  }
  Registry::Changes remove(const std::string& key) { return registry_.apply(history_.remove(key)); }
  const Unit& unit() const { return *registry_.unit(kName); }
  UnitState current() const { return registry_.current_state(unit()); }

  const Keys keys_;
  History history_{keys_};
  Registry registry_{keys_};
};

TEST_F(RegistryTest, HoldsNothingBeforeItIsFilled) {
  EXPECT_EQ(registry_.revision(), 0);
  EXPECT_EQ(registry_.unit(kName), nullptr);
  EXPECT_EQ(registry_.machine("m1"), nullptr);
  EXPECT_FALSE(registry_.leader().exists());
}

TEST_F(RegistryTest, UnitComesAndGoes) {
  const UnitRecord record = unit_record("/bin/true");
  Registry::Changes changes = put(keys_.unit(kName), encode(record));
  EXPECT_EQ(changes.units, std::set<std::string>{kName});
  EXPECT_TRUE(changes.machines.empty());
  ASSERT_TRUE(unit().is_known());
  EXPECT_EQ(*unit().unit.value, record);
  EXPECT_EQ(unit().desired(), UnitState::inactive);
  EXPECT_EQ(unit().unit.create_revision, 2);
  EXPECT_EQ(unit().changed, registry_.revision());

  put(keys_.target(kName), encode(TargetRecord{.state = UnitState::launched}));
  EXPECT_EQ(unit().desired(), UnitState::launched);
  EXPECT_EQ(unit().changed, 3);

  put(keys_.target(kName), encode(TargetRecord{.state = UnitState::launched, .destroyed = true}));
  EXPECT_FALSE(unit().is_known());
  EXPECT_EQ(unit().desired(), UnitState::inactive);

  changes = remove(keys_.unit(kName));
  EXPECT_EQ(changes.units, std::set<std::string>{kName});
  EXPECT_FALSE(unit().unit.exists());
  EXPECT_EQ(unit().changed, 5);

  remove(keys_.target(kName));
  EXPECT_EQ(registry_.unit(kName), nullptr);
  EXPECT_TRUE(registry_.units().empty());
  EXPECT_EQ(registry_.revision(), 6);
}

TEST_F(RegistryTest, LeftoversKeepAName) {
  put(keys_.unit(kName), encode(unit_record("/bin/true")));
  put(keys_.schedule("m1", kName), schedule_value(UnitState::launched));
  put(keys_.state("m1", kName), state_value(unit_record("/bin/true"), UnitState::launched));
  remove(keys_.unit(kName));
  ASSERT_NE(registry_.unit(kName), nullptr);
  remove(keys_.schedule("m1", kName));
  ASSERT_NE(registry_.unit(kName), nullptr);
  remove(keys_.state("m1", kName));
  EXPECT_EQ(registry_.unit(kName), nullptr);
}

TEST_F(RegistryTest, MachinesAreIndexedByTheirSchedule) {
  const Registry::Changes changes =
      put(keys_.schedule("m1", kName), schedule_value(UnitState::launched));
  EXPECT_EQ(changes.units, std::set<std::string>{kName});
  EXPECT_TRUE(changes.machines.empty());
  ASSERT_NE(registry_.machine("m1"), nullptr);
  EXPECT_FALSE(registry_.machine("m1")->is_present());
  EXPECT_EQ(registry_.machine("m1")->units, std::set<std::string>{kName});

  put(keys_.schedule("m1", kName), schedule_value(UnitState::inactive));
  EXPECT_EQ(registry_.machine("m1")->units, std::set<std::string>{kName});
  remove(keys_.schedule("m1", kName));
  EXPECT_EQ(registry_.machine("m1"), nullptr);
  EXPECT_EQ(registry_.unit(kName), nullptr);
}

TEST_F(RegistryTest, MetadataIsConfiguredThenOverlaid) {
  using Metadata = std::map<std::string, std::string>;
  Registry::Changes changes =
      put(keys_.machine("m1"), machine_value("m1", {{"a", "1"}, {"b", "2"}}));
  EXPECT_EQ(changes.machines, std::set<std::string>{"m1"});
  EXPECT_TRUE(changes.units.empty());
  EXPECT_TRUE(registry_.machine("m1")->is_present());

  changes = put(keys_.metadata("m1", "a"), "one");
  EXPECT_EQ(changes.machines, std::set<std::string>{"m1"});
  put(keys_.metadata("m1", "c"), "3");
  EXPECT_EQ(registry_.machine("m1")->metadata, (Metadata{{"a", "one"}, {"b", "2"}, {"c", "3"}}));
  put(keys_.metadata("m1", "b"), "");
  EXPECT_EQ(registry_.machine("m1")->metadata, (Metadata{{"a", "one"}, {"c", "3"}}));

  // What was set through the API outlives the machine's absence.
  remove(keys_.machine("m1"));
  EXPECT_FALSE(registry_.machine("m1")->is_present());
  EXPECT_EQ(registry_.machine("m1")->metadata, (Metadata{{"a", "one"}, {"c", "3"}}));
  put(keys_.machine("m1"), machine_value("m1", {{"b", "2"}}));
  remove(keys_.metadata("m1", "b"));
  EXPECT_EQ(registry_.machine("m1")->metadata, (Metadata{{"a", "one"}, {"b", "2"}, {"c", "3"}}));

  remove(keys_.metadata("m1", "a"));
  remove(keys_.metadata("m1", "c"));
  remove(keys_.machine("m1"));
  EXPECT_EQ(registry_.machine("m1"), nullptr);
}

TEST_F(RegistryTest, LeaderIsTheMachinesId) {
  EXPECT_TRUE(put(keys_.leader(), "m1").leader);
  EXPECT_EQ(*registry_.leader().value, "m1");
  EXPECT_EQ(registry_.leader().create_revision, 2);
  EXPECT_TRUE(remove(keys_.leader()).leader);
  EXPECT_FALSE(registry_.leader().exists());
}

TEST_F(RegistryTest, WhatCannotBeReadIsThereAllTheSame) {
  put(keys_.unit(kName), encode(unit_record("/bin/true")));
  EXPECT_EQ(unit().unreadable(), "");
  put(keys_.target(kName), R"({"v":9})");
  EXPECT_TRUE(unit().target.exists());
  EXPECT_FALSE(unit().target.value);
  EXPECT_NE(unit().unreadable().find(keys_.target(kName)), std::string::npos);
  put(keys_.target(kName), encode(TargetRecord{}));
  EXPECT_EQ(unit().unreadable(), "");

  put(keys_.schedule("m1", kName), "?");
  EXPECT_NE(unit().unreadable(), "");
  EXPECT_EQ(registry_.target_machine(unit()), "");
  remove(keys_.schedule("m1", kName));
  put(keys_.state("m1", kName), "?");
  EXPECT_NE(unit().unreadable(), "");

  put(keys_.unit(kName), "?");
  EXPECT_FALSE(unit().is_known());
  EXPECT_TRUE(unit().unit.exists());

  put(keys_.machine("m1"), machine_value("m2"));
  EXPECT_TRUE(registry_.machine("m1")->is_present());
  EXPECT_FALSE(registry_.machine("m1")->presence.value);
}

TEST_F(RegistryTest, CurrentStateIsWhatTheAgentAtTheTargetSays) {
  const UnitRecord record = unit_record("/bin/true");
  put(keys_.unit(kName), encode(record));
  put(keys_.target(kName), encode(TargetRecord{.state = UnitState::launched}));
  put(keys_.state("m2", kName), state_value(record, UnitState::launched));
  EXPECT_EQ(current(), UnitState::inactive);

  put(keys_.schedule("m1", kName), schedule_value(UnitState::launched));
  EXPECT_EQ(registry_.target_machine(unit()), "m1");
  EXPECT_EQ(current(), UnitState::inactive);
  put(keys_.state("m1", kName), state_value(record, UnitState::loaded));
  EXPECT_EQ(current(), UnitState::loaded);
  put(keys_.state("m1", kName), state_value(record, UnitState::launched));
  EXPECT_EQ(current(), UnitState::launched);

  // Of new content nothing has been done yet.
  put(keys_.unit(kName), encode(unit_record("/bin/false")));
  EXPECT_EQ(current(), UnitState::inactive);
  put(keys_.unit(kName), encode(record));

  put(keys_.schedule("m1", kName), schedule_value(UnitState::inactive));
  EXPECT_EQ(registry_.target_machine(unit()), "");
  EXPECT_EQ(current(), UnitState::inactive);
}

TEST_F(RegistryTest, AGlobalUnitIsAsFarAsItsSlowestMachine) {
  const UnitRecord record = unit_record("/bin/true", true);
  put(keys_.unit(kName), encode(record));
  EXPECT_EQ(current(), UnitState::inactive);
  put(keys_.schedule("m1", kName), schedule_value(UnitState::launched));
  put(keys_.schedule("m2", kName), schedule_value(UnitState::launched));
  put(keys_.schedule("m3", kName), schedule_value(UnitState::inactive));
  put(keys_.state("m1", kName), state_value(record, UnitState::launched));
  EXPECT_EQ(current(), UnitState::inactive);
  put(keys_.state("m2", kName), state_value(record, UnitState::loaded));
  EXPECT_EQ(current(), UnitState::loaded);
  put(keys_.state("m2", kName), state_value(record, UnitState::launched));
  EXPECT_EQ(current(), UnitState::launched);
}

TEST_F(RegistryTest, ForeignKeysOnlyMoveTheRevision) {
  const Registry::Changes changes = put("/_coreos.com/fleet/nonsense/x", "y");
  EXPECT_TRUE(changes.units.empty() && changes.machines.empty() && !changes.leader);
  EXPECT_EQ(registry_.revision(), 2);
  remove("/_coreos.com/fleet/unit/never-there.service");
  EXPECT_TRUE(registry_.units().empty());
}

TEST_F(RegistryTest, WhatIsAlreadyHeldIsNotAppliedAgain) {
  const WatchBatch old = history_.put(keys_.leader(), "m1");
  history_.put(keys_.leader(), "m2");
  registry_.load(history_.everything());
  EXPECT_EQ(registry_.load_revision(), 3);
  EXPECT_FALSE(registry_.apply(old).leader);
  EXPECT_EQ(*registry_.leader().value, "m2");
  EXPECT_EQ(registry_.revision(), 3);
}

// Everything that is held, as text; `changed` apart, which a removal moves without a trace in the
// store.
template <class T, class Show>
std::string show(const Entry<T>& entry, Show value) {
  if (!entry.exists()) return "-";
  return std::to_string(entry.create_revision) + "/" + std::to_string(entry.mod_revision) + " " +
         (entry.value ? value(*entry.value) : "error " + entry.error);
}

std::string show(const Registry& registry) {
  const auto text = [](const std::string& value) { return value; };
  const auto encoded = [](const auto& value) { return encode(value); };
  std::string out = "revision " + std::to_string(registry.revision()) + "\nleader " +
                    show(registry.leader(), text) + "\n";
  for (const auto& [name, unit] : registry.units()) {
    out += "unit " + name + " " + show(unit.unit, encoded) + " " + show(unit.target, encoded);
    for (const auto& [machine, entry] : unit.schedule) {
      out += "\n  schedule " + machine + " " + show(entry, encoded);
    }
    for (const auto& [machine, entry] : unit.states) {
      out += "\n  state " + machine + " " + show(entry, encoded);
    }
    out += "\n";
  }
  for (const auto& [id, machine] : registry.machines()) {
    out += "machine " + id + " " + show(machine.presence, encoded);
    for (const auto& [key, entry] : machine.dynamic_metadata) {
      out += "\n  dynamic " + key + " " + show(entry, text);
    }
    for (const auto& [key, value] : machine.metadata) out += "\n  " + key + "=" + value;
    for (const std::string& name : machine.units) out += "\n  unit " + name;
    out += "\n";
  }
  return out;
}

// One random change of a store, of keys that overlap often.
WatchBatch random_change(History& history, std::mt19937_64& random) {
  const auto below = [&random](std::uint64_t bound) { return random() % bound; };
  const Keys& keys = history.keys();
  const std::string name = "u" + std::to_string(below(4)) + ".service";
  const std::string machine = "m" + std::to_string(below(3));
  const UnitState state = static_cast<UnitState>(below(3));
  std::pair<std::string, std::string> write;
  switch (below(8)) {
    case 0:
      write = {keys.unit(name), encode(unit_record(std::to_string(below(3)), below(4) == 0))};
      break;
    case 1:
      write = {keys.target(name), encode(TargetRecord{.state = state, .destroyed = below(5) == 0})};
      break;
    case 2:
    case 3:
      write = {keys.schedule(machine, name), schedule_value(state)};
      break;
    case 4:
      write = {keys.state(machine, name), state_value(unit_record("0"), state)};
      break;
    case 5:
      write = {keys.machine(machine), machine_value(machine, {{"k", std::to_string(below(3))}})};
      break;
    case 6:
      write = {keys.metadata(machine, "k" + std::to_string(below(2))), below(3) == 0 ? "" : "v"};
      break;
    default:
      write = {keys.leader(), machine};
      break;
  }
  if (below(10) == 0) write.second = "unreadable";
  if (below(5) < 2 && history.has(write.first)) return history.remove(write.first);
  return history.put(write.first, write.second);
}

TEST(RegistryRandomTest, LoadingAllEqualsLoadingSomeAndApplyingTheRest) {
  const Keys keys;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    std::mt19937_64 random(seed);
    History history(keys);
    Registry incremental(keys);
    const std::uint64_t loaded = random() % 100;
    for (std::uint64_t i = 0; i < loaded; ++i) random_change(history, random);
    incremental.load(history.everything());

    for (int i = 0; i < 100; ++i) {
      WatchBatch batch = random_change(history, random);
      // Batches of several revisions, as a watch delivers them when it has fallen behind.
      while (random() % 3 == 0) {
        const WatchBatch more = random_change(history, random);
        batch.revision = more.revision;
        batch.events.insert(batch.events.end(), more.events.begin(), more.events.end());
      }
      incremental.apply(batch);
      Registry whole(keys);
      whole.load(history.everything());
      ASSERT_EQ(show(incremental), show(whole)) << "seed " << seed << ", step " << i;
      for (const auto& [name, unit] : whole.units()) {
        ASSERT_GE(incremental.unit(name)->changed, unit.changed) << name;
        ASSERT_LE(incremental.unit(name)->changed, incremental.revision()) << name;
      }
    }
  }
}

}  // namespace
}  // namespace fleet
