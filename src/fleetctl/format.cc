#include "fleetctl/format.h"

#include <algorithm>

#include <fmt/format.h>

namespace fleet::ctl {
namespace {

constexpr std::size_t kTab = 8;

// Characters, not bytes: UTF-8 continuation bytes do not count.
std::size_t length_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) >> 6) != 2; }));
}

std::string line(std::string_view label, std::string_view value) {
  return fmt::format("{:>10} {}\n", label, value);
}

}  // namespace

Colour colour_of(std::string_view active_state) {
  if (active_state == "active") return Colour::green;
  if (active_state == "failed") return Colour::red;
  return active_state.empty() || active_state == "inactive" ? Colour::none : Colour::yellow;
}

std::string painted(std::string text, Colour colour, bool coloured) {
  // ECMA-48, "select graphic rendition".
  static constexpr std::string_view kCodes[] = {"", "\x1b[32m", "\x1b[33m", "\x1b[31m"};
  if (!coloured || colour == Colour::none || text.empty()) return text;
  return fmt::format("{}{}\x1b[0m", kCodes[static_cast<std::size_t>(colour)], text);
}

std::string table(const std::vector<Row>& rows, bool coloured) {
  std::vector<std::size_t> widths;
  std::vector<Row> cells = rows;
  for (Row& row : cells) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i].text = on_one_line(std::move(row[i].text));
      if (i + 1 == row.size()) continue;
      if (widths.size() <= i) widths.resize(i + 1);
      widths[i] = std::max(widths[i], (length_of(row[i].text) + 1 + kTab - 1) / kTab * kTab);
    }
  }
  std::string text;
  for (const Row& row : cells) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += painted(row[i].text, row[i].colour, coloured);
      if (i + 1 == row.size()) continue;
      text.append((widths[i] - length_of(row[i].text) + kTab - 1) / kTab, '\t');
    }
    text += '\n';
  }
  return text;
}

std::string on_one_line(std::string text) {
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < ' ' || c == 127; }, ' ');
  return text;
}

std::string or_dash(std::string_view text) {
  return text.empty() ? "-" : std::string(text);
}

std::string hash_text(const std::string& hash, bool full) {
  return full ? hash : hash.substr(0, 7);
}

std::string machine_id_text(const std::string& id, bool full) {
  return full || id.empty() ? id : id.substr(0, 8) + "...";
}

std::string metadata_text(const std::map<std::string, std::string>& metadata) {
  std::string text;
  for (const auto& [key, value] : metadata) {
    if (!text.empty()) text += ',';
    text += key + "=" + value;
  }
  return text;
}

MachineNames::MachineNames(const std::vector<MachineEntity>& machines) {
  for (const MachineEntity& machine : machines) addresses_[machine.id] = machine.primary_ip;
}

std::string MachineNames::text(const std::string& id, bool full) const {
  const std::string name = machine_id_text(id, full);
  const std::string ip = address(id);
  return name.empty() || ip.empty() ? name : name + "/" + ip;
}

std::string MachineNames::address(const std::string& id) const {
  const auto found = addresses_.find(id);
  return found == addresses_.end() ? std::string() : found->second;
}

std::string global_spread(const UnitStatusEntity& unit) {
  const auto scheduled = std::ranges::count_if(unit.machines, [](const UnitOnMachineEntity& m) {
    return m.state == "launched" || m.state == "loaded";
  });
  const auto running = std::ranges::count_if(unit.machines, [](const UnitOnMachineEntity& m) {
    return m.state == "launched" && m.current_state == "launched" &&
           m.systemd_active_state == "active";
  });
  return fmt::format("{} of {}", running, scheduled);
}

std::string systemd_text(const UnitOnMachineEntity& machine) {
  if (machine.systemd_active_state.empty()) return {};
  std::string text = machine.systemd_active_state;
  if (!machine.systemd_sub_state.empty()) text += " (" + machine.systemd_sub_state + ")";
  if (!machine.systemd_load_state.empty() && machine.systemd_load_state != "loaded") {
    text += ", unit file " + machine.systemd_load_state;
  }
  return text;
}

std::string status_text(const UnitStatusEntity& unit, const std::string& description,
                        const MachineNames& machines, bool coloured) {
  std::string text = unit.name;
  if (!description.empty()) text += " - " + description;
  text = on_one_line(text) + "\n";
  text += line("Hash:", or_dash(hash_text(unit.hash, true)));
  text += line("Desired:", or_dash(unit.desired_state));
  text += line("Current:", or_dash(unit.current_state));
  if (unit.global) {
    text += line("Where:", "global, running on " + global_spread(unit) + " machines");
  } else {
    text += line("Where:", or_dash(machines.text(unit.machine_id, false)));
  }
  for (const UnitOnMachineEntity& one : unit.machines) {
    std::string systemd = systemd_text(one);
    if (systemd.empty()) systemd = one.absent ? "unknown" : "nothing yet";
    systemd = painted(std::move(systemd), colour_of(one.systemd_active_state), coloured);
    text +=
        line("systemd:", fmt::format("{} on {}", systemd, machines.text(one.machine_id, false)));
    if (one.absent) text += line("", "the machine is not there");
    // What is being taken away from a machine would else look like a second copy.
    if (one.state == "inactive") text += line("", "to be removed there");
    if (!one.problem.empty()) text += line("Problem:", on_one_line(one.problem));
  }
  if (!unit.reason.empty()) text += line("Why:", on_one_line(unit.reason));
  for (const RefusalEntity& refusal : unit.unplaceable) {
    text += line("", fmt::format("{}: {}", machines.text(refusal.machine_id, false),
                                 on_one_line(refusal.reason)));
  }
  return text;
}

}  // namespace fleet::ctl
