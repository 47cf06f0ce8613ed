#include "tests/sim/cluster.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/engine.h"

namespace fleet {

namespace {

// An order to leave that somebody removed before it was carried out: fleet leaves such a unit where
// it is, and says so.
bool is_left_as_it_is(const Unit& unit) {
  return unit.schedule.empty() && !unit.target.exists() &&
         std::ranges::all_of(unit.states, [](const auto& state) {
           return state.second.value &&
                  state.second->problem == "the registry holds no decision about it: left as it is";
         });
}

bool assigned_anywhere(const Unit& unit) {
  for (const auto& [id, record] : unit.schedule) {
    if (record->state != UnitState::inactive) return true;
  }
  return false;
}

// Whether a unit's start never ends, or always in failure: it is never taken for launched.
bool starts_never(const std::string& name, const Unit& unit) {
  if (!unit.unit.value) return false;
  const FakeScript script = script_of(name, unit.unit->text);
  return script.start_fails || script.start_hangs || script.bad_setting;
}

}  // namespace

class Cluster::MachineLog final : public Log {
 public:
  explicit MachineLog(Cluster& cluster) : cluster_(cluster) {}
  void write(const LogLine& line) override { cluster_.say(line); }

 private:
  Cluster& cluster_;
};

Cluster::Cluster(int machine_count, ClusterOptions options)
    : etcd(loop), mirror(Keys()), options_(options), sink_(std::make_unique<MachineLog>(*this)) {
  etcd.add_listener([this](const WatchBatch& batch) { on_change(batch); });
  for (int i = 1; i <= machine_count; ++i) add("m" + std::to_string(i));
}

SimMachine& Cluster::add(const std::string& id, std::map<std::string, std::string> metadata) {
  auto& machine = machines[id];
  machine = std::make_unique<SimMachine>(loop, id);
  machine->metadata = std::move(metadata);
  return *machine;
}

void Cluster::start(const std::string& id) {
  SimMachine& machine = at(id);
  kill(id);
  machine.session = std::make_unique<MemoryStore>(machine.process, etcd);
  machine.session->set_link(machine.link);
  machine.store =
      std::make_unique<SpyStore>(*machine.session, KeyRange{mirror.keys().schedule_of(id), true});
  machine.store->is_later = machine.is_later;
  machine.store->later_key = mirror.keys().prefix() + "later/" + id;
  machine.store->on_schedule_read = [this, id](const ReadResult& result) {
    if (witness_.on_schedule_read) witness_.on_schedule_read(id, result);
  };
  machine.store->on_schedule_change = [this, id](const WatchBatch& batch) {
    if (witness_.on_schedule_change) witness_.on_schedule_change(id, batch);
  };
  machine.units = std::make_unique<FakeUnitManager>(machine.process, machine.systemd);
  NodeOptions options;
  options.machine_id = id;
  options.public_ip = machine.public_ip;
  options.boot_id = id + "-" + std::to_string(machine.boots);
  options.metadata = machine.metadata;
  options.agent_ttl = options_.ttl;
  options.mass_loss_percent = options_.mass_loss_percent;
  options.unix_time = [this] {
    return kUnixTimeAtStart + std::chrono::duration<double>(loop.now() - Time()).count();
  };
  machine.settings = options;
  machine.node =
      std::make_unique<Node>(machine.process, *machine.store, *machine.units, *sink_, options);
  if (witness_.on_start) witness_.on_start(id);
  machine.node->start();
}

void Cluster::start() {
  for (auto& [id, machine] : machines) start(id);
  run(std::chrono::seconds(2));
}

void Cluster::kill(const std::string& id) {
  SimMachine& machine = at(id);
  if (machine.is_up() && witness_.on_end) witness_.on_end(id);
  machine.node.reset();
  machine.units.reset();
  machine.store.reset();
  machine.session.reset();
  machine.process.go_on();  // the next one is not held
}

void Cluster::power_off(const std::string& id) {
  kill(id);
  at(id).hardware.go_on();
  at(id).systemd.reboot();
  ++at(id).boots;
}

std::shared_ptr<const bool> Cluster::leave(const std::string& id) {
  auto done = std::make_shared<bool>(false);
  at(id).node->leave([done] { *done = true; });
  return done;
}

void Cluster::set_link(const std::string& id, const MemoryLink& link) {
  at(id).link = link;
  if (at(id).session) at(id).session->set_link(link);
}

void Cluster::request(const std::string& id, const std::string& method, const std::string& path,
                      const std::string& body, std::function<void(const ApiResponse&)> reply) {
  SimMachine& machine = at(id);
  machine.process.post(
      [&machine, node = machine.node.get(), method, path, body, reply = std::move(reply)] {
        if (machine.node.get() != node) return;
        node->handle({method, "/fleet/v1" + path, {"application/json"}, body, "test"}, reply);
      });
}

int Cluster::ask(const std::string& id, const std::string& method, const std::string& path,
                 const std::string& body) {
  auto status = std::make_shared<int>(0);
  request(id, method, path, body,
          [status](const ApiResponse& response) { *status = response.status; });
  loop.run_ready();
  return *status;
}

std::string Cluster::body(const std::string& desired, const std::string& command,
                          const std::vector<std::pair<std::string, std::string>>& fleet) {
  std::string options =
      fmt::format(R"({{"section":"Service","name":"ExecStart","value":"{}"}})", command);
  for (const auto& [name, value] : fleet) {
    options += fmt::format(R"(,{{"section":"X-Fleet","name":"{}","value":"{}"}})", name, value);
  }
  return fmt::format(R"({{"desiredState":"{}","options":[{}]}})", desired, options);
}

std::string Cluster::leader() const {
  for (const auto& [id, machine] : machines) {
    if (machine->is_up() && machine->node->is_leading()) return id;
  }
  return {};
}

std::string Cluster::assigned(const std::string& unit) const {
  const Unit* known = mirror.unit(unit);
  return known == nullptr ? "" : mirror.target_machine(*known);
}

std::vector<std::string> Cluster::running(const std::string& unit) const {
  std::vector<std::string> on;
  for (const auto& [id, machine] : machines) {
    if (std::ranges::count(machine->systemd.active_units(), unit) != 0) on.push_back(id);
  }
  return on;
}

void Cluster::clear_calls() {
  for (auto& [id, machine] : machines) machine->systemd.clear_calls();
}

std::size_t Cluster::calls() const {
  std::size_t sum = 0;
  for (const auto& [id, machine] : machines) sum += machine->systemd.calls().size();
  return sum;
}

std::size_t Cluster::store_calls() const {
  std::size_t sum = 0;
  for (const auto& [id, machine] : machines) {
    if (machine->store) sum += static_cast<std::size_t>(machine->store->calls);
  }
  return sum;
}

bool Cluster::said(const std::string& part) const {
  return std::ranges::any_of(
      log, [&](const std::string& line) { return line.find(part) != std::string::npos; });
}

std::vector<std::string> Cluster::unrest(const Excuses& excuses) const {
  std::vector<std::string> found;
  for (const auto& [id, machine] : machines) {
    if (!machine->is_up()) continue;
    const auto active = machine->systemd.active_units();
    std::set<std::string> runs(active.begin(), active.end());
    std::set<std::string> wanted;
    for (const auto& [name, unit] : mirror.units()) {
      const auto record = unit.schedule.find(id);
      if (record == unit.schedule.end()) continue;
      if (record->second->state == UnitState::inactive) {
        found.push_back(name + " has not left " + id);
      }
      if (record->second->state != UnitState::launched) continue;
      wanted.insert(name);
      if (runs.contains(name) && machine->systemd.running_text(name) != record->second->text) {
        found.push_back(fmt::format("{} runs {} from another file than it should", id, name));
      }
    }
    const auto excused = [](const auto& excuse, const std::string& on, const std::string& name) {
      return excuse && excuse(on, name);
    };
    std::erase_if(wanted, [&, &on = id](const std::string& name) {
      return !runs.contains(name) && excused(excuses.is_idle, on, name);
    });
    std::erase_if(runs, [&, &on = id](const std::string& name) {
      return !wanted.contains(name) && excused(excuses.runs, on, name);
    });
    if (runs != wanted) {
      found.push_back(fmt::format("{} runs {} instead of {}", id, fmt::join(runs, " "),
                                  fmt::join(wanted, " ")));
    }
  }
  for (const auto& [name, unit] : mirror.units()) {
    if (!unit.is_known() && !is_left_as_it_is(unit)) found.push_back(name + " is left over");
    if (unit.is_known() && unit.desired() == UnitState::launched) {
      for (const auto& [machine, record] : unit.schedule) {
        if (!record.value || record->state != UnitState::launched || !at(machine).is_up()) continue;
        if (record->restarts == unit.target->restarts) continue;
        found.push_back(fmt::format("a restart of {} was not passed on to {}", name, machine));
      }
    }
    const UnitState wanted =
        unit.is_known() && assigned_anywhere(unit) ? unit.desired() : UnitState::inactive;
    const UnitState is = mirror.current_state(unit);
    if (is != wanted && !(is == UnitState::loaded && starts_never(name, unit))) {
      found.push_back(
          fmt::format("{} is {} instead of {}", name, to_string(is), to_string(wanted)));
    }
    for (const auto& [id, state] : unit.states) {
      const auto record = unit.schedule.find(id);
      if (record == unit.schedule.end() || record->second->state != UnitState::launched) continue;
      if (state->restarts != record->second->restarts && !starts_never(name, unit)) {
        found.push_back(fmt::format("{} has not been restarted on {}", name, id));
      }
    }
    const std::string why = why_waiting(mirror, name, options_.mass_loss_percent);
    if (why == "the leader is about to act on it") found.push_back(name + ": " + why);
    if (why.empty() != (assigned_anywhere(unit) || unit.desired() == UnitState::inactive)) {
      found.push_back(fmt::format("{} has the reason \"{}\"", name, why));
    }
  }
  return found;
}

void Cluster::on_change(const WatchBatch& batch) {
  for (const WatchEvent& event : batch.events) {
    const auto key = mirror.keys().parse(event.value.key);
    if (key && key->kind == Key::Kind::schedule) last_decision = batch.revision;
  }
  if (witness_.before_mirrored) witness_.before_mirrored(batch);
  mirror.apply(batch);
  if (witness_.after_mirrored) witness_.after_mirrored(batch);
}

void Cluster::write_by_hand(const Transaction& transaction) {
  by_hand_ = true;
  (void)etcd.commit(transaction);
  by_hand_ = false;
}

void Cluster::say(const LogLine& line) {
  if (witness_.on_log) witness_.on_log(line);
  if (!keeps_log) return;
  const auto time =
      std::chrono::duration_cast<std::chrono::milliseconds>(loop.now().time_since_epoch());
  log.push_back(fmt::format("{:>8} {} {}: {}", time.count(), line.machine, line.unit, line.text));
}

}  // namespace fleet
