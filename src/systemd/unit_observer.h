// Watching units over D-Bus: from systemd's signals to one report per change of a unit.
// Private to this folder.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "systemd/bus_connection.h"
#include "systemd/unit_manager.h"
#include "systemd/unit_query.h"

namespace fleet {

class UnitObserver {
 public:
  using Report = std::function<void(const std::string& name, const UnitStatus& status)>;
  using Post = std::function<void(std::function<void()>)>;

  // `post` runs an action once what has already arrived from systemd is handled.
  UnitObserver(BusConnection& bus, Post post, Report report)
      : bus_(bus), post_(std::move(post)), report_(std::move(report)) {}

  // Also has the unit reported soon.
  void observe(const std::string& name);
  void ignore(const std::string& name);
  bool observes(const std::string& name) const { return entries_.contains(name); }

  // Asks systemd how an observed unit is now, as UnitQuery does. A question of the observer's own
  // that serves as well is not asked a second time: each makes systemd load an idle unit.
  void query(const std::string& name, UnitQuery::Reply done);

  // systemd's signals. What a signal says itself is taken from it; else systemd is asked, and once
  // more if there was another signal meanwhile, however many there were.
  void properties_changed(const std::string& path, sd_bus_message* signal);
  void unit_new(const std::string& path);      // systemd has it in memory
  void unit_removed(const std::string& path);  // no longer
  void job_removed(const std::string& name);

  // What systemd sends no signal of.
  void file_changed(const std::string& name);
  void all_changed();

  // The connection is back: every unit is reported again.
  void on_up();

 private:
  struct Entry {
    std::uint64_t number = 0;  // of this observation, to drop answers for an earlier one
    std::string path;
    std::optional<UnitStatus> last;  // as reported
    bool asking = false;
    std::shared_ptr<UnitQuery> query;      // what is asked, but for whether it is in memory
    bool again = false;                    // ask again when the answer is there
    bool due = false;                      // to be asked soon, if nobody does before
    bool in_bulk = false;                  // what is asked is one of many, and may take its time
    std::vector<UnitQuery::Reply> askers;  // who waits for the answer to what is asked
    std::vector<UnitQuery::Reply> late_askers;  // who came too late for that: for the next
    bool load = false;                          // have systemd load the unit's file if it has not
    bool repeat = false;                        // report even what has not changed
    bool is_new = false;    // systemd has taken it into memory; not yet acted upon
    bool was_busy = false;  // when systemd began to answer
    bool removed = false;   // systemd has forgotten it; not yet acted upon
  };

  Entry* find_path(const std::string& path, std::string& name);
  Entry* find_number(const std::string& name, std::uint64_t number);
  void ask(const std::string& name, Entry& entry);
  void ask_all();
  void ask_if_in_memory(const std::string& name, Entry& entry);
  void ask_status(const std::string& name, Entry& entry);
  void on_status(const std::string& name, Entry& entry, const Result<UnitStatus>& status);
  void tell(const std::string& name, Entry& entry, const UnitStatus& now);
  void finish(const std::string& name, Entry& entry);
  static BusConnection::Urgency urgency_of(const Entry& entry) {
    return entry.in_bulk ? BusConnection::Urgency::can_wait : BusConnection::Urgency::now;
  }
  static void answer(std::vector<UnitQuery::Reply>& askers, const Result<UnitStatus>& status);

  BusConnection& bus_;
  Post post_;
  Report report_;
  std::uint64_t next_number_ = 1;
  std::map<std::string, Entry> entries_;
  std::unordered_map<std::string, std::string> names_;  // by object path
};

}  // namespace fleet
