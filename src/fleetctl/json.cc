#include "fleetctl/json.h"

#include "api/json/json_writer.h"

namespace fleet::ctl {
namespace {

template <class Items, class Write>
std::string array_of(const Items& items, Write write_one) {
  std::string text = "[";
  for (const auto& item : items) {
    JsonWriter out;
    out.begin_object();
    write_one(out, item);
    text += text.size() == 1 ? "\n" : ",\n";
    text += out.end_object().take();
  }
  return text + (items.empty() ? "]\n" : "\n]\n");
}

void write_machine(JsonWriter& out, const std::string& id, const MachineNames& machines) {
  out.member("machineID", id).member("machineIP", machines.address(id));
}

void write_on_machine(JsonWriter& out, const UnitOnMachineEntity& on,
                      const MachineNames& machines) {
  out.begin_object();
  out.member("currentState", on.current_state).member("hash", on.hash);
  write_machine(out, on.machine_id, machines);
  out.member("problem", on.problem);
  out.key("restarts").number(on.restarts);
  out.member("state", on.state);
  out.member("systemdActiveState", on.systemd_active_state);
  out.member("systemdLoadState", on.systemd_load_state);
  out.member("systemdSubState", on.systemd_sub_state);
  out.end_object();
}

}  // namespace

std::string machines_json(const std::vector<MachineEntity>& machines) {
  return array_of(machines, [](JsonWriter& out, const MachineEntity& machine) {
    out.member("machineID", machine.id).member("machineIP", machine.primary_ip);
    out.key("metadata").begin_object();
    for (const auto& [key, value] : machine.metadata) out.member(key, value);
    out.end_object();
  });
}

std::string states_json(const std::vector<UnitStateEntity>& states, const MachineNames& machines) {
  return array_of(states, [&](JsonWriter& out, const UnitStateEntity& state) {
    out.member("hash", state.hash);
    write_machine(out, state.machine_id, machines);
    out.member("name", state.name);
    out.member("systemdActiveState", state.systemd_active_state);
    out.member("systemdLoadState", state.systemd_load_state);
    out.member("systemdSubState", state.systemd_sub_state);
  });
}

std::string units_json(const std::vector<UnitStatusEntity>& units,
                       const std::map<std::string, std::string>& descriptions,
                       const MachineNames& machines) {
  return array_of(units, [&](JsonWriter& out, const UnitStatusEntity& unit) {
    const auto description = descriptions.find(unit.name);
    out.member("currentState", unit.current_state);
    out.member("description", description == descriptions.end() ? "" : description->second);
    out.member("desiredState", unit.desired_state);
    out.key("global").flag(unit.global);
    out.member("hash", unit.hash);
    write_machine(out, unit.machine_id, machines);
    out.key("machines").begin_array();
    for (const auto& machine : unit.machines) write_on_machine(out, machine, machines);
    out.end_array();
    out.member("name", unit.name);
    out.member("reason", unit.reason);
    out.key("restarts").number(unit.restarts);
    out.key("unplaceable").begin_array();
    for (const RefusalEntity& refusal : unit.unplaceable) {
      out.begin_object();
      write_machine(out, refusal.machine_id, machines);
      out.member("reason", refusal.reason).end_object();
    }
    out.end_array();
  });
}

}  // namespace fleet::ctl
