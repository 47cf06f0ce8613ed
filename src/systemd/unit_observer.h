// Watching units over D-Bus: from systemd's signals to one report per change of a unit.
// Private to this folder.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "systemd/bus_connection.h"
#include "systemd/unit_manager.h"

namespace fleet {

class UnitObserver {
 public:
  using Report = std::function<void(const std::string& name, const UnitStatus& status)>;

  UnitObserver(BusConnection& bus, Report report) : bus_(bus), report_(std::move(report)) {}

  // Also has the unit reported soon.
  void observe(const std::string& name);
  void ignore(const std::string& name);
  bool observes(const std::string& name) const { return entries_.contains(name); }

  // Something may have changed: asks systemd, and reports if it has. However many calls come while
  // systemd is being asked, it is asked once more.
  void changed(const std::string& name);       // a signal named the unit
  void changed_path(const std::string& path);  // a signal named its D-Bus object
  void file_changed(const std::string& name);  // what systemd sends no signal of
  void all_changed();

  // The connection is back: every unit is reported again.
  void on_up();

 private:
  struct Entry {
    std::uint64_t number = 0;  // of this observation, to drop answers for an earlier one
    std::string path;
    std::optional<UnitStatus> last;  // as reported
    bool asking = false;
    bool again = false;   // ask again when the answer is there
    bool load = false;    // have systemd load the unit's file if it has not
    bool repeat = false;  // report even what has not changed
  };
  using Answer = std::function<void(Entry&, const Result<sd_bus_message*>&)>;

  void ask(const std::string& name, Entry& entry);
  void ask_if_in_memory(const std::string& name, Entry& entry);
  void ask_properties(const std::string& name, Entry& entry);
  BusConnection::Reply answer_for(const std::string& name, const Entry& entry, Answer answer);
  void on_status(const std::string& name, Entry& entry, const Result<UnitStatus>& status);
  void finish(const std::string& name, Entry& entry);

  BusConnection& bus_;
  Report report_;
  std::uint64_t next_number_ = 1;
  std::map<std::string, Entry> entries_;
  std::unordered_map<std::string, std::string> names_;  // by object path
};

// What systemd says of the unit, from the reply to Properties.GetAll of its Unit interface.
Result<UnitStatus> read_unit_status(const std::string& name, const Result<sd_bus_message*>& reply);

}  // namespace fleet
