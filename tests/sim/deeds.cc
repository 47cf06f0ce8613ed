#include "tests/sim/deeds.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "api/json/entities.h"
#include "cluster/keys.h"

namespace fleet {

namespace {

// In which a request for a change is answered, or comes to nothing.
constexpr Duration kOnItsWay = std::chrono::seconds(60);

using std::chrono::milliseconds;
using std::chrono::seconds;

std::int64_t number(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// The words of the form name=value.
std::pair<std::string, std::string> split(const std::string& word) {
  const std::size_t equals = word.find('=');
  if (equals == std::string::npos) return {word, ""};
  return {word.substr(0, equals), word.substr(equals + 1)};
}

void add_to_link(MemoryLink& link, const std::string& word) {
  const auto [name, value] = split(word);
  const milliseconds time(number(value));
  if (name == "down") link.connected = false;
  if (name == "deaf") link.replies_lost = true;
  if (name == "delay") link.delay = time;
  if (name == "jitter") link.jitter = time;
  if (name == "watch") link.watch_delay = time;
}

struct Option {
  std::string section;
  std::string name;
  std::string value;
};

std::vector<Option> options_of(const Words& content) {
  std::vector<Option> options;
  std::string command = "/bin/sleep 1000000";
  std::string mark;
  for (const std::string& word : content) {
    const auto [name, value] = split(word);
    const auto fleet = [&](const std::string& option, const std::string& is) {
      options.push_back({"X-Fleet", option, is});
    };
    if (name == "run") {
      if (value == "oneshot" || value == "stays" || value == "slow") {
        options.push_back({"Service", "Type", "oneshot"});
        if (value == "stays") options.push_back({"Service", "RemainAfterExit", "yes"});
        command = value == "slow" ? "/bin/sleep 5" : "/bin/true";
      } else if (value == "never") {
        options.push_back({"Service", "Type", "notify"});
      } else if (value == "skipped") {
        options.push_back({"Unit", "ConditionPathExists", "/nonexistent"});
      } else if (value == "true" || value == "false") {
        command = "/bin/" + value;
      } else if (value == "bad") {
        command.clear();
      } else if (value == "brief") {
        command = "/bin/sleep 20";
      } else if (value == "oneshot-fails") {
        options.push_back({"Service", "Type", "oneshot"});
        command = "/bin/false";
      }
    }
    if (name == "mark") mark = value;
    if (name == "global") fleet("Global", "true");
    if (name == "conflicts") fleet("Conflicts", value);
    if (name == "replaces") fleet("Replaces", value);
    if (name == "of") fleet("MachineOf", value);
    if (name == "on") fleet("MachineID", value);
    if (name == "meta") fleet("MachineMetadata", value);
  }
  if (command.empty()) {
    options.insert(options.begin(), {"Service", "Type", "simple"});  // and nothing to run
  } else {
    options.insert(options.begin(), {"Service", "ExecStart", command});
  }
  if (!mark.empty()) options.push_back({"Unit", "Description", mark});
  return options;
}

std::string body_of(const std::string& state, const Words& content) {
  std::string options;
  for (const Option& option : options_of(content)) {
    options += fmt::format(R"({}{{"section":"{}","name":"{}","value":"{}"}})",
                           options.empty() ? "" : ",", option.section, option.name, option.value);
  }
  return fmt::format(R"({{"desiredState":"{}","options":[{}]}})", state, options);
}

}  // namespace

std::string unit_text(const Words& content) {
  std::string text;
  for (const Option& option : options_of(content)) {
    text += fmt::format("[{}]\n{}={}\n", option.section, option.name, option.value);
  }
  return text;
}

Result<Setup> Setup::of(const Plan& plan) {
  Setup setup;
  for (const Words& words : plan.setup) {
    const auto need = [&](std::size_t count) { return words.size() >= count; };
    if (words[0] == "ttl" && need(2)) {
      setup.options.ttl = seconds(number(words[1]));
    } else if (words[0] == "loss" && need(2)) {
      setup.options.mass_loss_percent = static_cast<int>(number(words[1]));
    } else if (words[0] == "line") {
      for (std::size_t i = 1; i < words.size(); ++i) add_to_link(setup.line, words[i]);
    } else if (words[0] == "machine" && need(2)) {
      auto& metadata = setup.machines[words[1]];
      for (std::size_t i = 2; i < words.size(); ++i) metadata.insert(split(words[i]));
    } else if (words[0] == "later" && need(2)) {
      setup.later.insert(words[1]);
    } else if (words[0] == "unit" && need(3)) {
      setup.units[words[1]].emplace_back(words.begin() + 3, words.end());
    } else if (words[0] != "seed") {
      return fail(ErrorCode::invalid, "what is this: " + words[0]);
    }
  }
  return setup;
}

Deeds::Deeds(Cluster& cluster, const Setup& setup) : cluster_(cluster), setup_(setup) {
  for (const auto& [id, metadata] : setup_.machines) {
    SimMachine& machine = cluster_.add(id, metadata);
    machine.link = setup_.line;
    machine.is_later = setup_.later.contains(id);
    machine.systemd.set_fault_hook(
        [this, id](std::string_view call, const std::string&) -> std::optional<Error> {
          int& left = refusals_[id][std::string(call)];
          if (left == 0) return std::nullopt;
          --left;
          return Error{ErrorCode::failed, "no space left on device"};
        });
  }
}

const std::map<std::string, Deeds::Verb>& Deeds::verbs() {
  static const std::map<std::string, Verb> kVerbs = {
      {"put", &Deeds::put},
      {"state", &Deeds::state},
      {"destroy", &Deeds::destroy},
      {"restart", &Deeds::restart},
      {"metadata", &Deeds::metadata},
      {"get", &Deeds::get},
      {"damage", &Deeds::damage},
      {"lose", &Deeds::lose},
      {"mend", &Deeds::mend},
      {"start", &Deeds::start},
      {"kill", &Deeds::kill},
      {"off", &Deeds::off},
      {"leave", &Deeds::leave},
      {"pause", &Deeds::pause},
      {"suspend", &Deeds::suspend},
      {"go-on", &Deeds::go_on},
      {"jump", &Deeds::jump},
      {"link", &Deeds::link},
      {"break-calls", &Deeds::break_calls},
      {"end-watches", &Deeds::end_watches},
      {"compact", &Deeds::compact},
      {"revoke", &Deeds::revoke},
      {"depose", &Deeds::depose},
      {"script", &Deeds::script},
      {"unscript", &Deeds::unscript},
      {"unhang", &Deeds::unhang},
      {"crash", &Deeds::crash},
      {"hand-stop", &Deeds::hand_stop},
      {"hand-start", &Deeds::hand_start},
      {"bus", &Deeds::bus},
      {"latency", &Deeds::latency},
      {"refuse", &Deeds::refuse},
  };
  return kVerbs;
}

Status Deeds::perform(const Words& words) {
  const auto verb = verbs().find(words[0]);
  if (verb == verbs().end()) return fail(ErrorCode::invalid, "no such action: " + words[0]);
  (this->*verb->second)(words);
  return {};
}

SimMachine* Deeds::machine(const Words& words) {
  if (words.size() < 2) return nullptr;
  const auto found = cluster_.machines.find(words[1]);
  return found == cluster_.machines.end() ? nullptr : found->second.get();
}

SimMachine* Deeds::running(const Words& words) {
  SimMachine* const there = machine(words);
  return there != nullptr && there->is_up() ? there : nullptr;
}

// --- What users do.

void Deeds::ask(Asked asked, const std::string& body) {
  asked.revision = cluster_.etcd.revision();
  asked.at = cluster_.loop.now();
  const std::string machine = asked.machine;
  const std::string method = asked.method;
  const std::string path = asked.path;
  Changes& changes = changes_[asked.key];
  const std::uint64_t number = ++changes.last;
  asked.alone = std::ranges::none_of(changes.open, [this](const auto& other) {
    return cluster_.loop.now() - other.second < kOnItsWay;
  });
  changes.open[number] = cluster_.loop.now();
  cluster_.request(machine, method, path, body,
                   [this, number, asked = std::move(asked)](const ApiResponse& response) mutable {
                     Changes& now = changes_[asked.key];
                     now.open.erase(number);
                     asked.alone = asked.alone && now.last == number;
                     if (on_answer) on_answer(asked, response);
                   });
}

// put MACHINE UNIT STATE CONTENT
void Deeds::put(const Words& words) {
  if (running(words) == nullptr || words.size() < 5) return;
  const auto unit = setup_.units.find(words[2]);
  const auto content = static_cast<std::size_t>(number(words[4]));
  if (unit == setup_.units.end() || content >= unit->second.size()) return;
  ask({.machine = words[1],
       .method = "PUT",
       .path = "/units/" + words[2],
       .key = Keys().target(words[2])},
      body_of(words[3], unit->second[content]));
}

// state MACHINE UNIT STATE: the content stays.
void Deeds::state(const Words& words) {
  if (running(words) == nullptr || words.size() < 4) return;
  ask({.machine = words[1],
       .method = "PUT",
       .path = "/units/" + words[2],
       .key = Keys().target(words[2])},
      fmt::format(R"({{"desiredState":"{}"}})", words[3]));
}

// destroy MACHINE UNIT
void Deeds::destroy(const Words& words) {
  if (running(words) == nullptr || words.size() < 3) return;
  ask({.machine = words[1],
       .method = "DELETE",
       .path = "/units/" + words[2],
       .key = Keys().target(words[2])});
}

// restart MACHINE UNIT
void Deeds::restart(const Words& words) {
  if (running(words) == nullptr || words.size() < 3) return;
  ask({.machine = words[1],
       .method = "POST",
       .path = "/units/" + words[2] + "/restart",
       .key = Keys().target(words[2])});
}

// metadata MACHINE OF KEY [VALUE]: sets it through MACHINE's API, or removes it.
void Deeds::metadata(const Words& words) {
  if (running(words) == nullptr || words.size() < 4) return;
  const bool removes = words.size() < 5;
  ask({.machine = words[1],
       .method = "PATCH",
       .path = "/machines",
       .key = Keys().metadata(words[2], words[3])},
      to_json(std::vector<MetadataChange>{{.op = removes ? "remove" : "add",
                                           .path = "/" + words[2] + "/metadata/" + words[3],
                                           .value = removes ? "" : words[4]}}));
}

// get MACHINE PATH
void Deeds::get(const Words& words) {
  if (running(words) == nullptr || words.size() < 3) return;
  ask({.machine = words[1], .method = "GET", .path = words[2]});
}

// The record that KIND UNIT [MACHINE] names: of the kind unit, target, schedule or state.
std::optional<KeyValue> Deeds::record(const Words& words) const {
  if (words.size() < 3) return std::nullopt;
  const Keys keys;
  std::string key;
  if (words[1] == "unit") key = keys.unit(words[2]);
  if (words[1] == "target") key = keys.target(words[2]);
  if (words.size() > 3 && words[1] == "schedule") key = keys.schedule(words[3], words[2]);
  if (words.size() > 3 && words[1] == "state") key = keys.state(words[3], words[2]);
  // One at a time of a unit, so that what is left of it tells what is to be mended.
  if (damaged_.contains(keys.unit(words[2])) || damaged_.contains(keys.target(words[2]))) {
    return std::nullopt;
  }
  if (key.empty() || damaged_.contains(key)) return std::nullopt;
  const auto found = cluster_.etcd.read({key, false}, 0);
  if (!found || found->values.empty()) return std::nullopt;
  return found->values[0];
}

// damage KIND UNIT [MACHINE]: the record becomes one of an unknown version.
void Deeds::damage(const Words& words) {
  auto was = record(words);
  if (!was) return;
  cluster_.write_by_hand({{}, {Put{was->key, R"({"v":2,"state":"inactive"})", was->lease}}});
  was->mod_revision = cluster_.etcd.revision();
  damaged_.emplace(was->key, *was);
}

// lose KIND UNIT [MACHINE]: the record is gone.
void Deeds::lose(const Words& words) {
  auto was = record(words);
  if (!was) return;
  cluster_.write_by_hand({{}, {Delete{{was->key, false}}}});
  was->mod_revision = 0;
  damaged_.emplace(was->key, *was);
}

// Whether a record that is lost was not taken away for good meanwhile.
bool Deeds::may_be_back(const Key& key, const std::string& value, const Unit* unit) {
  if (unit == nullptr) return false;
  if (key.kind == Key::Kind::state) return unit->schedule.contains(key.machine);
  if (key.kind == Key::Kind::target) {
    const Result<TargetRecord> was = decode_target(value);
    return unit->unit.exists() != (was && was->destroyed);  // a tombstone is of one that is gone
  }
  return key.kind == Key::Kind::unit && unit->target.value && !unit->target->destroyed;
}

// What was damaged or lost is again as it was before, if nobody has written it since. Decisions
// that are lost are fleet's to make anew; the state of a unit is lost for good with the decision
// about it.
void Deeds::mend(const Words&) {
  for (const auto& [key, was] : std::exchange(damaged_, {})) {
    const auto now = cluster_.etcd.read({key, false}, 0);
    const Revision revision = now && !now->values.empty() ? now->values[0].mod_revision : 0;
    const auto parsed = Keys().parse(key);
    const Unit* unit = cluster_.mirror.unit(parsed->name);
    if (revision != was.mod_revision) continue;
    if (revision == 0 && !may_be_back(*parsed, was.value, unit)) continue;
    cluster_.write_by_hand({{}, {Put{key, was.value, was.lease}}});
  }
}

// --- What befalls fleetd and its machine.

void Deeds::start(const Words& words) {
  SimMachine* const there = machine(words);
  if (there == nullptr || there->hardware.is_held()) return;
  begin(words[1]);
}

void Deeds::begin(const std::string& id) {
  if (leaving_.erase(id) != 0) left_[id] = cluster_.loop.now();
  cluster_.start(id);
}

bool Deeds::was_leaving(const std::string& id, Time when) const {
  if (leaving_.contains(id)) return true;
  const auto left = left_.find(id);
  return left != left_.end() && left->second + cluster_.at(id).systemd.latency() >= when;
}

void Deeds::kill(const Words& words) {
  SimMachine* const there = running(words);
  if (there != nullptr && !there->hardware.is_held()) cluster_.kill(words[1]);
}

void Deeds::off(const Words& words) {
  if (machine(words) != nullptr) cluster_.power_off(words[1]);
}

void Deeds::leave(const Words& words) {
  if (running(words) == nullptr) return;
  leaving_.insert(words[1]);
  cluster_.leave(words[1]);
}

// As by SIGSTOP.
void Deeds::pause(const Words& words) {
  if (SimMachine* there = running(words)) there->process.hold(/*clock_stops=*/false);
}

void Deeds::suspend(const Words& words) {
  SimMachine* const there = running(words);
  if (there == nullptr || there->process.is_held()) return;
  there->process.hold(/*clock_stops=*/true);
  there->hardware.hold(/*clock_stops=*/true);
}

void Deeds::go_on(const Words& words) {
  SimMachine* const there = machine(words);
  if (there == nullptr) return;
  there->process.go_on();
  there->hardware.go_on();
}

// jump MACHINE MS
void Deeds::jump(const Words& words) {
  SimMachine* const there = running(words);
  if (there == nullptr || words.size() < 3 || there->process.is_held()) return;
  there->process.jump(milliseconds(number(words[2])));
}

// --- The store and the way to it.

MemoryLink Deeds::link_of(const Words& words, std::size_t from) const {
  MemoryLink link = setup_.line;
  for (std::size_t i = from; i < words.size(); ++i) add_to_link(link, words[i]);
  return link;
}

// link MACHINE [down|deaf|delay=MS|jitter=MS|watch=MS ...]: the rest is as on a healthy line.
void Deeds::link(const Words& words) {
  if (machine(words) != nullptr) cluster_.set_link(words[1], link_of(words, 2));
}

void Deeds::break_calls(const Words& words) {
  if (SimMachine* there = running(words)) there->session->break_calls();
}

void Deeds::end_watches(const Words& words) {
  if (SimMachine* there = running(words)) {
    there->session->end_watches({ErrorCode::denied, "the watch was cancelled"});
  }
}

void Deeds::compact(const Words&) {
  cluster_.etcd.compact(cluster_.etcd.revision());
}

// The machine's lease ends at once.
void Deeds::revoke(const Words& words) {
  if (machine(words) == nullptr) return;
  const auto record = cluster_.etcd.read({Keys().machine(words[1]), false}, 0);
  if (record && !record->values.empty()) cluster_.etcd.revoke_lease(record->values[0].lease);
}

void Deeds::depose(const Words&) {
  (void)cluster_.etcd.commit({{}, {Delete{{Keys().leader(), false}}}});
}

// --- systemd.

// script MACHINE UNIT [start=S|stop=S|fails|hangs|stop-hangs|times-out|mute ...]
void Deeds::script(const Words& words) {
  SimMachine* const there = machine(words);
  if (there == nullptr || words.size() < 3) return;
  FakeScript script;
  for (std::size_t i = 3; i < words.size(); ++i) {
    const auto [name, value] = split(words[i]);
    if (name == "start") script.start_takes = seconds(number(value));
    if (name == "stop") script.stop_takes = seconds(number(value));
    if (name == "fails") script.start_fails = true;
    if (name == "hangs") script.start_hangs = true;
    if (name == "stop-hangs") script.stop_hangs = true;
    if (name == "times-out") script.start_job_times_out = true;
    if (name == "mute") script.loses_signals = true;
  }
  there->systemd.set_script(words[2], script);
}

void Deeds::unscript(const Words& words) {
  if (machine(words) == nullptr || words.size() < 3) return;
  machine(words)->systemd.clear_script(words[2]);
}

// unhang MACHINE: what hangs there goes on.
void Deeds::unhang(const Words& words) {
  if (SimMachine* there = machine(words)) there->systemd.end_hangs();
}

void Deeds::crash(const Words& words) {
  if (machine(words) == nullptr || words.size() < 3) return;
  machine(words)->systemd.crash(words[2]);
}

void Deeds::hand_stop(const Words& words) {
  if (machine(words) == nullptr || words.size() < 3) return;
  machine(words)->systemd.stop_by_hand(words[2]);
}

void Deeds::hand_start(const Words& words) {
  if (machine(words) == nullptr || words.size() < 3) return;
  machine(words)->systemd.start_by_hand(words[2]);
}

// bus MACHINE down|up
void Deeds::bus(const Words& words) {
  SimMachine* const there = machine(words);
  if (there == nullptr || words.size() < 3) return;
  if (words[2] == "down") {
    without_bus_.insert(words[1]);
    there->systemd.disconnect();
  } else {
    without_bus_.erase(words[1]);
    there->systemd.connect();
  }
}

// latency MACHINE MS
void Deeds::latency(const Words& words) {
  if (machine(words) == nullptr || words.size() < 3) return;
  machine(words)->systemd.set_latency(milliseconds(number(words[2])));
}

// refuse MACHINE CALL N: the next N calls of systemd or the disk fail.
void Deeds::refuse(const Words& words) {
  if (machine(words) == nullptr || words.size() < 4) return;
  refusals_[words[1]][words[2]] = static_cast<int>(number(words[3]));
}

bool Deeds::is_whole(const std::string& id) const {
  const SimMachine& machine = cluster_.at(id);
  if (!machine.is_up() || leaving_.contains(id) || without_bus_.contains(id)) return false;
  if (machine.process.is_held() || machine.hardware.is_held()) return false;
  const auto refused = refusals_.find(id);
  return machine.link == setup_.line &&
         (refused == refusals_.end() ||
          std::ranges::all_of(refused->second, [](const auto& it) { return it.second == 0; }));
}

void Deeds::heal() {
  refusals_.clear();
  without_bus_.clear();
  mend({});
  for (auto& [id, machine] : cluster_.machines) {
    cluster_.set_link(id, setup_.line);
    for (const auto& [unit, contents] : setup_.units) machine->systemd.clear_script(unit);
    machine->systemd.end_hangs();
    machine->process.go_on();
    machine->hardware.go_on();
    machine->systemd.connect();
    // Whoever has left is back.
    if (!machine->is_up() || leaving_.contains(id)) begin(id);
  }
}

}  // namespace fleet
