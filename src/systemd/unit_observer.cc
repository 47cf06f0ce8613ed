#include "systemd/unit_observer.h"

#include <utility>

#include <systemd/sd-bus.h>

#include "systemd/unit_properties.h"
#include "systemd/unit_query.h"

namespace fleet {
namespace {

constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManagerInterface = "org.freedesktop.systemd1.Manager";

// Whether systemd need not keep the unit in memory.
bool is_idle(const UnitStatus& status) {
  return status.active_state == "inactive" && !status.job_pending;
}

}  // namespace

void UnitObserver::observe(const std::string& name) {
  Entry& entry = entries_[name];
  if (entry.number == 0) {
    entry.number = next_number_++;
    entry.path = unit_object_path(name);
    names_[entry.path] = name;
  }
  entry.load = true;
  entry.repeat = true;
  entry.due = true;
  // Whoever begins to observe a unit mostly asks for its status in the same breath.
  post_([this, name, number = entry.number] {
    Entry* seen = find_number(name, number);
    if (seen != nullptr && seen->due) ask(name, *seen);
  });
}

void UnitObserver::ignore(const std::string& name) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  for (auto* askers : {&found->second.askers, &found->second.late_askers}) {
    for (UnitQuery::Reply& asker : *askers) {
      UnitQuery::ask(bus_, name, BusConnection::Urgency::now, std::move(asker));
    }
  }
  names_.erase(found->second.path);
  entries_.erase(found);
}

void UnitObserver::query(const std::string& name, UnitQuery::Reply done) {
  Entry& entry = entries_.at(name);
  if (entry.asking && entry.in_bulk) {
    UnitQuery::ask(bus_, name, BusConnection::Urgency::now, std::move(done));
    return;
  }
  // systemd answers in the order in which it is asked and sends its signals: an answer of which
  // nothing has come yet is newer than all that the caller has heard so far. What has happened
  // since the question that systemd does not tell of is what `again` is for.
  const bool too_late =
      entry.asking && (entry.again || (entry.query != nullptr && entry.query->is_listed()));
  (too_late ? entry.late_askers : entry.askers).push_back(std::move(done));
  if (entry.asking) return;
  entry.load = true;
  ask(name, entry);
}

UnitObserver::Entry* UnitObserver::find_path(const std::string& path, std::string& name) {
  const auto found = names_.find(path);
  if (found == names_.end()) return nullptr;
  name = found->second;
  return &entries_.at(name);
}

UnitObserver::Entry* UnitObserver::find_number(const std::string& name, std::uint64_t number) {
  const auto found = entries_.find(name);
  if (found == entries_.end() || found->second.number != number) return nullptr;
  return &found->second;
}

void UnitObserver::properties_changed(const std::string& path, sd_bus_message* signal) {
  std::string name;
  Entry* entry = find_path(path, name);
  if (entry == nullptr) return;
  if (entry->asking) {
    // An answer that is still to come as a whole is newer than this signal.
    if (entry->query != nullptr) entry->query->properties_changed(signal);
    return;
  }
  if (!entry->last) return;
  UnitStatus now = *entry->last;
  if (apply_unit_changes(signal, now)) tell(name, *entry, now);
}

// The first signal of a unit, also for what became of it before systemd had time to send it. When
// it only had to look the unit up, as for ourselves, the unit's removal has arrived with it.
void UnitObserver::unit_new(const std::string& path) {
  std::string name;
  Entry* entry = find_path(path, name);
  if (entry == nullptr || std::exchange(entry->is_new, true)) return;
  post_([this, name, number = entry->number] {
    Entry* seen = find_number(name, number);
    if (seen != nullptr && std::exchange(seen->is_new, false)) ask(name, *seen);
  });
}

void UnitObserver::unit_removed(const std::string& path) {
  std::string name;
  Entry* entry = find_path(path, name);
  if (entry == nullptr) return;
  entry->is_new = false;
  entry->removed = true;
  if (!entry->asking) finish(name, *entry);
}

void UnitObserver::job_removed(const std::string& name) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  // Signals tell of every state but this one: the file was read for the job, or could not be.
  const auto& last = found->second.last;
  if (!last || last->load_state != "loaded") ask(name, found->second);
}

void UnitObserver::file_changed(const std::string& name) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  found->second.load = true;
  ask(name, found->second);
}

void UnitObserver::all_changed() {
  ask_all();
}

void UnitObserver::on_up() {
  for (auto& [name, entry] : entries_) {
    entry.load = true;
    entry.repeat = true;
  }
  ask_all();
}

void UnitObserver::ask_all() {
  for (auto& [name, entry] : entries_) {
    if (!entry.asking) entry.in_bulk = true;
    ask(name, entry);
  }
}

void UnitObserver::ask(const std::string& name, Entry& entry) {
  if (entry.asking) {
    entry.again = true;
    return;
  }
  // Asking for the status of an idle unit makes systemd load and forget it, and say so: signals
  // that must not be answered by asking again, for ever. So that, for an idle unit, only if needed.
  if (entry.load || !entry.last || !is_idle(*entry.last)) {
    ask_status(name, entry);
  } else {
    ask_if_in_memory(name, entry);
  }
}

void UnitObserver::ask_if_in_memory(const std::string& name, Entry& entry) {
  const auto arguments = [&name](sd_bus_message* message) {
    return sd_bus_message_append(message, "s", name.c_str());
  };
  auto on_reply = [this, name, number = entry.number](const Result<sd_bus_message*>& reply) {
    Entry* asked = find_number(name, number);
    if (asked == nullptr) return;
    // Without it in memory it is still as idle as when it was last reported.
    reply || !asked->askers.empty() ? ask_status(name, *asked) : finish(name, *asked);
  };
  entry.asking =
      bus_.call(kManagerPath, kManagerInterface, "GetUnit", arguments, on_reply, urgency_of(entry));
}

void UnitObserver::ask_status(const std::string& name, Entry& entry) {
  entry.load = false;
  entry.due = false;
  entry.asking = true;
  const auto on_answer = [this, name, number = entry.number](const Result<UnitStatus>& status) {
    Entry* asked = find_number(name, number);
    if (asked == nullptr) return;
    asked->was_busy = asked->query != nullptr && asked->query->was_busy();
    asked->query.reset();
    on_status(name, *asked, status);
  };
  const auto query = UnitQuery::ask(bus_, name, urgency_of(entry), on_answer);
  if (entry.asking) entry.query = query;  // else it has failed already
}

void UnitObserver::on_status(const std::string& name, Entry& entry,
                             const Result<UnitStatus>& status) {
  UnitStatus now;
  if (status) {
    now = *status;
  } else if (status.error().code == ErrorCode::unavailable) {
    entry.asking = false;  // on_up() asks again
    entry.in_bulk = false;
    answer(entry.askers, status);
    answer(entry.late_askers, status);
    return;
  } else {
    // A unit that systemd will not even describe, such as a template.
    now.load_state = "error";
    now.active_state = "inactive";
    now.sub_state = "dead";
    now.load_error = status.error().message;
  }
  tell(name, entry, now);
  answer(entry.askers, status);
  finish(name, entry);
}

void UnitObserver::answer(std::vector<UnitQuery::Reply>& askers, const Result<UnitStatus>& status) {
  for (const UnitQuery::Reply& asker : std::exchange(askers, {})) asker(status);
}

void UnitObserver::tell(const std::string& name, Entry& entry, const UnitStatus& now) {
  if (!entry.repeat && entry.last == now) return;
  entry.repeat = false;
  entry.last = now;
  report_(name, now);
}

void UnitObserver::finish(const std::string& name, Entry& entry) {
  entry.asking = false;
  entry.in_bulk = false;
  // Of a unit that systemd has forgotten only its file is left to tell of. One that was idle before
  // has not changed by that, unless what systemd had read was not its file.
  const bool forgotten = std::exchange(entry.removed, false);
  const bool was_busy = std::exchange(entry.was_busy, false);
  if (forgotten && entry.last && (was_busy || !is_idle(*entry.last) || entry.last->needs_reload)) {
    entry.load = true;
    entry.again = true;
  }
  entry.askers = std::exchange(entry.late_askers, {});
  if (!entry.askers.empty()) {
    entry.load = true;
    entry.again = true;
  }
  if (std::exchange(entry.again, false)) ask(name, entry);
}

}  // namespace fleet
