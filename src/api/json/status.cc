#include "api/json/status.h"

#include <utility>

#include "api/json/json_reader.h"
#include "api/json/json_writer.h"

namespace fleet {
namespace {

using Value = JsonReader::Value;

void write(JsonWriter& out, const UnitOnMachineEntity& machine) {
  out.begin_object();
  out.member_unless_false("absent", machine.absent);
  out.member_unless_empty("currentState", machine.current_state);
  out.member_unless_empty("hash", machine.hash);
  out.member("machineID", machine.machine_id);
  out.member_unless_empty("problem", machine.problem);
  out.member_unless_zero("restarts", machine.restarts);
  out.member_unless_empty("state", machine.state);
  out.member_unless_empty("systemdActiveState", machine.systemd_active_state);
  out.member_unless_empty("systemdLoadState", machine.systemd_load_state);
  out.member_unless_empty("systemdSubState", machine.systemd_sub_state);
  out.end_object();
}

void write(JsonWriter& out, const UnitStatusEntity& unit) {
  out.begin_object();
  out.member_unless_empty("currentState", unit.current_state);
  out.member_unless_empty("desiredState", unit.desired_state);
  out.member_unless_false("destroyed", unit.destroyed);
  out.member_unless_false("global", unit.global);
  out.member_unless_empty("hash", unit.hash);
  out.member_unless_empty("machineID", unit.machine_id);
  if (!unit.machines.empty()) {
    out.key("machines").begin_array();
    for (const UnitOnMachineEntity& machine : unit.machines) write(out, machine);
    out.end_array();
  }
  out.member("name", unit.name);
  out.member_unless_empty("reason", unit.reason);
  out.member_unless_zero("restarts", unit.restarts);
  if (!unit.unplaceable.empty()) {
    out.key("unplaceable").begin_array();
    for (const RefusalEntity& refusal : unit.unplaceable) {
      out.begin_object().member("machineID", refusal.machine_id);
      out.member_unless_empty("reason", refusal.reason).end_object();
    }
    out.end_array();
  }
  out.end_object();
}

JsonReader::Member text(JsonReader& in, std::string_view name, std::string& out) {
  return {name, [&in, name, &out](const Value& value) { in.text(name, value, out); }};
}

JsonReader::Member number(JsonReader& in, std::string_view name, std::int64_t& out) {
  return {name, [&in, name, &out](const Value& value) { in.number(name, value, out); }};
}

void read(JsonReader& in, const Value& value, UnitOnMachineEntity& machine) {
  in.object("a unit on a machine", value,
            {{"absent", [&](const Value& v) { in.flag("absent", v, machine.absent); }},
             text(in, "currentState", machine.current_state),
             text(in, "hash", machine.hash),
             text(in, "machineID", machine.machine_id),
             text(in, "problem", machine.problem),
             number(in, "restarts", machine.restarts),
             text(in, "state", machine.state),
             text(in, "systemdActiveState", machine.systemd_active_state),
             text(in, "systemdLoadState", machine.systemd_load_state),
             text(in, "systemdSubState", machine.systemd_sub_state)});
}

void read(JsonReader& in, const Value& value, RefusalEntity& refusal) {
  in.object("a refusal", value,
            {text(in, "machineID", refusal.machine_id), text(in, "reason", refusal.reason)});
}

void read(JsonReader& in, const Value& value, UnitStatusEntity& unit) {
  const auto read_machines = [&](const Value& v) {
    in.array("machines", v, unit.machines,
             [&](const Value& e, UnitOnMachineEntity& machine) { read(in, e, machine); });
  };
  const auto read_refusals = [&](const Value& v) {
    in.array("unplaceable", v, unit.unplaceable,
             [&](const Value& e, RefusalEntity& refusal) { read(in, e, refusal); });
  };
  in.object("a unit's status", value,
            {text(in, "currentState", unit.current_state),
             text(in, "desiredState", unit.desired_state),
             {"destroyed", [&](const Value& v) { in.flag("destroyed", v, unit.destroyed); }},
             {"global", [&](const Value& v) { in.flag("global", v, unit.global); }},
             text(in, "hash", unit.hash),
             text(in, "machineID", unit.machine_id),
             {"machines", read_machines},
             text(in, "name", unit.name),
             text(in, "reason", unit.reason),
             number(in, "restarts", unit.restarts),
             {"unplaceable", read_refusals}});
}

}  // namespace

std::string to_json(const std::vector<UnitResultEntity>& results) {
  JsonWriter out;
  out.begin_object().key("units").begin_array();
  for (const UnitResultEntity& result : results) {
    out.begin_object().key("code").number(result.code);
    out.key("name").text(result.name).end_object();
  }
  return out.end_array().end_object().take();
}

std::string restarts_to_json(std::int64_t restarts) {
  return JsonWriter().begin_object().key("restarts").number(restarts).end_object().take();
}

Result<std::int64_t> restarts_from_json(std::string_view json) {
  const Result<Value> value = JsonReader::parse(json);
  if (!value) return std::unexpected(value.error());
  JsonReader in;
  std::int64_t restarts = 0;
  in.object("the body", *value, {number(in, "restarts", restarts)});
  return in.finish(restarts);
}

std::string to_json(const StatusEntity& status) {
  JsonWriter out;
  out.begin_object();
  if (!status.missing.empty()) {
    out.key("missing").begin_array();
    for (const std::string& name : status.missing) out.text(name);
    out.end_array();
  }
  out.key("revision").number(status.revision);
  if (!status.units.empty()) {
    out.key("units").begin_array();
    for (const UnitStatusEntity& unit : status.units) write(out, unit);
    out.end_array();
  }
  return out.end_object().take();
}

Result<StatusEntity> status_from_json(std::string_view json) {
  const Result<Value> value = JsonReader::parse(json);
  if (!value) return std::unexpected(value.error());
  JsonReader in;
  StatusEntity status;
  const auto read_units = [&](const Value& v) {
    in.array("units", v, status.units,
             [&](const Value& e, UnitStatusEntity& unit) { read(in, e, unit); });
  };
  in.object("the body", *value,
            {{"missing", [&](const Value& v) { in.texts("missing", v, status.missing); }},
             number(in, "revision", status.revision),
             {"units", read_units}});
  return in.finish(std::move(status));
}

}  // namespace fleet
