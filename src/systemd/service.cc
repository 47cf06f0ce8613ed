#include "systemd/service.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-login.h>

namespace fleet {

namespace {

constexpr std::uint64_t kBusTimeoutMicroseconds = 1'000'000;
constexpr const char* kManager = "org.freedesktop.systemd1";

using Bus = std::unique_ptr<sd_bus, decltype(&sd_bus_flush_close_unref)>;
using Message = std::unique_ptr<sd_bus_message, decltype(&sd_bus_message_unref)>;

void notify(const std::string& state) {
  sd_notify(0, state.c_str());
}

std::string reason(int negative_errno) {
  return std::strerror(-negative_errno);
}

Result<std::string> own_unit() {
  char* name = nullptr;
  const int found = sd_pid_get_unit(0, &name);
  const std::unique_ptr<char, decltype(&std::free)> owner(name, &std::free);
  if (found < 0) {
    return fail(ErrorCode::not_found,
                "this process does not run as a service of systemd: " + reason(found));
  }
  return std::string(name);
}

Result<std::string> job_type_of(sd_bus* bus, const std::string& unit) {
  sd_bus_message* raw = nullptr;
  int done = sd_bus_call_method(bus, kManager, "/org/freedesktop/systemd1",
                                "org.freedesktop.systemd1.Manager", "GetUnit", nullptr, &raw, "s",
                                unit.c_str());
  const Message unit_reply(raw, &sd_bus_message_unref);
  const char* unit_path = nullptr;
  if (done >= 0) done = sd_bus_message_read(unit_reply.get(), "o", &unit_path);
  if (done < 0) return fail(ErrorCode::failed, fmt::format("GetUnit {}: {}", unit, reason(done)));

  raw = nullptr;
  done = sd_bus_get_property(bus, kManager, unit_path, "org.freedesktop.systemd1.Unit", "Job",
                             nullptr, &raw, "(uo)");
  const Message job_reply(raw, &sd_bus_message_unref);
  std::uint32_t id = 0;
  const char* job_path = nullptr;
  if (done >= 0) done = sd_bus_message_read(job_reply.get(), "(uo)", &id, &job_path);
  if (done < 0) return fail(ErrorCode::failed, fmt::format("Job of {}: {}", unit, reason(done)));
  if (id == 0) return std::string();

  char* type = nullptr;
  done = sd_bus_get_property_string(bus, kManager, job_path, "org.freedesktop.systemd1.Job",
                                    "JobType", nullptr, &type);
  const std::unique_ptr<char, decltype(&std::free)> owner(type, &std::free);
  if (done < 0)
    return fail(ErrorCode::failed, fmt::format("JobType of {}: {}", unit, reason(done)));
  return std::string(type);
}

}  // namespace

Result<std::vector<int>> inherited_sockets() {
  const int count = sd_listen_fds(1);
  if (count < 0) {
    return fail(ErrorCode::failed, "the sockets that systemd hands over: " + reason(count));
  }
  std::vector<int> sockets;
  for (int i = 0; i < count; ++i) sockets.push_back(SD_LISTEN_FDS_START + i);
  return sockets;
}

void notify_ready(const std::string& status) {
  notify("READY=1\nSTATUS=" + status);
}

void notify_status(const std::string& status) {
  notify("STATUS=" + status);
}

void notify_stopping(const std::string& status) {
  notify("STOPPING=1\nSTATUS=" + status);
}

void notify_watchdog() {
  notify("WATCHDOG=1");
}

std::chrono::microseconds watchdog_interval() {
  std::uint64_t microseconds = 0;
  if (sd_watchdog_enabled(0, &microseconds) <= 0) return {};
  return std::chrono::microseconds(microseconds);
}

Result<bool> restart_is_under_way() {
  const auto unit = own_unit();
  if (!unit) return std::unexpected(unit.error());
  sd_bus* raw = nullptr;
  const int opened = sd_bus_open_system(&raw);
  const Bus bus(raw, &sd_bus_flush_close_unref);
  if (opened < 0) {
    return fail(ErrorCode::failed, "cannot connect to the system bus: " + reason(opened));
  }
  sd_bus_set_method_call_timeout(bus.get(), kBusTimeoutMicroseconds);
  const auto type = job_type_of(bus.get(), *unit);
  if (!type) return std::unexpected(type.error());
  return *type == "restart" || *type == "try-restart";
}

}  // namespace fleet
