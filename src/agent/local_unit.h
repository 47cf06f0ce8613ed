// One unit on this machine: what the cluster decided about it, what systemd says of it, and the
// next thing to be done so that the two agree. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"
#include "cluster/registry.h"
#include "systemd/unit_manager.h"

namespace fleet {

// What can be done to a unit. One task at a time is under way for each unit.
enum class TaskKind {
  none,
  query,   // ask systemd what it knows
  write,   // put the unit's file in place
  reload,  // systemd must read its changed file again (one reload serves all that want one)
  start,
  stop,
  restart,
  note,         // write down how far the unit was taken, for a later fleetd to find
  remove,       // take its file away
  acknowledge,  // tell the registry that an order to leave has been carried out
};

// How far a unit was taken: kept as the note beside its file.
struct LaunchNote {
  std::string hash;
  std::uint64_t restarts = 0;

  bool operator==(const LaunchNote&) const = default;
};

struct Task {
  TaskKind kind = TaskKind::none;
  std::string reason;              // for people
  std::optional<LaunchNote> note;  // what a task of kind note writes down; nothing: not launched

  bool operator==(const Task&) const = default;
};

std::string encode(const LaunchNote& note);
// The note of a unit that is being started, or was launched and is about to be stopped: whatever
// comes between, it is not taken for launched, and what runs of it is fleet's to stop.
inline constexpr const char* kStoppingNote = "stopping";
// The note of a unit whose file is being replaced: what runs of it may still be the one before.
inline constexpr const char* kReplacedNote = "replaced";
// Nothing if `text` is empty or is not a note of ours: then the unit counts as never launched.
std::optional<LaunchNote> decode_note(const std::string& text);

struct LocalUnitState {
  // From the registry: the decision about this unit on this machine. A record that does not exist
  // is no decision, and one that cannot be read neither: the unit is left as it is.
  Entry<ScheduleRecord> decision;

  // On this machine's disk.
  bool on_disk = false;
  std::string disk_hash;       // empty: not known
  bool file_doubtful = false;  // not on_disk, but a write that failed may have left something
  std::optional<LaunchNote> note;
  bool note_unsaved = false;  // the note on disk is not this one yet

  // What systemd said last, if it was asked.
  std::optional<UnitStatus> status;
  bool status_stale = false;  // something was done since; ask again before deciding on it
  bool stopping = false;      // without a note, and fleet's to stop: launched until it has stopped
  bool stopped = false;       // a stop has just succeeded, and systemd was not asked since
  bool reloaded = false;      // systemd has been made to read its file since it was written
  bool runs_again = false;    // somebody, as its socket, has started it after fleet's last stop
  bool written = false;       // its file is one that this fleetd has put in place
  bool replaced = false;      // its file was, and what runs of it may be the one before

  // The task under way.
  TaskKind running = TaskKind::none;
  std::uint64_t running_id = 0;
  std::optional<LaunchNote> launching;  // what a start under way is to be noted as
  std::string writing_hash;             // of the file that a write under way puts in place
  Revision acknowledging = 0;           // of the order that is being acknowledged

  // After failures: not before this time, and what went wrong.
  int failures = 0;
  int refusals = 0;  // of those, what was not for want of a connection to systemd
  Time not_before;
  std::string problem;

  bool is_active() const;  // systemd has something of it running, starting or stopping
  bool is_busy() const;    // ... or has a job for it
};

struct MachineSituation {
  // This machine's presence in the cluster is confirmed. Without it nothing new is begun: the
  // cluster may have given the unit to another machine.
  bool registered = false;
  // fleetd is being stopped and hands its units over: all are stopped and let go.
  bool leaving = false;
};

// The note that a unit should have by the decision about it; nothing if it is not to be launched.
std::optional<LaunchNote> note_wanted(const LocalUnitState& unit);

// The next task for a unit. `none` if all is as it should be, or nothing may be done.
Task next_task(const LocalUnitState& unit, const MachineSituation& situation);

// What is to be done while a start is under way that is no longer what is wanted: it may take for
// ever, and is not waited for. A stop ends it, or a restart where one was asked for since it began.
// `none` if the start goes on, or there is none.
Task task_instead_of_start(const LocalUnitState& unit, const MachineSituation& situation);

// Whether a machine that is leaving leaves the unit running: kTriesToLetGo times systemd has
// refused to stop it, or to say how it is. Whoever switches the machine off waits.
bool is_left_behind(const LocalUnitState& unit);
inline constexpr int kTriesToLetGo = 5;  // within some 15 s, longer than polkit takes to restart

// Whether whoever starts the unit now, or systemd itself in a moment, starts the file in place.
bool will_run_file_in_place(const UnitStatus& status);

// What the cluster is told about the unit.
StateRecord report_of(const LocalUnitState& unit);

}  // namespace fleet
