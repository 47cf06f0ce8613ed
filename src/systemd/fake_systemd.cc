#include <charconv>
#include <utility>

#include "systemd/fake_unit_manager.h"
#include "unit/unit_name.h"

namespace fleet {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) {
    text.remove_suffix(1);
  }
  return text;
}

// The last value of `option` in any section; a unit file has few options of the same name in two.
std::string_view value_of(std::string_view text, std::string_view option) {
  std::string_view value;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trimmed(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos || trimmed(line.substr(0, equals)) != option) continue;
    value = trimmed(line.substr(equals + 1));
  }
  return value;
}

bool is_yes(std::string_view value) {
  return value == "yes" || value == "true" || value == "1";
}

// "/bin/sleep 3" -> "sleep", "3"
std::pair<std::string_view, std::string_view> command_of(std::string_view exec) {
  while (!exec.empty() && std::string_view("-@+!:").contains(exec.front())) exec.remove_prefix(1);
  const std::size_t space = exec.find(' ');
  std::string_view program = exec.substr(0, space);
  program = program.substr(program.rfind('/') + 1);  // npos + 1 is 0
  return {program, space == std::string_view::npos ? "" : trimmed(exec.substr(space))};
}

// The states of a unit that has been started and stays so.
std::string_view started_sub_state(std::string_view name, const FakeScript& script) {
  const std::string suffix = split_unit_name(name).suffix;
  if (suffix == ".service") return script.oneshot ? "exited" : "running";
  if (suffix == ".socket") return "listening";
  if (suffix == ".timer" || suffix == ".path" || suffix == ".automount") return "waiting";
  if (suffix == ".mount") return "mounted";
  return "active";
}

}  // namespace

FakeScript script_of(std::string_view unit_name, std::string_view text) {
  FakeScript script;
  script.skipped = value_of(text, "ConditionPathExists") == "/nonexistent";
  if (!unit_name.ends_with(".service")) return script;
  const std::string_view exec = value_of(text, "ExecStart");
  const std::string_view type = value_of(text, "Type");
  script.bad_setting = exec.empty();
  script.oneshot = type == "oneshot";
  script.remain_after_exit = is_yes(value_of(text, "RemainAfterExit"));
  script.start_hangs = type == "notify";
  const auto [program, argument] = command_of(exec);
  if (program == "true" || program == "false") {
    const bool failing = program == "false";
    script.start_fails = failing && script.oneshot;
    if (!script.oneshot) script.exits_after = Duration::zero();
    script.exit_fails = failing;
  }
  if (program == "sleep") {
    unsigned seconds = 0;
    const auto [end, error] =
        std::from_chars(argument.data(), argument.data() + argument.size(), seconds);
    if (error == std::errc() && end == argument.data() + argument.size()) {
      (script.oneshot ? script.start_takes : script.exits_after.emplace()) =
          std::chrono::seconds(seconds);
    }
  }
  return script;
}

FakeSystemd::FakeSystemd(EventLoop& loop) : loop_(loop) {}

FakeSystemd::~FakeSystemd() {
  for (auto& [name, unit] : units_) {
    loop_.cancel(unit.exit_timer);
    if (unit.job) loop_.cancel(unit.job->timer);
  }
}

void FakeSystemd::set_script(const std::string& name, FakeScript script) {
  scripts_.insert_or_assign(name, script);
}

void FakeSystemd::clear_script(const std::string& name) {
  scripts_.erase(name);
}

void FakeSystemd::end_hangs() {
  std::vector<std::string> names;
  names.reserve(units_.size());
  for (const auto& [name, unit] : units_) names.push_back(name);
  for (const std::string& name : names) {
    Unit& unit = *find(name);
    const bool stop_hung = std::exchange(unit.script.stop_hangs, false);
    if (stop_hung && unit.active_state == "deactivating") {
      finish_stop(name);
    } else if (unit.script.start_hangs && !script_of(name, unit.text).start_hangs) {
      unit.script.start_hangs = false;
      if (unit.active_state == "activating") finish_start(name);
    }
  }
}

void FakeSystemd::start_by_hand(const std::string& name) {
  (void)enqueue(name, Verb::start);
}

void FakeSystemd::stop_by_hand(const std::string& name) {
  (void)enqueue(name, Verb::stop);
}

void FakeSystemd::crash(const std::string& name) {
  Unit* unit = find(name);
  if (unit == nullptr) return;
  if (unit->active_state == "active") return process_ended(name, /*failed=*/true);
  if (unit->active_state != "activating") return;
  loop_.cancel(std::exchange(unit->exit_timer, 0));
  set_state(name, "failed", "failed");
  if (unit->job) end_job(name, "failed");
}

void FakeSystemd::put_file(const std::string& name, const std::string& text) {
  File& file = files_[name];
  file.text = text;
  file.version = next_id_++;
}

void FakeSystemd::put_file_before(const std::string& name, const std::string& path,
                                  const std::string& text) {
  files_before_.insert_or_assign(name, FileBefore{path, text});
}

void FakeSystemd::take_file_before(const std::string& name) {
  files_before_.erase(name);
  reload();
  tell_changed(name);
}

void FakeSystemd::disconnect() {
  if (!std::exchange(connected_, false)) return;
  const std::map<ClientId, Client> clients = clients_;
  for (const auto& [id, client] : clients) client.connection(false);
}

void FakeSystemd::connect() {
  if (std::exchange(connected_, true)) return;
  const std::map<ClientId, Client> clients = clients_;
  for (const auto& [id, client] : clients) client.connection(true);
}

void FakeSystemd::reboot() {
  ++boots_;
  disconnect();
  for (auto& [name, unit] : units_) {
    loop_.cancel(unit.exit_timer);
    if (unit.job) loop_.cancel(unit.job->timer);
    if (witness_.on_active_state && unit.active_state != "inactive") {
      witness_.on_active_state(name, unit.active_state, "inactive");
    }
  }
  units_.clear();
  files_.clear();
  files_before_.clear();
  invocations_.clear();
  connect();
}

UnitStatus FakeSystemd::status(const std::string& name) const {
  UnitStatus status;
  status.load_state = "not-found";
  status.active_state = "inactive";
  status.sub_state = "dead";
  const auto file = files_.find(name);
  const auto before = files_before_.find(name);
  if (!systemd_can_have(name)) {
    status.load_state = "error";
    status.load_error = "systemd can have no unit of this name";
  } else if (const auto unit = units_.find(name); unit != units_.end()) {
    status.load_state = unit->second.load_state;
    status.active_state = unit->second.active_state;
    status.sub_state = unit->second.sub_state;
    status.job_pending = unit->second.job.has_value();
    status.needs_reload = file == files_.end() || file->second.version != unit->second.version;
    status.other_file = unit->second.other_file;
  } else if (before != files_before_.end()) {
    status.load_state = load_state_of(name, before->second.text);
    status.other_file = before->second.path;
  } else if (file != files_.end()) {
    status.load_state = load_state_of(name, file->second.text);
  }
  if (status.load_state == "not-found") status.load_error = "Unit " + name + " not found.";
  if (status.load_state == "bad-setting") {
    status.load_error = "Unit " + name + " has a bad unit file setting.";
  }
  return status;
}

std::uint64_t FakeSystemd::invocations(const std::string& name) const {
  const auto found = invocations_.find(name);
  return found == invocations_.end() ? 0 : found->second;
}

std::optional<std::string> FakeSystemd::file(const std::string& name) const {
  const auto found = files_.find(name);
  if (found == files_.end()) return std::nullopt;
  return found->second.text;
}

std::optional<std::string> FakeSystemd::running_text(const std::string& name) const {
  const auto found = units_.find(name);
  if (found == units_.end()) return std::nullopt;
  return found->second.running_text;
}

bool FakeSystemd::enabled(const std::string& name) const {
  const auto found = files_.find(name);
  return found != files_.end() && found->second.enabled;
}

std::vector<std::string> FakeSystemd::active_units() const {
  std::vector<std::string> names;
  names.reserve(units_.size());
  for (const auto& [name, unit] : units_) {
    if (unit.active_state == "active" || unit.active_state == "activating") names.push_back(name);
  }
  return names;
}

FakeSystemd::ClientId FakeSystemd::attach(Client client) {
  const ClientId id = next_id_++;
  clients_.emplace(id, std::move(client));
  return id;
}

Result<FakeSystemd::JobId> FakeSystemd::enqueue(const std::string& name, Verb verb) {
  if (!systemd_can_have(name)) {
    return fail(ErrorCode::failed, status(name).load_error);
  }
  const bool known = units_.contains(name);
  Unit& unit = units_[name];
  if (!known) load(name, unit);
  if (verb != Verb::stop && unit.load_state != "loaded") {
    const std::string reason = status(name).load_error;
    forget_if_idle(name);
    return fail(ErrorCode::failed, reason);
  }
  const bool opposite = unit.job && (unit.job->verb == Verb::stop) != (verb == Verb::stop);
  if (opposite) end_job(name, "canceled");
  // A queued job of the same direction takes the new one in; a restart contains a start.
  if (unit.job && (unit.job->verb == verb || unit.job->verb == Verb::restart)) {
    calls_.push_back({loop_.now(), verb, name, invocations(name)});
    return unit.job->id;
  }
  if (unit.job) {
    loop_.cancel(unit.job->timer);
    unit.job->verb = verb;
  } else {
    unit.job = Job{.id = next_id_++, .verb = verb};
  }
  const JobId id = unit.job->id;
  const bool idle = unit.active_state == "inactive" || unit.active_state == "failed";
  const bool stopping = unit.active_state == "deactivating";
  if (verb == Verb::stop || (verb == Verb::restart && !idle) || stopping) {
    begin_stop(name);
  } else {
    begin_start(name);
  }
  calls_.push_back({loop_.now(), verb, name, invocations(name)});
  return id;
}

void FakeSystemd::write(const std::string& name, std::string text, bool enable) {
  const bool known = files_.contains(name);
  File& file = files_[name];
  file.enabled = enable;
  if (known && file.text == text) return;
  file.text = std::move(text);
  file.version = next_id_++;
  if (units_.contains(name)) tell_changed(name);
}

void FakeSystemd::remove(const std::string& name) {
  files_.erase(name);
  Unit* unit = find(name);
  if (unit == nullptr) return;
  if (unit->active_state == "failed") set_state(name, "inactive", "dead");
  forget_if_idle(name);
  tell_changed(name);
}

void FakeSystemd::reload() {
  ++reloads_;
  for (auto& [name, unit] : units_) {
    load(name, unit);
    tell_changed(name);
  }
}

FakeSystemd::Unit* FakeSystemd::find(const std::string& name) {
  const auto found = units_.find(name);
  return found == units_.end() ? nullptr : &found->second;
}

void FakeSystemd::load(const std::string& name, Unit& unit) const {
  const auto file = files_.find(name);
  if (file == files_.end()) {
    unit.load_state = "not-found";
    return;
  }
  const auto before = files_before_.find(name);
  unit.other_file = before != files_before_.end() ? before->second.path : "";
  unit.text = before != files_before_.end() ? before->second.text : file->second.text;
  unit.version = file->second.version;
  unit.load_state = load_state_of(name, unit.text);
}

std::string FakeSystemd::load_state_of(const std::string& name, const std::string& text) const {
  return script_for(name, text).bad_setting ? "bad-setting" : "loaded";
}

FakeScript FakeSystemd::script_for(const std::string& name, const std::string& text) const {
  const auto found = scripts_.find(name);
  return found == scripts_.end() ? script_of(name, text) : found->second;
}

bool FakeSystemd::loses_signals(const std::string& name) const {
  const auto found = scripts_.find(name);
  return found != scripts_.end() && found->second.loses_signals;
}

std::size_t FakeSystemd::outdated() const {
  std::size_t count = 0;
  for (const auto& [name, unit] : units_) {
    const auto file = files_.find(name);
    if (file == files_.end() || file->second.version != unit.version) ++count;
  }
  return count;
}

void FakeSystemd::begin_start(const std::string& name) {
  Unit& unit = *find(name);
  if (unit.active_state == "active" || unit.active_state == "reloading") {
    end_job(name, "done");
    return;
  }
  // It goes on starting since an earlier job; this one ends with that.
  if (unit.active_state == "activating") return;
  unit.script = script_for(name, unit.text);
  if (!unit.script.skipped) {
    ++invocations_[name];
    unit.running_text = unit.text;
  }
  if (unit.script.skipped) {
    end_job(name, "skipped");
    return;
  }
  if (!unit.script.start_hangs && unit.script.start_takes == Duration::zero()) {
    finish_start(name);
    return;
  }
  set_state(name, "activating", "start");
  if (unit.script.start_hangs) return;
  unit.job->timer = after(unit.script.start_takes, name, &FakeSystemd::finish_start);
}

void FakeSystemd::finish_start(const std::string& name) {
  Unit& unit = *find(name);
  if (std::exchange(unit.script.start_job_times_out, false)) {
    set_state(name, "activating", "start");
    unit.exit_timer = loop_.call_after(unit.script.start_takes, [this, name] {
      find(name)->exit_timer = 0;
      finish_start(name);
    });
    end_job(name, "timeout");
    return;
  }
  const FakeScript& script = unit.script;
  if (script.start_fails) {
    set_state(name, "failed", "failed");
    if (unit.job) end_job(name, "failed");
    return;
  }
  if (script.oneshot && !script.remain_after_exit) {
    set_state(name, "inactive", "dead");
  } else {
    set_state(name, "active", std::string(started_sub_state(name, script)));
    if (script.exits_after) {
      // Never at once: the start's own end is seen before.
      unit.exit_timer =
          loop_.call_after(*script.exits_after, [this, name, failed = script.exit_fails] {
            find(name)->exit_timer = 0;
            process_ended(name, failed);
          });
    }
  }
  if (unit.job) {
    end_job(name, "done");
  } else {
    forget_if_idle(name);
  }
}

void FakeSystemd::begin_stop(const std::string& name) {
  Unit& unit = *find(name);
  loop_.cancel(std::exchange(unit.exit_timer, 0));
  if (unit.active_state == "inactive" || unit.active_state == "failed") {
    end_job(name, "done");
    return;
  }
  if (!unit.script.stop_hangs && unit.script.stop_takes == Duration::zero()) {
    finish_stop(name);
    return;
  }
  set_state(name, "deactivating", "stop-sigterm");
  if (unit.script.stop_hangs) return;
  unit.job->timer = after(unit.script.stop_takes, name, &FakeSystemd::finish_stop);
}

void FakeSystemd::finish_stop(const std::string& name) {
  Unit& unit = *find(name);
  set_state(name, "inactive", "dead");
  if (unit.job && unit.job->verb != Verb::stop) {
    // As systemd: between the two halves the unit is idle, but what it has read of its file stays.
    begin_start(name);
    return;
  }
  end_job(name, "done");
}

void FakeSystemd::process_ended(const std::string& name, bool failed) {
  Unit& unit = *find(name);
  loop_.cancel(std::exchange(unit.exit_timer, 0));
  if (!failed && unit.script.remain_after_exit) {
    set_state(name, "active", "exited");
    return;
  }
  set_state(name, failed ? "failed" : "inactive", failed ? "failed" : "dead");
  forget_if_idle(name);
}

void FakeSystemd::end_job(const std::string& name, const std::string& result) {
  Unit& unit = *find(name);
  const JobId id = unit.job->id;
  const Verb verb = unit.job->verb;
  loop_.cancel(unit.job->timer);
  unit.job.reset();
  if (witness_.on_job_end) witness_.on_job_end(verb, name, result);
  if (!loses_signals(name)) {
    const std::map<ClientId, Client> clients = clients_;
    for (const auto& [client_id, client] : clients) client.job_removed(id, name, result);
  }
  tell_changed(name);
  // A canceled job is replaced by another at once: the unit stays in memory for it.
  if (result != "canceled") forget_if_idle(name);
}

void FakeSystemd::set_state(const std::string& name, const std::string& active,
                            const std::string& sub) {
  Unit& unit = *find(name);
  const std::string before = std::exchange(unit.active_state, active);
  unit.sub_state = sub;
  if (witness_.on_active_state && before != active) witness_.on_active_state(name, before, active);
  tell_changed(name);
}

void FakeSystemd::forget_if_idle(const std::string& name) {
  const Unit* unit = find(name);
  if (unit == nullptr || unit->job || unit->active_state != "inactive") return;
  units_.erase(name);
}

void FakeSystemd::tell_changed(const std::string& name) {
  if (loses_signals(name)) return;
  for (const auto& [id, client] : clients_) client.changed(name);
}

EventLoop::TimerId FakeSystemd::after(Duration delay, const std::string& name,
                                      void (FakeSystemd::*step)(const std::string&)) {
  return loop_.call_after(delay, [this, name, step] {
    find(name)->job->timer = 0;
    (this->*step)(name);
  });
}

}  // namespace fleet
