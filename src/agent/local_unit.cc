#include "agent/local_unit.h"

#include <charconv>

#include <fmt/format.h>

namespace fleet {

std::string encode(const LaunchNote& note) {
  return fmt::format("launched {} {}", note.hash, note.restarts);
}

std::optional<LaunchNote> decode_note(const std::string& text) {
  constexpr std::string_view kWord = "launched ";
  if (!text.starts_with(kWord)) return std::nullopt;
  const std::size_t space = text.find(' ', kWord.size());
  if (space == std::string::npos) return std::nullopt;
  LaunchNote note;
  note.hash = text.substr(kWord.size(), space - kWord.size());
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data() + space + 1, end, note.restarts);
  if (error != std::errc{} || last != end) return std::nullopt;
  return note;
}

bool LocalUnitState::is_active() const {
  return status && status->active_state != "inactive" && status->active_state != "failed" &&
         !status->active_state.empty();
}

bool LocalUnitState::is_busy() const {
  return is_active() || (status && status->job_pending);
}

std::optional<LaunchNote> note_wanted(const LocalUnitState& unit) {
  if (!unit.decision.value || unit.decision->state != UnitState::launched) return std::nullopt;
  return LaunchNote{unit.decision->hash, unit.decision->restarts};
}

namespace {

// Its note goes first: whatever becomes of the stop, of fleetd or of the decision meanwhile, a unit
// that fleet has stopped must never be taken for one that it has launched.
Task task_to_stop(const LocalUnitState& unit, const std::string& reason) {
  if (unit.note) return {TaskKind::note, "it is about to be stopped", {}};
  return {TaskKind::stop, reason, {}};
}

// systemd reads another file of its name than fleet's, and nothing of it is from fleet's hand.
bool is_somebody_elses(const LocalUnitState& unit) {
  return unit.status && !unit.status->other_file.empty() && !unit.note && !unit.stopping;
}

// An order to leave, or a machine that is leaving.
Task task_to_let_go(const LocalUnitState& unit, const std::string& reason, bool leaving) {
  // What fleet did not put here it does not stop, whatever its name.
  if (!unit.on_disk) {
    return {unit.file_doubtful ? TaskKind::remove : TaskKind::acknowledge, reason, {}};
  }
  if (!unit.status || unit.status_stale) return {TaskKind::query, reason, {}};
  const bool given_up = leaving && unit.refusals >= kTriesToLetGo;
  if (unit.is_busy() && !is_somebody_elses(unit)) {
    return given_up ? Task{} : task_to_stop(unit, reason);
  }
  if (given_up) return {TaskKind::acknowledge, reason, {}};
  return {TaskKind::remove, reason, {}};
}

Task task_to_launch(const LocalUnitState& unit) {
  const ScheduleRecord& wanted = *unit.decision.value;
  const LaunchNote goal = *note_wanted(unit);
  if (unit.note == goal) {
    return unit.note_unsaved ? Task{TaskKind::note, "it was launched", goal} : Task{};
  }
  if (unit.note && unit.note->hash == goal.hash && unit.note->restarts < goal.restarts) {
    return {TaskKind::restart, "a restart was asked for", {}};
  }
  if (unit.replaced && unit.is_active()) {
    return {TaskKind::restart, "it still runs the file that was replaced", {}};
  }
  // Running already: an earlier fleetd started it and could not write that down, or somebody did.
  if (unit.status->active_state == "active") return {TaskKind::note, "it runs already", goal};
  // It has failed, and systemd is about to start it again itself: when is for the unit to say
  // (systemd.service(5), RestartSec=).
  if (unit.failures > 0 && unit.status->sub_state.starts_with("auto-restart")) return {};
  return {TaskKind::start, wanted.reason, {}};
}

// The unit is to be loaded or launched here.
Task task_to_have(const LocalUnitState& unit, const MachineSituation& situation) {
  const ScheduleRecord& wanted = *unit.decision.value;
  if (!situation.registered) return {};
  if (!unit.on_disk) return {TaskKind::write, wanted.reason, {}};
  if (!unit.status || unit.status_stale) return {TaskKind::query, "its state is not known", {}};
  if (unit.disk_hash != wanted.hash) {
    // What runs is what is wanted: somebody has changed the file under it.
    if (unit.note && unit.note->hash == wanted.hash) {
      return {TaskKind::write, "its file here was changed by somebody else", {}};
    }
    // What is started again as soon as it has stopped is made to run the new file by a restart.
    if (unit.is_busy() && !is_somebody_elses(unit) && !unit.runs_again) {
      return task_to_stop(unit, "its unit file was replaced");
    }
    return {TaskKind::write, "its unit file was replaced", {}};
  }
  // Once: where systemd goes on asking for a reload, or goes on reading another file, a second one
  // would change nothing.
  if ((unit.status->needs_reload || is_somebody_elses(unit)) && !unit.reloaded) {
    return {TaskKind::reload, "its unit file has changed", {}};
  }
  if (is_somebody_elses(unit)) {
    return unit.note_unsaved ? Task{TaskKind::note, "it is not launched", {}} : Task{};
  }
  if (wanted.state == UnitState::launched) return task_to_launch(unit);
  // What was launched is stopped, and what runs a file that is gone; what somebody else started is
  // not fleet's to stop.
  if ((unit.note || unit.stopping || unit.replaced) && unit.is_active()) {
    return task_to_stop(unit, wanted.reason);
  }
  if (unit.note || unit.note_unsaved || unit.stopping) {
    return {TaskKind::note, "it is no longer launched", {}};
  }
  return {};
}

}  // namespace

Task next_task(const LocalUnitState& unit, const MachineSituation& situation) {
  if (!unit.decision.value) {
    // Left as it is; but the cluster is told about it.
    if (!unit.on_disk || (unit.status && !unit.status_stale)) return {};
    return {TaskKind::query, "its state is not known", {}};
  }
  const bool leaving = situation.leaving;
  if (leaving || unit.decision->state == UnitState::inactive) {
    return task_to_let_go(
        unit, leaving ? "fleet is being stopped on this machine" : unit.decision->reason, leaving);
  }
  return task_to_have(unit, situation);
}

Task task_instead_of_start(const LocalUnitState& unit, const MachineSituation& situation) {
  if (unit.running != TaskKind::start && unit.running != TaskKind::restart) return {};
  if (!unit.decision.value) return {};
  const ScheduleRecord& wanted = *unit.decision.value;
  Task stop = {TaskKind::stop, "it is no longer to be started", {}};
  if (situation.leaving || wanted.state == UnitState::inactive) return stop;
  if (!situation.registered) return {};
  if (wanted.state != UnitState::launched || wanted.hash != unit.disk_hash) return stop;
  if (unit.launching && unit.launching->restarts < wanted.restarts) {
    return {TaskKind::restart, "a restart was asked for", {}};
  }
  return {};
}

bool is_left_behind(const LocalUnitState& unit) {
  return unit.on_disk && unit.refusals >= kTriesToLetGo && unit.running == TaskKind::none &&
         (!unit.status || (unit.is_busy() && !is_somebody_elses(unit)));
}

bool will_run_file_in_place(const UnitStatus& status) {
  const bool idle =
      !status.job_pending && (status.active_state == "inactive" || status.active_state == "failed");
  return !status.needs_reload && (idle || status.sub_state.starts_with("auto-restart"));
}

StateRecord report_of(const LocalUnitState& unit) {
  StateRecord report;
  report.hash = unit.disk_hash;
  if (unit.status) {
    report.load_state = unit.status->load_state;
    report.active_state = unit.status->active_state;
    report.sub_state = unit.status->sub_state;
  }
  const bool is_starting = unit.running == TaskKind::start || unit.running == TaskKind::restart;
  if (!unit.on_disk) {
    report.current = UnitState::inactive;
  } else if ((unit.note && unit.note->hash == unit.disk_hash) ||
             ((unit.stopping || is_starting) && unit.is_active())) {
    report.current = UnitState::launched;
  } else {
    report.current = UnitState::loaded;
  }
  // A start carries out every restart asked for until then: the note says up to which.
  if (unit.note && unit.note->hash == unit.disk_hash) report.restarts = unit.note->restarts;
  report.problem = unit.problem;
  if (!unit.decision.exists()) {
    report.problem = "the registry holds no decision about it: left as it is";
  } else if (!unit.decision.value) {
    report.problem = "left as it is: the decision about it cannot be read: " + unit.decision.error;
  } else if (report.problem.empty() && unit.status && !unit.status->load_error.empty()) {
    report.problem = unit.status->load_error;
  } else if (report.problem.empty() && unit.status && !unit.status->other_file.empty()) {
    report.problem = "systemd reads another file of that name: " + unit.status->other_file +
                     "; move it away, or give one of the two another name";
  }
  return report;
}

}  // namespace fleet
