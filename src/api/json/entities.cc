#include "api/json/entities.h"

#include <utility>

#include "api/json/json_reader.h"
#include "api/json/json_writer.h"

namespace fleet {
namespace {

using Value = JsonReader::Value;

void write(JsonWriter& out, const UnitEntity& unit) {
  out.begin_object();
  out.member_unless_empty("currentState", unit.current_state);
  out.member_unless_empty("desiredState", unit.desired_state);
  out.member_unless_empty("machineID", unit.machine_id);
  out.member_unless_empty("name", unit.name);
  if (!unit.options.empty()) {
    out.key("options").begin_array();
    for (const UnitOption& option : unit.options) {
      out.begin_object();
      out.member_unless_empty("name", option.name);
      out.member_unless_empty("section", option.section);
      out.member_unless_empty("value", option.value);
      out.end_object();
    }
    out.end_array();
  }
  out.end_object();
}

void write(JsonWriter& out, const UnitStateEntity& state) {
  out.begin_object();
  out.member_unless_empty("hash", state.hash);
  out.member_unless_empty("machineID", state.machine_id);
  out.member_unless_empty("name", state.name);
  out.member_unless_empty("systemdActiveState", state.systemd_active_state);
  out.member_unless_empty("systemdLoadState", state.systemd_load_state);
  out.member_unless_empty("systemdSubState", state.systemd_sub_state);
  out.end_object();
}

void write(JsonWriter& out, const MachineEntity& machine) {
  out.begin_object();
  out.member_unless_empty("id", machine.id);
  if (!machine.metadata.empty()) {
    out.key("metadata").begin_object();
    for (const auto& [key, value] : machine.metadata) out.member(key, value);
    out.end_object();
  }
  out.member_unless_empty("primaryIP", machine.primary_ip);
  out.end_object();
}

void write(JsonWriter& out, const InfoEntity& info) {
  out.begin_object();
  out.member_unless_empty("leaderMachineID", info.leader_machine_id);
  out.member_unless_empty("machineID", info.machine_id);
  out.member_unless_empty("registry", info.registry);
  out.member_unless_empty("registryIncomplete", info.registry_incomplete);
  out.member_unless_empty("registryLocation", info.registry_location);
  out.member_unless_empty("version", info.version);
  out.end_object();
}

template <class T>
std::string write_one(const T& entity) {
  JsonWriter out;
  write(out, entity);
  return out.take();
}

// A page whose list, called `name`, comes before or after the token in the alphabet.
template <class T>
std::string write_page(std::string_view name, const std::vector<T>& list,
                       const std::string& token) {
  constexpr std::string_view kToken = "nextPageToken";
  JsonWriter out;
  out.begin_object();
  if (kToken < name) out.member_unless_empty(kToken, token);
  if (!list.empty()) {
    out.key(name).begin_array();
    for (const T& entity : list) write(out, entity);
    out.end_array();
  }
  if (name < kToken) out.member_unless_empty(kToken, token);
  out.end_object();
  return out.take();
}

void read(JsonReader& in, const Value& value, UnitOption& option) {
  in.object(
      "an option", value,
      {{"name", [&](const Value& v) { in.text("an option's name", v, option.name); }},
       {"section", [&](const Value& v) { in.text("an option's section", v, option.section); }},
       {"value", [&](const Value& v) { in.text("an option's value", v, option.value); }}});
}

void read(JsonReader& in, const Value& value, UnitEntity& unit) {
  in.object(
      "a unit", value,
      {{"currentState", [&](const Value& v) { in.text("currentState", v, unit.current_state); }},
       {"desiredState", [&](const Value& v) { in.text("desiredState", v, unit.desired_state); }},
       {"machineID", [&](const Value& v) { in.text("machineID", v, unit.machine_id); }},
       {"name", [&](const Value& v) { in.text("name", v, unit.name); }},
       {"options", [&](const Value& v) {
          in.array("options", v, unit.options,
                   [&](const Value& e, UnitOption& option) { read(in, e, option); });
        }}});
}

void read(JsonReader& in, const Value& value, UnitStateEntity& state) {
  const auto text = [&in](std::string_view name, std::string& out) -> JsonReader::Member {
    return {name, [&in, name, &out](const Value& v) { in.text(name, v, out); }};
  };
  in.object("a unit state", value,
            {text("hash", state.hash), text("machineID", state.machine_id),
             text("name", state.name), text("systemdActiveState", state.systemd_active_state),
             text("systemdLoadState", state.systemd_load_state),
             text("systemdSubState", state.systemd_sub_state)});
}

void read(JsonReader& in, const Value& value, MachineEntity& machine) {
  in.object("a machine", value,
            {{"id", [&](const Value& v) { in.text("id", v, machine.id); }},
             {"metadata", [&](const Value& v) { in.texts("metadata", v, machine.metadata); }},
             {"primaryIP", [&](const Value& v) { in.text("primaryIP", v, machine.primary_ip); }}});
}

void read(JsonReader& in, const Value& value, InfoEntity& info) {
  const auto text = [&in](const char* name, std::string& out) {
    return [&in, name, &out](const Value& v) { in.text(name, v, out); };
  };
  in.object("the answer", value,
            {{"leaderMachineID", text("leaderMachineID", info.leader_machine_id)},
             {"machineID", text("machineID", info.machine_id)},
             {"registry", text("registry", info.registry)},
             {"registryIncomplete", text("registryIncomplete", info.registry_incomplete)},
             {"registryLocation", text("registryLocation", info.registry_location)},
             {"version", text("version", info.version)}});
}

void read(JsonReader& in, const Value& value, MetadataChange& change) {
  const auto read_value = [&](const Value& v) {
    if (v.is_string()) return in.text("value", v, change.value);
    in.object("value", v, {{"value", [&](const Value& w) { in.text("value", w, change.value); }}});
  };
  in.object("a change of metadata", value,
            {{"op", [&](const Value& v) { in.text("op", v, change.op); }},
             {"path", [&](const Value& v) { in.text("path", v, change.path); }},
             {"value", read_value}});
}

template <class T>
Result<T> read_one(std::string_view text) {
  const Result<Value> value = JsonReader::parse(text);
  if (!value) return std::unexpected(value.error());
  JsonReader in;
  T entity;
  read(in, *value, entity);
  return in.finish(std::move(entity));
}

template <class Page, class T>
Result<Page> read_page(std::string_view text, std::string_view name, std::vector<T> Page::*list) {
  const Result<Value> value = JsonReader::parse(text);
  if (!value) return std::unexpected(value.error());
  JsonReader in;
  Page page;
  const auto read_list = [&](const Value& v) {
    in.array(name, v, page.*list, [&](const Value& e, T& entity) { read(in, e, entity); });
  };
  in.object("a page", *value, {{name, read_list}, {"nextPageToken", [&](const Value& v) {
                                                     in.text("nextPageToken", v,
                                                             page.next_page_token);
                                                   }}});
  return in.finish(std::move(page));
}

}  // namespace

std::string to_json(const UnitEntity& unit) {
  return write_one(unit);
}

std::string to_json(const UnitPage& page) {
  return write_page("units", page.units, page.next_page_token);
}

std::string to_json(const UnitStateEntity& state) {
  return write_one(state);
}

std::string to_json(const UnitStatePage& page) {
  return write_page("states", page.states, page.next_page_token);
}

std::string to_json(const MachineEntity& machine) {
  return write_one(machine);
}

std::string to_json(const MachinePage& page) {
  return write_page("machines", page.machines, page.next_page_token);
}

std::string to_json(const InfoEntity& info) {
  return write_one(info);
}

std::string to_json(const std::vector<MetadataChange>& changes) {
  JsonWriter out;
  out.begin_array();
  for (const MetadataChange& change : changes) {
    out.begin_object().member("op", change.op).member("path", change.path);
    if (!change.value.empty()) {
      out.key("value").begin_object().member("value", change.value).end_object();
    }
    out.end_object();
  }
  return out.end_array().take();
}

std::string to_json(const ErrorEntity& error) {
  JsonWriter out;
  out.begin_object().key("error").begin_object();
  out.key("code").number(error.code).member("message", error.message);
  return out.end_object().end_object().take();
}

Result<UnitEntity> unit_from_json(std::string_view text) {
  return read_one<UnitEntity>(text);
}

Result<UnitPage> unit_page_from_json(std::string_view text) {
  return read_page(text, "units", &UnitPage::units);
}

Result<UnitStateEntity> unit_state_from_json(std::string_view text) {
  return read_one<UnitStateEntity>(text);
}

Result<UnitStatePage> unit_state_page_from_json(std::string_view text) {
  return read_page(text, "states", &UnitStatePage::states);
}

Result<MachineEntity> machine_from_json(std::string_view text) {
  return read_one<MachineEntity>(text);
}

Result<MachinePage> machine_page_from_json(std::string_view text) {
  return read_page(text, "machines", &MachinePage::machines);
}

Result<InfoEntity> info_from_json(std::string_view text) {
  return read_one<InfoEntity>(text);
}

Result<std::vector<MetadataChange>> metadata_changes_from_json(std::string_view text) {
  const Result<Value> value = JsonReader::parse(text);
  if (!value) return std::unexpected(value.error());
  JsonReader in;
  std::vector<MetadataChange> changes;
  in.array("the body", *value, changes,
           [&](const Value& e, MetadataChange& change) { read(in, e, change); });
  return in.finish(std::move(changes));
}

Result<ErrorEntity> error_from_json(std::string_view text) {
  const Result<Value> value = JsonReader::parse(text);
  if (!value) return std::unexpected(value.error());
  JsonReader in;
  ErrorEntity error;
  std::int64_t code = 0;
  in.object("the body", *value,
            {{"error", [&](const Value& v) {
                in.object(
                    "error", v,
                    {{"code", [&](const Value& c) { in.number("code", c, code); }},
                     {"message", [&](const Value& m) { in.text("message", m, error.message); }}});
              }}});
  if (code < 0 || code > 999) in.wrong_type("code", "an HTTP status");
  error.code = static_cast<int>(code);
  return in.finish(std::move(error));
}

}  // namespace fleet
