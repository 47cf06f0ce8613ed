// UnitManager over systemd's D-Bus interface, driven by an FdLoop: no thread of its own.
//
// Where things are (see unit_directory.h): the unit files in units_directory, notes in its
// subdirectory .notes, links in systemd's run-time search path (/run/systemd/system, or
// $XDG_RUNTIME_DIR/systemd/user). Notes carry the boot's id, so that they end with the boot also
// where units_directory is on a disk.
//
// fleet makes the links itself, as LinkUnitFiles would: systemd 255 and later answer each such call
// by declaring every loaded unit in need of a daemon-reload. So its user must be allowed to add
// names to that directory (packaging/fleet.tmpfiles). EnableUnitFiles and DisableUnitFiles
// are used for files with an [Install] section only.
//
// A broken connection ends every open call with ErrorCode::unavailable. It is made again by itself;
// until then calls that need systemd fail at once. list() and set_note() need files alone.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "systemd/unit_manager.h"

namespace fleet {

class SdbusUnitManager final : public UnitManager {
 public:
  struct Options {
    std::string units_directory = "/run/fleet/units/";  // absolute; made if it is not there
    bool user = false;                                  // the user's systemd, not the machine's
    std::string links_directory = {};                   // empty: systemd's own, as above
  };

  // `loop` must outlive this. Connects in the background.
  SdbusUnitManager(FdLoop& loop, const Options& options);
  ~SdbusUnitManager() override;
  SdbusUnitManager(const SdbusUnitManager&) = delete;
  SdbusUnitManager& operator=(const SdbusUnitManager&) = delete;

  void list(Callback<std::vector<LocalUnit>> done) override;
  void write(std::string name, std::string text, bool enable, Done done) override;
  void remove(std::string name, Done done) override;
  void reload(Done done) override;
  void start(std::string name, Done done) override;
  void stop(std::string name, Done done) override;
  void restart(std::string name, Done done) override;
  void query(std::string name, Callback<UnitStatus> done) override;
  void observe(std::string name) override;
  void ignore(std::string name) override;
  void set_listener(Listener listener) override;
  void set_note(std::string name, std::string note, Done done) override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fleet
