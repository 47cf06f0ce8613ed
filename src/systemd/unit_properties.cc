#include "systemd/unit_properties.h"

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>

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
  value = number != 0;
  return result;
}

int read_int(sd_bus_message* message, int& value) {
  return sd_bus_message_read(message, "v", "i", &value);
}

int read_job(sd_bus_message* message, bool& pending) {
  std::uint32_t id = 0;
  const char* path = nullptr;
  const int result = sd_bus_message_read(message, "v", "(uo)", &id, &path);
  pending = id != 0;
  return result;
}

int read_load_error(sd_bus_message* message, std::string& error) {
  const char* name = nullptr;
  const char* text = nullptr;
  const int result = sd_bus_message_read(message, "v", "(ss)", &name, &text);
  if (result > 0) error = *text != '\0' ? text : name;
  return result;
}

int read_property(sd_bus_message* message, std::string_view name, UnitProperties& unit) {
  if (name == "LoadState") return read_string(message, unit.status.load_state);
  if (name == "ActiveState") return read_string(message, unit.status.active_state);
  if (name == "SubState") return read_string(message, unit.status.sub_state);
  if (name == "NeedDaemonReload") return read_bool(message, unit.status.needs_reload);
  if (name == "Job") return read_job(message, unit.status.job_pending);
  if (name == "LoadError") return read_load_error(message, unit.status.load_error);
  if (name == "FragmentPath") return read_string(message, unit.fragment_path);
  if (name == "Result") return read_string(message, unit.result);
  if (name == "ExecMainCode") return read_int(message, unit.exec_code);
  if (name == "ExecMainStatus") return read_int(message, unit.exec_status);
  return sd_bus_message_skip(message, "v");
}

}  // namespace

Result<UnitProperties> read_unit_properties(sd_bus_message* reply) {
  UnitProperties unit;
  int result = sd_bus_message_enter_container(reply, 'a', "{sv}");
  while (result >= 0) {
    result = sd_bus_message_enter_container(reply, 'e', "sv");
    if (result <= 0) break;  // 0: the end of the array
    const char* name = nullptr;
    result = sd_bus_message_read_basic(reply, 's', &name);
    if (result >= 0) result = read_property(reply, name, unit);
    if (result >= 0) result = sd_bus_message_exit_container(reply);
  }
  if (result < 0) {
    return fail(
        ErrorCode::failed,
        std::string("systemd's description of the unit cannot be read: ") + std::strerror(-result));
  }
  return unit;
}

std::string unit_object_path(const std::string& name) {
  char* raw = nullptr;
  if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", name.c_str(), &raw) < 0) return "";
  const std::unique_ptr<char, decltype(&std::free)> path(raw, &std::free);
  return path.get();
}

std::string describe(const UnitProperties& unit) {
  std::string text = unit.status.active_state + " (" + unit.status.sub_state + ")";
  if (unit.result.empty() || unit.result == "success") return text;
  text += ", " + unit.result;
  if (unit.exec_code == CLD_EXITED) text += ", exit status " + std::to_string(unit.exec_status);
  if (unit.exec_code == CLD_KILLED || unit.exec_code == CLD_DUMPED) {
    text += ", signal " + std::to_string(unit.exec_status);
  }
  return text;
}

}  // namespace fleet
