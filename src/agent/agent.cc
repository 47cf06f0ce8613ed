#include "agent/agent.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/sha1.h"
#include "unit/unit_file.h"

namespace fleet {

namespace {

using namespace agent_event;

constexpr Duration kFirstPause = std::chrono::seconds(1);
constexpr int kMaxDoublings = 6;  // pauses of 1, 2, 4 ... 64 s
constexpr Duration kRecheckAfter = std::chrono::seconds(30);

bool has_install_section(const std::string& text) {
  const auto file = parse_unit_file(text);
  return file && std::ranges::any_of(file->options, [](const UnitOption& option) {
           return option.section == "Install";
         });
}

std::string_view verb(TaskKind kind) {
  switch (kind) {
    case TaskKind::none:
      return "nothing";
    case TaskKind::query:
      return "query";
    case TaskKind::write:
      return "load";
    case TaskKind::reload:
      return "reload";
    case TaskKind::start:
      return "start";
    case TaskKind::stop:
      return "stop";
    case TaskKind::restart:
      return "restart";
    case TaskKind::note:
      return "note";
    case TaskKind::remove:
      return "unload";
    case TaskKind::acknowledge:
      return "let go";
  }
  return "?";
}

bool is_job(TaskKind kind) {
  return kind == TaskKind::start || kind == TaskKind::stop || kind == TaskKind::restart;
}

// Worth a line in the log: what changes the machine.
bool is_change(TaskKind kind) {
  return is_job(kind) || kind == TaskKind::write || kind == TaskKind::remove;
}

}  // namespace

std::vector<AgentEffect> Agent::step(const AgentEvent& event, Time now) {
  effects_.clear();
  std::visit([&](const auto& it) { handle(it, now); }, event);
  // Before both are known, "not there" could be mistaken for "not wanted" or "not running".
  if (units_listed_ && schedule_read_) {
    plan(now);
    recheck_long_jobs(now);
    ask_to_wake(now);
  }
  return std::exchange(effects_, {});
}

void Agent::handle(const LocalUnitsListed& event, Time) {
  units_listed_ = true;
  for (const LocalUnit& local : event.units) {
    LocalUnitState& unit = units_[local.name];
    unit.on_disk = true;
    unit.disk_hash = sha1_hex(local.text);
    unit.note = decode_note(local.note);
    unit.stopping = local.note == kStoppingNote;
    unit.replaced = unit.note_unsaved = local.note == kReplacedNote;
    effects_.emplace_back(agent_effect::Observe{local.name});
    dirty_.insert(local.name);
  }
}

void Agent::handle(const ScheduleRead& event, Time) {
  schedule_read_ = true;
  for (auto& [name, unit] : units_) {
    if (!event.decisions.contains(name)) decide(name, {});
  }
  for (const auto& [name, decision] : event.decisions) decide(name, decision);
  for (const auto& [name, unit] : units_) {
    if (unit.on_disk && !unit.decision.exists()) {
      log(LogLevel::warning, "the registry holds no decision about it: left as it is", name);
    }
  }
}

void Agent::handle(const ScheduleChanged& event, Time) {
  decide(event.name, event.decision);
}

void Agent::decide(const std::string& name, const Entry<ScheduleRecord>& decision) {
  if (!decision.exists() && !units_.contains(name)) return;
  LocalUnitState& unit = units_[name];
  dirty_.insert(name);
  if (unit.decision.mod_revision == decision.mod_revision) return;
  if (!decision.exists() && unit.on_disk) {
    log(LogLevel::warning, "its decision is gone from the registry: left as it is", name);
  } else if (decision.exists() && !decision.value) {
    log(LogLevel::error, "left as it is: the decision cannot be read: " + decision.error, name);
  }
  unit.decision = decision;
  // What failed under the old decision is tried at once under the new one.
  unit.failures = unit.refusals = 0;
  unit.not_before = {};
  unit.problem.clear();
  unit.runs_again = false;
  backing_off_.erase(name);
}

void Agent::handle(const StatusSeen& event, Time) {
  const auto found = units_.find(event.name);
  if (found == units_.end()) return;
  LocalUnitState& unit = found->second;
  unit.status = event.status;
  // While its file is written this may be older than that.
  if (unit.running != TaskKind::write && will_run_file_in_place(event.status)) {
    unit.replaced = false;
  }
  dirty_.insert(event.name);
}

void Agent::handle(const TaskDone& event, Time now) {
  const auto found = units_.find(event.name);
  if (found == units_.end() || found->second.running_id != event.id) return;
  LocalUnitState& unit = found->second;
  const TaskKind kind = std::exchange(unit.running, TaskKind::none);
  unit.running_id = 0;
  jobs_.erase(event.name);
  writing_.erase(event.name);
  if (is_change(kind)) unit.status_stale = true;
  dirty_.insert(event.name);
  if (event.result) {
    succeeded(event.name, unit, kind, now);
  } else {
    failed(event.name, unit, kind, event.result.error(), now);
  }
}

void Agent::succeeded(const std::string& name, LocalUnitState& unit, TaskKind kind, Time now) {
  // That a stop has lasted is for the next answer to say.
  if (kind != TaskKind::stop) unit.failures = unit.refusals = 0;
  unit.problem.clear();
  unit.not_before = {};
  backing_off_.erase(name);
  switch (kind) {
    case TaskKind::write:
      unit.on_disk = true;
      unit.file_doubtful = false;
      unit.disk_hash = std::exchange(unit.writing_hash, {});
      unit.reloaded = false;
      unit.runs_again = false;
      unit.written = true;
      effects_.emplace_back(agent_effect::Observe{name});
      break;
    case TaskKind::start:
    case TaskKind::restart:
      // Known here at once, whatever becomes of the note on disk: a unit that has finished already
      // must not be started a second time.
      unit.stopping = false;
      unit.replaced = false;
      if (unit.launching) {
        const LaunchNote note = *std::exchange(unit.launching, std::nullopt);
        run(name, unit, {TaskKind::note, "it was started", note}, now);
      }
      break;
    case TaskKind::stop:
      unit.stopping = false;
      unit.replaced = false;
      unit.note_unsaved = true;  // on disk it still says that what runs is fleet's to stop
      unit.stopped = true;
      break;
    case TaskKind::remove:
      unit.on_disk = false;
      unit.file_doubtful = false;
      unit.disk_hash.clear();
      unit.note.reset();
      unit.note_unsaved = false;
      unit.stopping = false;
      unit.stopped = false;
      unit.reloaded = false;
      unit.runs_again = false;
      unit.written = false;
      unit.replaced = false;
      unit.status.reset();
      effects_.emplace_back(agent_effect::Ignore{name});
      break;
    case TaskKind::note:
      unit.note_unsaved = false;
      break;
    case TaskKind::acknowledge:
      // A new decision may have come meanwhile; then it was the old one that is gone.
      if (unit.decision.mod_revision == unit.acknowledging) unit.decision = {};
      if (situation_.leaving) given_back_.insert(name);
      published_.erase(name);
      break;
    default:
      break;
  }
}

void Agent::failed(const std::string& name, LocalUnitState& unit, TaskKind kind, const Error& error,
                   Time now) {
  unit.not_before = now + kFirstPause * (1 << std::min(unit.failures, kMaxDoublings));
  ++unit.failures;
  if (error.code != ErrorCode::unavailable) ++unit.refusals;
  backing_off_.set(name, unit.not_before);
  unit.launching.reset();
  // It may have been started all the same, or may be yet: systemd could not say so, or has given
  // the job up and not the unit. Then it is fleet's to stop.
  if (kind == TaskKind::start || (kind == TaskKind::restart && !unit.note)) unit.stopping = true;
  if (kind == TaskKind::write) {
    // What is there now, the old file, the new one or part of its links, is not known.
    if (!unit.on_disk) unit.file_doubtful = true;
    unit.disk_hash.clear();
  }
  // A note or an acknowledgement that fails is between fleet and its disk or registry; it says
  // nothing about the unit.
  if (is_change(kind) || kind == TaskKind::query || kind == TaskKind::reload) {
    unit.problem = fmt::format("{} failed: {}", verb(kind), error.message);
  }
  const auto pause = std::chrono::duration_cast<std::chrono::seconds>(unit.not_before - now);
  log(LogLevel::warning,
      fmt::format("{} failed: {}; tried again in {} s", verb(kind), error.message, pause.count()),
      name);
}

void Agent::handle(const QueryDone& event, Time now) {
  const auto found = units_.find(event.name);
  if (found == units_.end() || found->second.running_id != event.id) return;
  LocalUnitState& unit = found->second;
  dirty_.insert(event.name);
  if (unit.running == TaskKind::query) {
    unit.running = TaskKind::none;
    unit.running_id = 0;
    writing_.erase(event.name);
    if (!event.status) return failed(event.name, unit, TaskKind::query, event.status.error(), now);
    unit.status = *event.status;
    unit.status_stale = false;
    status_known(event.name, unit, now);
    return;
  }
  // A recheck of a job: if systemd no longer has it, its end was not announced to us. A unit that
  // is starting has the job of somebody who started it, which has taken the place of our stop.
  if (!event.status) return;
  const bool has_another =
      unit.running == TaskKind::stop && event.status->active_state == "activating";
  if (event.status->job_pending && !has_another) return;
  unit.status = *event.status;
  // A unit that is inactive after a start without having failed has finished, as a oneshot does: it
  // must not be started twice.
  const bool as_wanted = unit.running == TaskKind::stop ? !unit.is_active()
                                                        : unit.status->active_state != "failed" &&
                                                              unit.status->load_state == "loaded";
  log(LogLevel::warning, "systemd's word of a job's end was lost; found by asking", event.name);
  Status result;
  if (!as_wanted) {
    result =
        fail(ErrorCode::failed, fmt::format("the job has ended and the unit is {} ({})",
                                            unit.status->active_state, unit.status->sub_state));
  }
  handle(TaskDone{event.name, event.id, std::move(result)}, now);
}

void Agent::status_known(const std::string& name, LocalUnitState& unit, Time now) {
  const bool launched = unit.decision.value && unit.decision->state == UnitState::launched;
  // What others have changed about it, as in a drop-in, is no reason.
  const bool outdated =
      !unit.status->other_file.empty() || (unit.status->needs_reload && unit.written);
  if (unit.is_busy() && outdated && launched && !unit.note && !unit.stopping) {
    unit.replaced = true;  // nothing of it is from fleet's hand
  } else if (will_run_file_in_place(*unit.status)) {
    unit.replaced = false;
  }
  if (!std::exchange(unit.stopped, false)) return;
  unit.runs_again = unit.is_busy();
  if (!unit.runs_again) {
    unit.failures = unit.refusals = 0;
  } else if (next_task(unit, situation_).kind == TaskKind::stop) {
    // Stopping it again at once would go on for ever.
    failed(name, unit, TaskKind::stop, {ErrorCode::failed, "it runs again after it was stopped"},
           now);
  }
}

void Agent::handle(const ReloadDone& event, Time now) {
  reloading_ = false;
  for (const auto& name : std::exchange(reload_covers_, {})) {
    const auto found = units_.find(name);
    if (found == units_.end()) continue;
    found->second.status_stale = true;
    found->second.reloaded = event.result.has_value();
    dirty_.insert(name);
    if (!event.result) failed(name, found->second, TaskKind::reload, event.result.error(), now);
  }
}

void Agent::handle(const Registered& event, Time) {
  situation_.registered = true;
  if (event.new_lease) published_.clear();
  mark_all();
}

void Agent::handle(const Unregistered&, Time) {
  situation_.registered = false;
}

void Agent::handle(const Leave&, Time) {
  if (situation_.leaving) return;
  situation_.leaving = true;
  log(LogLevel::info,
      fmt::format("fleet is being stopped: {} units are handed over", units_.size()));
  for (auto& [name, unit] : units_) {
    unit.failures = unit.refusals = 0;
    unit.not_before = {};
    backing_off_.erase(name);
  }
  mark_all();
}

void Agent::handle(const TimePassed&, Time now) {
  for (std::string& name : backing_off_.take_due(now)) dirty_.insert(std::move(name));
}

void Agent::mark_all() {
  for (const auto& [name, unit] : units_) dirty_.insert(name);
}

void Agent::plan(Time now) {
  for (const auto& name : std::exchange(dirty_, {})) {
    const auto found = units_.find(name);
    if (found == units_.end()) continue;
    LocalUnitState& unit = found->second;
    wants_start_.erase(name);
    wants_reload_.erase(name);
    publish(name);
    if (const Task instead = task_instead_of_start(unit, situation_);
        instead.kind != TaskKind::none) {
      unit.launching.reset();
      // Here too its note goes first. Nobody waits for that: the task is the start's until it ends.
      if (unit.note && instead.kind == TaskKind::stop) {
        effects_.emplace_back(
            agent_effect::RunTask{.name = name, .kind = TaskKind::note, .text = kStoppingNote});
      }
      run(name, unit, instead, now);
      continue;
    }
    if (unit.running != TaskKind::none || unit.not_before > now) continue;
    if (given_back_.contains(name) && unit.decision.exists()) continue;
    const Task task = next_task(unit, situation_);
    switch (task.kind) {
      case TaskKind::none:
        if (!unit.decision.exists() && !unit.on_disk) {
          // A decision that vanished before it could be acknowledged has left the unit's state.
          if (published_.contains(name)) {
            run(name, unit, {TaskKind::acknowledge, "it has left this machine", {}}, now);
            break;
          }
          backing_off_.erase(name);
          units_.erase(found);
        }
        break;
      case TaskKind::start:
      case TaskKind::restart:
        wants_start_.insert(name);
        break;
      case TaskKind::reload:
        wants_reload_.insert(name);
        break;
      default:
        run(name, unit, task, now);
    }
  }
  // Files first, then one reload for all that need one, then the starts: a unit's dependencies
  // that come with it are known to systemd before it is started.
  if (!writing_.empty() || reloading_) return;
  if (!wants_reload_.empty()) {
    reloading_ = true;
    reload_covers_ = std::exchange(wants_reload_, {});
    effects_.emplace_back(agent_effect::Reload{});
    log(LogLevel::info, fmt::format("daemon-reload for {} units", reload_covers_.size()));
    return;
  }
  for (const auto& name : std::exchange(wants_start_, {})) {
    LocalUnitState& unit = units_.at(name);
    if (const std::string* other = still_here_before(unit)) {
      wants_start_.insert(name);
      unit.problem = "it starts once " + *other + " has left this machine";
      publish(name);
      continue;
    }
    const Task task = next_task(unit, situation_);
    if (task.kind != TaskKind::none) run(name, unit, task, now);
  }
  if (situation_.leaving && !left_said_ && std::ranges::none_of(units_, [this](const auto& it) {
        return it.second.decision.value.has_value() && !given_back_.contains(it.first) &&
               !is_left_behind(it.second);
      })) {
    left_said_ = true;
    effects_.emplace_back(agent_effect::Left{});
  }
}

const std::string* Agent::still_here_before(const LocalUnitState& unit) const {
  if (!unit.decision.value) return nullptr;
  for (const std::string& other : unit.decision->after) {
    const auto found = units_.find(other);
    // What fleet did not put here, or has no decision about, is not about to leave.
    if (found != units_.end() && found->second.on_disk && found->second.decision.value) {
      return &other;
    }
  }
  return nullptr;
}

void Agent::run(const std::string& name, LocalUnitState& unit, const Task& task, Time now) {
  agent_effect::RunTask effect;
  effect.id = ++last_id_;
  effect.name = name;
  effect.kind = task.kind;
  if (task.kind == TaskKind::write) {
    effect.text = unit.decision->text;
    effect.enable = has_install_section(effect.text);
    unit.writing_hash = unit.decision->hash;
    // What was launched was another file: should that come back, it is launched anew.
    if (!unit.note || unit.note->hash != unit.writing_hash) {
      unit.note.reset();
      unit.replaced = unit.on_disk;
    }
    // For a fleetd that comes after this one. Nobody waits for that note.
    if (unit.replaced) {
      unit.note_unsaved = true;
      effects_.emplace_back(
          agent_effect::RunTask{.name = name, .kind = TaskKind::note, .text = kReplacedNote});
    }
    writing_.insert(name);
    reload_covers_.erase(name);  // a reload under way may have read the old file
  } else if (task.kind == TaskKind::query) {
    // What systemd says of a file that has just been written may call for a reload.
    writing_.insert(name);
  } else if (task.kind == TaskKind::start || task.kind == TaskKind::restart) {
    unit.launching = note_wanted(unit);
    // A fleetd that is restarted meanwhile is to know whose start it is. Nobody waits for that
    // note.
    if (task.kind == TaskKind::start) {
      effects_.emplace_back(
          agent_effect::RunTask{.name = name, .kind = TaskKind::note, .text = kStoppingNote});
    }
  } else if (task.kind == TaskKind::stop) {
    unit.stopping = true;
    unit.note_unsaved = unit.note_unsaved || unit.note;
    unit.note.reset();
  } else if (task.kind == TaskKind::note) {
    // Only what fleet has launched is about to be stopped by it.
    unit.stopping = unit.note && !task.note && unit.is_active();
    unit.note = task.note;
    unit.note_unsaved = true;
    if (unit.note) effect.text = encode(*unit.note);
    if (unit.stopping) effect.text = kStoppingNote;
  } else if (task.kind == TaskKind::acknowledge) {
    effect.revision = unit.decision.mod_revision;
    unit.acknowledging = effect.revision;
    // What was said of the unit goes with that, even where that fails for want of an answer. Should
    // the unit be wanted here again, it is said anew.
    if (const auto said = published_.find(name); said != published_.end()) said->second = {};
  }
  if (is_job(task.kind)) jobs_.set(name, now + kRecheckAfter);
  unit.running = task.kind;
  unit.running_id = effect.id;
  if (is_change(task.kind)) {
    log(LogLevel::info, fmt::format("{}: {}", verb(task.kind), task.reason), name);
  }
  effects_.emplace_back(std::move(effect));
}

void Agent::recheck_long_jobs(Time now) {
  for (const std::string& name : jobs_.take_due(now)) {
    const LocalUnitState& unit = units_.at(name);
    jobs_.set(name, now + kRecheckAfter);
    effects_.emplace_back(agent_effect::Recheck{unit.running_id, name});
  }
}

void Agent::publish(const std::string& name) {
  const LocalUnitState& unit = units_.at(name);
  if (!situation_.registered || given_back_.contains(name)) return;
  if (!unit.on_disk && unit.problem.empty()) return;
  // What systemd said before the last task would go with how far the unit has been taken since: a
  // started unit that is told as dead. The answer to the question that follows is told instead.
  if (unit.on_disk && (!unit.status || (unit.status_stale && unit.problem.empty()))) return;
  StateRecord report = report_of(unit);
  const auto before = published_.find(name);
  if (before != published_.end() && before->second == report) return;
  effects_.emplace_back(agent_effect::Publish{name, report});
  published_[name] = std::move(report);
}

void Agent::ask_to_wake(Time now) {
  std::optional<Time> when;
  const auto at = [&when](Time time) { when = when ? std::min(*when, time) : time; };
  if (const auto time = backing_off_.earliest()) at(std::max(*time, now));
  if (const auto time = jobs_.earliest()) at(*time);
  if (when) effects_.emplace_back(agent_effect::Wake{*when});
}

bool Agent::has_let_go() const {
  return std::ranges::none_of(units_, [](const auto& it) {
    const LocalUnitState& unit = it.second;
    const bool idle = unit.running == TaskKind::none || unit.running == TaskKind::acknowledge;
    if (is_left_behind(unit)) return false;
    return unit.decision.value && (unit.on_disk || unit.file_doubtful || !idle);
  });
}

std::map<std::string, std::string> Agent::running() const {
  std::map<std::string, std::string> units;
  for (const auto& [name, unit] : units_) {
    if (!unit.on_disk || (unit.status && !unit.is_active())) continue;
    units[name] = unit.decision.value && !unit.problem.empty()
                      ? unit.problem
                      : "the decision about it is not known";
  }
  return units;
}

void Agent::log(LogLevel level, std::string text, std::string unit) {
  effects_.emplace_back(LogLine{level, std::move(text), std::move(unit), {}});
}

}  // namespace fleet
