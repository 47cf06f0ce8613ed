#include "systemd/unit_query.h"

#include <cctype>
#include <memory>
#include <utility>

#include <systemd/sd-bus.h>
#include <unistd.h>

#include "systemd/unit_properties.h"
#include "unit/unit_name.h"

namespace fleet {
namespace {

constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManagerInterface = "org.freedesktop.systemd1.Manager";
constexpr const char* kUnitInterface = "org.freedesktop.systemd1.Unit";
constexpr const char* kPropertiesInterface = "org.freedesktop.DBus.Properties";

Error no_connection() {
  return {ErrorCode::unavailable, "no connection to systemd"};
}

Error unreadable() {
  return {ErrorCode::failed, "systemd's answer cannot be read"};
}

// The port's callers tell a missing unit by its load state, not by an error.
Error public_error(Error error) {
  if (error.code == ErrorCode::not_found) error.code = ErrorCode::failed;
  return error;
}

std::string not_found_text(const std::string& name) {
  return "Unit " + name + " not found.";
}

// What there is to say of a name that no unit of systemd's can have.
UnitStatus impossible() {
  UnitStatus status;
  status.load_state = "error";
  status.active_state = "inactive";
  status.sub_state = "dead";
  status.load_error = "systemd can have no unit of this name";
  return status;
}

// Reads the first unit of the reply to ListUnitsByNames.
Result<UnitStatus> read_listed(sd_bus_message* reply) {
  if (sd_bus_message_enter_container(reply, 'a', "(ssssssouso)") < 0) {
    return std::unexpected(unreadable());
  }
  const char* load = nullptr;
  const char* active = nullptr;
  const char* sub = nullptr;
  std::uint32_t job = 0;
  const int result = sd_bus_message_read(reply, "(ssssssouso)", nullptr, nullptr, &load, &active,
                                         &sub, nullptr, nullptr, &job, nullptr, nullptr);
  if (result < 0) return std::unexpected(unreadable());
  if (result == 0) return impossible();  // it passes over such names
  UnitStatus status;
  status.load_state = load;
  status.active_state = active;
  status.sub_state = sub;
  status.job_pending = job != 0;
  return status;
}

// org.freedesktop.systemd1.Service for a service.
std::string interface_of(const std::string& name) {
  std::string type = split_unit_name(name).suffix.substr(1);
  type[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(type[0])));
  return "org.freedesktop.systemd1." + type;
}

}  // namespace

UnitQuery::UnitQuery(BusConnection& bus, std::string name, BusConnection::Urgency urgency,
                     Reply done)
    : bus_(bus), name_(std::move(name)), urgency_(urgency), done_(std::move(done)) {}

std::shared_ptr<UnitQuery> UnitQuery::ask(BusConnection& bus, const std::string& name,
                                          BusConnection::Urgency urgency, Reply done) {
  const std::shared_ptr<UnitQuery> query(new UnitQuery(bus, name, urgency, std::move(done)));
  query->list();
  return query;
}

void UnitQuery::properties_changed(sd_bus_message* signal) {
  if (listed_) (void)apply_unit_changes(signal, status_);
}

void UnitQuery::list() {
  const auto arguments = [this](sd_bus_message* message) {
    return sd_bus_message_append(message, "as", 1, name_.c_str());
  };
  call(kManagerPath, kManagerInterface, "ListUnitsByNames", arguments,
       [](UnitQuery& self, const Result<sd_bus_message*>& reply) { self.on_listed(reply); });
}

void UnitQuery::on_listed(const Result<sd_bus_message*>& reply) {
  // Templates it refuses instead of passing over them.
  const bool answered = reply || reply.error().code != ErrorCode::unavailable;
  if (answered && !systemd_can_have(name_)) return done_(impossible());
  const Result<UnitStatus> listed =
      reply ? read_listed(*reply) : std::unexpected(public_error(reply.error()));
  if (!listed) return done_(listed);
  status_ = *listed;
  listed_ = true;
  if (status_.load_state == "not-found") {
    status_.load_error = not_found_text(name_);
    return done_(status_);
  }
  was_busy_ = status_.active_state != "inactive" || status_.job_pending;
  if (status_.load_state != "loaded") return ask_why();
  was_busy_ ? get("NeedDaemonReload", on_needs_reload) : ask_memory();
}

// What systemd has not in memory it reads when it is needed: its file cannot be out of date.
void UnitQuery::ask_memory() {
  const auto arguments = [this](sd_bus_message* message) {
    return sd_bus_message_append(message, "s", name_.c_str());
  };
  call(kManagerPath, kManagerInterface, "GetUnit", arguments,
       [](UnitQuery& self, const Result<sd_bus_message*>& reply) {
         reply ? self.get("NeedDaemonReload", on_needs_reload) : self.finish(reply);
       });
}

void UnitQuery::on_needs_reload(UnitQuery& self, const Result<sd_bus_message*>& reply) {
  int needed = 0;
  if (reply) (void)sd_bus_message_read(*reply, "v", "b", &needed);
  self.status_.needs_reload = needed != 0;
  reply ? self.get("FragmentPath", on_fragment) : self.finish(reply);
}

void UnitQuery::on_fragment(UnitQuery& self, const Result<sd_bus_message*>& reply) {
  const char* text = nullptr;
  if (reply) (void)sd_bus_message_read(*reply, "v", "s", &text);
  const std::string path = text != nullptr ? text : "";
  UnitStatus& status = self.status_;
  const bool idle = status.active_state == "inactive" && !status.job_pending;
  if (status.needs_reload && idle && !path.empty() && access(path.c_str(), F_OK) != 0) {
    // A unit that another one wants, [Install], stays in systemd's memory until the next reload,
    // also when its file is gone. Nothing of it is left to be started.
    status.load_state = "not-found";
    status.load_error = not_found_text(self.name_);
  } else {
    status.other_file = path;
  }
  self.finish(reply);
}

void UnitQuery::ask_why() {
  ask_load_error(bus_, name_, [self = shared_from_this()](const Result<std::string>& why) {
    if (!why && why.error().code == ErrorCode::unavailable) {
      return self->done_(std::unexpected(why.error()));
    }
    self->status_.load_error = why.value_or("");
    self->get("NeedDaemonReload", on_needs_reload);
  });
}

// The details are worth an error only when the connection is gone.
void UnitQuery::finish(const Result<sd_bus_message*>& last) {
  if (!last && last.error().code == ErrorCode::unavailable) {
    return done_(std::unexpected(last.error()));
  }
  done_(status_);
}

void UnitQuery::get(const char* property, Step step) {
  const auto arguments = [property](sd_bus_message* message) {
    return sd_bus_message_append(message, "ss", kUnitInterface, property);
  };
  call(unit_object_path(name_), kPropertiesInterface, "Get", arguments, step);
}

void UnitQuery::call(const std::string& path, const char* interface, const char* member,
                     const BusConnection::Arguments& arguments, Step step) {
  auto on_reply = [self = shared_from_this(), step](const Result<sd_bus_message*>& reply) {
    step(*self, reply);
  };
  if (!bus_.call(path, interface, member, arguments, on_reply, urgency_)) {
    done_(std::unexpected(no_connection()));
  }
}

void explain_unit(BusConnection& bus, const std::string& name,
                  const std::function<void(std::string)>& done) {
  const auto on_status = [&bus, name, done](const Result<UnitStatus>& status) {
    if (!status) return done("");
    const std::string interface = interface_of(name);
    const auto arguments = [&interface](sd_bus_message* message) {
      return sd_bus_message_append(message, "s", interface.c_str());
    };
    auto on_reply = [done, now = *status](const Result<sd_bus_message*>& reply) {
      done(describe(now, reply ? read_unit_end(*reply) : UnitEnd()));
    };
    if (!bus.call(unit_object_path(name), kPropertiesInterface, "GetAll", arguments, on_reply)) {
      done("");
    }
  };
  UnitQuery::ask(bus, name, BusConnection::Urgency::now, on_status);
}

void ask_load_error(BusConnection& bus, const std::string& name,
                    const std::function<void(Result<std::string>)>& done) {
  const auto arguments = [](sd_bus_message* message) {
    return sd_bus_message_append(message, "ss", kUnitInterface, "LoadError");
  };
  auto on_reply = [done](const Result<sd_bus_message*>& reply) {
    const char* code = nullptr;
    const char* text = nullptr;
    if (!reply) return done(std::unexpected(public_error(reply.error())));
    if (sd_bus_message_read(*reply, "v", "(ss)", &code, &text) <= 0) {
      return done(std::unexpected(unreadable()));
    }
    done(std::string(*text != '\0' ? text : code));
  };
  if (!bus.call(unit_object_path(name), kPropertiesInterface, "Get", arguments, on_reply)) {
    done(std::unexpected(no_connection()));
  }
}

}  // namespace fleet
