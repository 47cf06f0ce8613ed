#include "systemd/unit_properties.h"

#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include <systemd/sd-bus.h>

namespace fleet {
namespace {

int read_string(sd_bus_message* message, std::string& value) {
  const char* text = nullptr;
  const int result = sd_bus_message_read(message, "v", "s", &text);
  if (result > 0) value = text;
  return result;
}

int read_bool(sd_bus_message* message, bool& value) {
  int number = 0;
  const int result = sd_bus_message_read(message, "v", "b", &number);
  if (result > 0) value = number != 0;
  return result;
}

int read_int(sd_bus_message* message, int& value) {
  return sd_bus_message_read(message, "v", "i", &value);
}

int read_job(sd_bus_message* message, bool& pending) {
  std::uint32_t id = 0;
  const int result = sd_bus_message_read(message, "v", "(uo)", &id, nullptr);
  if (result > 0) pending = id != 0;
  return result;
}

// Reads an array of properties, a{sv}; `read` takes the value of one, or skips it, and returns as
// sd_bus_message_read does. Negative: the errno.
int read_properties(sd_bus_message* message, const std::function<int(std::string_view)>& read) {
  int result = sd_bus_message_enter_container(message, 'a', "{sv}");
  while (result >= 0) {
    result = sd_bus_message_enter_container(message, 'e', "sv");
    if (result <= 0) break;  // 0: the end of the array
    const char* name = nullptr;
    result = sd_bus_message_read_basic(message, 's', static_cast<void*>(&name));
    if (result >= 0) result = read(name);
    if (result >= 0) result = sd_bus_message_exit_container(message);
  }
  return result;
}

}  // namespace

std::string unit_object_path(const std::string& name) {
  char* raw = nullptr;
  if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", name.c_str(), &raw) < 0) return "";
  const std::unique_ptr<char, decltype(&std::free)> path(raw, &std::free);
  return path.get();
}

bool apply_unit_changes(sd_bus_message* signal, UnitStatus& status) {
  const char* interface = nullptr;
  if (sd_bus_message_read_basic(signal, 's', static_cast<void*>(&interface)) <= 0) return false;
  if (std::string_view(interface) != "org.freedesktop.systemd1.Unit") return false;
  UnitStatus now = status;
  const int result = read_properties(signal, [&](std::string_view name) {
    if (name == "LoadState") return read_string(signal, now.load_state);
    if (name == "ActiveState") return read_string(signal, now.active_state);
    if (name == "SubState") return read_string(signal, now.sub_state);
    if (name == "NeedDaemonReload") return read_bool(signal, now.needs_reload);
    if (name == "Job") return read_job(signal, now.job_pending);
    return sd_bus_message_skip(signal, "v");
  });
  if (result < 0) return false;
  status = std::move(now);
  return true;
}

UnitEnd read_unit_end(sd_bus_message* reply) {
  UnitEnd end;
  (void)read_properties(reply, [&](std::string_view name) {
    if (name == "Result") return read_string(reply, end.result);
    if (name == "ExecMainCode") return read_int(reply, end.exec_code);
    if (name == "ExecMainStatus") return read_int(reply, end.exec_status);
    return sd_bus_message_skip(reply, "v");
  });
  return end;
}

std::string describe(const UnitStatus& status, const UnitEnd& end) {
  std::string text = status.active_state + " (" + status.sub_state + ")";
  if (end.result.empty() || end.result == "success") return text;
  text += ", " + end.result;
  if (end.exec_code == CLD_EXITED) text += ", exit status " + std::to_string(end.exec_status);
  if (end.exec_code == CLD_KILLED || end.exec_code == CLD_DUMPED) {
    text += ", signal " + std::to_string(end.exec_status);
  }
  return text;
}

}  // namespace fleet
