#include "systemd/unit_observer.h"

#include <utility>
#include <vector>

#include <systemd/sd-bus.h>
#include <unistd.h>

#include "systemd/unit_properties.h"

namespace fleet {
namespace {

constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManagerInterface = "org.freedesktop.systemd1.Manager";

// Whether systemd need not keep the unit in memory.
bool is_idle(const UnitStatus& status) {
  return status.active_state == "inactive" && !status.job_pending;
}

}  // namespace

Result<UnitStatus> read_unit_status(const std::string& name, const Result<sd_bus_message*>& reply) {
  if (!reply) {
    Error error = reply.error();
    if (error.code == ErrorCode::not_found) error.code = ErrorCode::failed;
    return std::unexpected(error);
  }
  Result<UnitProperties> unit = read_unit_properties(*reply);
  if (!unit) return std::unexpected(unit.error());
  UnitStatus& status = unit->status;
  // A unit that another one wants, [Install], stays in systemd's memory until the next reload, also
  // when its file is gone. Nothing of it is left to be started.
  if (status.needs_reload && is_idle(status) && status.load_state == "loaded" &&
      !unit->fragment_path.empty() && access(unit->fragment_path.c_str(), F_OK) != 0) {
    status.load_state = "not-found";
    status.load_error = "Unit " + name + " not found.";
  }
  return status;
}

void UnitObserver::observe(const std::string& name) {
  Entry& entry = entries_[name];
  if (entry.number == 0) {
    entry.number = next_number_++;
    entry.path = unit_object_path(name);
    names_[entry.path] = name;
  }
  entry.load = true;
  entry.repeat = true;
  ask(name, entry);
}

void UnitObserver::ignore(const std::string& name) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  names_.erase(found->second.path);
  entries_.erase(found);
}

void UnitObserver::changed(const std::string& name) {
  const auto found = entries_.find(name);
  if (found != entries_.end()) ask(name, found->second);
}

void UnitObserver::changed_path(const std::string& path) {
  const auto found = names_.find(path);
  if (found != names_.end()) changed(found->second);
}

void UnitObserver::file_changed(const std::string& name) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  found->second.load = true;
  ask(name, found->second);
}

void UnitObserver::all_changed() {
  for (auto& [name, entry] : entries_) ask(name, entry);
}

void UnitObserver::on_up() {
  for (auto& [name, entry] : entries_) {
    entry.load = true;
    entry.repeat = true;
    ask(name, entry);
  }
}

void UnitObserver::ask(const std::string& name, Entry& entry) {
  if (entry.asking) {
    entry.again = true;
    return;
  }
  // Asking for the properties of an idle unit makes systemd load and forget it, and say so: signals
  // that would be answered by asking again, for ever. So that, for an idle unit, only when needed.
  if (entry.load || !entry.last || !is_idle(*entry.last)) {
    entry.load = false;
    ask_properties(name, entry);
  } else {
    ask_if_in_memory(name, entry);
  }
}

void UnitObserver::ask_if_in_memory(const std::string& name, Entry& entry) {
  const auto arguments = [&name](sd_bus_message* message) {
    return sd_bus_message_append(message, "s", name.c_str());
  };
  auto answer = [this, name](Entry& asked, const Result<sd_bus_message*>& reply) {
    if (reply) {
      ask_properties(name, asked);
    } else {
      finish(name, asked);  // still as idle as when it was last reported
    }
  };
  entry.asking = bus_.call(kManagerPath, kManagerInterface, "GetUnit", arguments,
                           answer_for(name, entry, std::move(answer)));
}

void UnitObserver::ask_properties(const std::string& name, Entry& entry) {
  const auto arguments = [](sd_bus_message* message) {
    return sd_bus_message_append(message, "s", "org.freedesktop.systemd1.Unit");
  };
  auto answer = [this, name](Entry& asked, const Result<sd_bus_message*>& reply) {
    on_status(name, asked, read_unit_status(name, reply));
  };
  entry.asking = bus_.call(entry.path, "org.freedesktop.DBus.Properties", "GetAll", arguments,
                           answer_for(name, entry, std::move(answer)));
}

BusConnection::Reply UnitObserver::answer_for(const std::string& name, const Entry& entry,
                                              Answer answer) {
  return [this, name, number = entry.number,
          answer = std::move(answer)](const Result<sd_bus_message*>& reply) {
    const auto found = entries_.find(name);
    if (found != entries_.end() && found->second.number == number) answer(found->second, reply);
  };
}

void UnitObserver::on_status(const std::string& name, Entry& entry,
                             const Result<UnitStatus>& status) {
  UnitStatus now;
  if (status) {
    now = *status;
  } else if (status.error().code == ErrorCode::unavailable) {
    finish(name, entry);  // on_up() asks again
    return;
  } else {
    // A unit that systemd will not even describe, such as a template.
    now.load_state = "error";
    now.active_state = "inactive";
    now.sub_state = "dead";
    now.load_error = status.error().message;
  }
  if (entry.repeat || entry.last != now) {
    entry.repeat = false;
    entry.last = now;
    report_(name, now);
  }
  finish(name, entry);
}

void UnitObserver::finish(const std::string& name, Entry& entry) {
  entry.asking = false;
  if (std::exchange(entry.again, false)) ask(name, entry);
}

}  // namespace fleet
