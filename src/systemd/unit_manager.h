// UnitManager: the systemd of this machine, and the unit files that fleet keeps for it.
//
// Rules for every implementation; tests/contract/unit_manager_contract.h checks them:
//  - Non-blocking. A call returns at once; its callback runs once, later, on the event loop's
//    thread, never from within the call. After the destructor has begun no callback runs.
//  - It touches only units whose names it is handed; it has no opinion on what should run.
//  - A unit's operations are independent of other units': one that hangs or fails holds up nothing.
//  - A name that check_unit_name refuses is answered with ErrorCode::invalid, and nothing is done.
//  - Without a connection to systemd a call that needs it ends with ErrorCode::unavailable, and so
//    do calls that are under way when it breaks: what they did is not known then.
//
// The words are systemd's own: org.freedesktop.systemd1(5), systemd.unit(5).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"

namespace fleet {

// What systemd says of one unit.
struct UnitStatus {
  std::string load_state;    // LoadState: loaded, not-found, bad-setting, error, masked ...
  std::string active_state;  // ActiveState: active, inactive, failed, activating ...
  std::string sub_state;     // SubState: running, dead, exited ...
  // A job is queued or running for it (property Job), or one that was asked for is not known to be.
  bool job_pending = false;
  bool needs_reload = false;  // NeedDaemonReload: its file differs from what systemd has read
  std::string load_error;     // why it could not be loaded (LoadError), empty if it could
  // Of a unit that is loaded or runs: the file that systemd reads for it where that is not the one
  // that write() put here, as one in /etc/systemd/system (systemd.unit(5), "Unit File Load Path").
  // Else empty.
  std::string other_file;

  bool operator==(const UnitStatus&) const = default;
};

// A unit file that fleet put on this machine earlier.
struct LocalUnit {
  std::string name;
  std::string text;  // the whole file; empty if it cannot be read
  std::string note;  // as set_note left it, empty if none
};

class UnitManager {
 public:
  using Done = std::function<void(Status)>;
  template <class T>
  using Callback = std::function<void(Result<T>)>;
  using Listener = std::function<void(const std::string& name, const UnitStatus& status)>;

  virtual ~UnitManager() = default;

  // Every unit file of fleet's own directory on this machine, by name. Files whose names are not
  // unit names are left out. Fails: failed, denied (the directory cannot be read).
  virtual void list(Callback<std::vector<LocalUnit>> done) = 0;

  // Writes the unit's file (0644, replaced atomically), links it into systemd's run-time search
  // path, and enables it (run-time) if `enable`; else it is not enabled. Does not reload systemd
  // and starts nothing. A file that reads the same already is not touched: it then needs no reload.
  // The note stays. Fails: failed, denied, with systemd's own words.
  virtual void write(std::string name, std::string text, bool enable, Done done) = 0;

  // Takes the unit's file, links and note away and makes systemd forget a failure of it. Does not
  // stop it. A unit that is not there counts as removed. Fails: failed, denied.
  virtual void remove(std::string name, Done done) = 0;

  // Makes systemd read all changed unit files again (daemon-reload).
  virtual void reload(Done done) = 0;

  // Starts, stops or restarts the unit (job mode "replace"); `done` runs when the job has ended:
  // success for the job results "done" and (start) "skipped"; else ErrorCode::failed with the
  // result and, for a unit that cannot be loaded, the reason. The implementation sets no time
  // limit: the caller re-checks with query() and may call again. Stopping a unit that systemd does
  // not or could not know succeeds.
  virtual void start(std::string name, Done done) = 0;
  virtual void stop(std::string name, Done done) = 0;
  virtual void restart(std::string name, Done done) = 0;

  // Asks systemd for the unit's status now, loading its file if need be. A unit without a file has
  // the load state "not-found" (but slices and what else needs none: "loaded"), unless it still
  // runs; one that systemd could not have (systemd_can_have()) is inactive with the load state
  // "error". The answer is no older than what the listener was told of the unit before it came.
  // Fails: unavailable (no connection to systemd), failed (systemd refuses to say).
  virtual void query(std::string name, Callback<UnitStatus> done) = 0;

  // From now on the listener is called whenever the status of `name` may have changed: first soon,
  // with what it is now, and again for every observed unit after a lost connection to systemd has
  // come back. A unit that systemd will not describe has the load state "error". Repeating it is
  // harmless.
  virtual void observe(std::string name) = 0;
  virtual void ignore(std::string name) = 0;

  // Sets the one listener. To be called before the first observe().
  virtual void set_listener(Listener listener) = 0;

  // Keeps a short text with the unit's file that survives this process but not the machine's
  // reboot. Gone with remove(). Fails: failed, not_found (no such unit file).
  virtual void set_note(std::string name, std::string note, Done done) = 0;
};

}  // namespace fleet
