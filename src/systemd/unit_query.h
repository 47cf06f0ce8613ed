// Asking systemd how a unit is. Private to this folder.
//
// Not by Properties.GetAll: its property UnitFileState makes systemd search its whole path for
// links to the unit, 5 ms the first time that it is asked (systemd 252), and each unit has a first
// time. The calls below are 0.1 ms each, or 1 ms where systemd has to load the unit.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "systemd/bus_connection.h"
#include "systemd/unit_manager.h"

namespace fleet {

// One question for a unit's status, as UnitManager::query promises it: systemd loads the unit's
// file if need be. Lives until it is answered.
class UnitQuery : public std::enable_shared_from_this<UnitQuery> {
 public:
  using Reply = std::function<void(Result<UnitStatus>)>;

  // The answer names in other_file any file that systemd has read for the unit, and none of a unit
  // that it does not keep in memory: whose the file is, is not for this class to know.
  // `done` runs within the call when there is no connection, and not at all once `bus` is gone.
  static std::shared_ptr<UnitQuery> ask(BusConnection& bus, const std::string& name,
                                        BusConnection::Urgency urgency, Reply done);

  // A signal PropertiesChanged of the unit that came while the question is on its way: a part of
  // the answer may be there, and older.
  void properties_changed(sd_bus_message* signal);

  // Whether a part of the answer is there.
  bool is_listed() const { return listed_; }

  // Whether the unit was more than idle when systemd gave the first part of the answer. The other
  // parts may be about what it was after systemd had forgotten it.
  bool was_busy() const { return was_busy_; }

 private:
  using Step = void (*)(UnitQuery&, const Result<sd_bus_message*>&);

  UnitQuery(BusConnection& bus, std::string name, BusConnection::Urgency urgency, Reply done);
  void list();
  void on_listed(const Result<sd_bus_message*>& reply);
  void ask_memory();
  void ask_why();
  static void on_needs_reload(UnitQuery& self, const Result<sd_bus_message*>& reply);
  static void on_fragment(UnitQuery& self, const Result<sd_bus_message*>& reply);
  void finish(const Result<sd_bus_message*>& last);
  void get(const char* property, Step step);
  void call(const std::string& path, const char* interface, const char* member,
            const BusConnection::Arguments& arguments, Step step);

  BusConnection& bus_;
  std::string name_;
  BusConnection::Urgency urgency_;
  Reply done_;
  UnitStatus status_;
  bool was_busy_ = false;
  bool listed_ = false;  // status_ is known but for the details
};

// What became of a unit whose job failed, for a person: "failed (failed), exit-code, exit status
// 3"; empty if it cannot be learned. `done` runs as above.
void explain_unit(BusConnection& bus, const std::string& name,
                  const std::function<void(std::string)>& done);

// Why systemd could not load a unit, empty if it could. `done` runs as above.
void ask_load_error(BusConnection& bus, const std::string& name,
                    const std::function<void(Result<std::string>)>& done);

}  // namespace fleet
