#include "node/agent_dump.h"

#include "api/json/json_writer.h"

namespace fleet {
namespace {

void write_state(JsonWriter& out, const std::string& name, const std::string& machine_id,
                 const StateRecord& state) {
  out.key(name).begin_object();
  out.member("LoadState", state.load_state);
  out.member("ActiveState", state.active_state);
  out.member("SubState", state.sub_state);
  out.member("MachineID", machine_id);
  out.member("UnitHash", state.hash);
  out.member("UnitName", name);
  out.end_object();
}

}  // namespace

std::string agent_dump(const Agent& agent, const std::string& machine_id) {
  JsonWriter out;
  out.begin_object();
  out.key("Agent").begin_object().key("Cache").begin_object().key("TargetStates").begin_object();
  for (const auto& [name, unit] : agent.units()) {
    if (unit.decision.value) out.member(name, to_string(unit.decision->state));
  }
  out.end_object().end_object().end_object();

  out.key("UnitStatePublisher").begin_object().key("Cache").begin_object();
  for (const auto& [name, unit] : agent.units()) {
    if (unit.status) write_state(out, name, machine_id, report_of(unit));
  }
  out.end_object().key("ToPublish").begin_object().end_object().end_object();

  out.key("UnitStateGenerator").begin_object().key("Subscribed").begin_array();
  for (const auto& [name, unit] : agent.units()) {
    if (unit.on_disk) out.text(name);
  }
  out.end_array().end_object().end_object();
  return out.take();
}

}  // namespace fleet
