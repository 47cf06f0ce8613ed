// A shell or a command on a machine of the cluster (behaviour document 6.6).
#include <algorithm>

#include <fmt/format.h>

#include "fleetctl/remote.h"
#include "fleetctl/units.h"
#include "unit/requirements.h"

namespace fleet::ctl {
namespace {

// The address of the machine whose ID begins with `prefix`. Fails: not_found, conflict (several).
Result<std::string> address_of_machine(const std::vector<MachineEntity>& machines,
                                       const std::string& prefix) {
  const MachineEntity* found = nullptr;
  for (const MachineEntity& machine : machines) {
    if (!machine.id.starts_with(prefix)) continue;
    if (found != nullptr) {
      return fail(ErrorCode::conflict,
                  fmt::format("the IDs of several machines begin with `{}`: {} and {}", prefix,
                              found->id, machine.id));
    }
    found = &machine;
  }
  if (found == nullptr) {
    return fail(ErrorCode::not_found, fmt::format("no machine's ID begins with `{}`", prefix));
  }
  return found->primary_ip;
}

// The address of the machine that has the unit. Fails: not_found (no such unit), conflict (it has
// not one machine).
Result<std::string> address_of_unit(ApiClient& api, const std::vector<MachineEntity>& machines,
                                    const std::string& argument) {
  const std::string name = unit_argument(argument).name;
  const auto unit = api.unit(name);
  if (!unit) return std::unexpected(unit.error());
  if (!*unit) return fail(ErrorCode::not_found, fmt::format("there is no unit {}", name));
  if (requirements_of({(*unit)->options}, split_unit_name(name)).global) {
    return fail(ErrorCode::conflict,
                fmt::format("{} is global: name one of its machines with --machine", name));
  }
  if ((*unit)->machine_id.empty()) {
    return fail(ErrorCode::conflict, fmt::format("{0} is on no machine; fleetctl status {0} tells "
                                                 "why",
                                                 name));
  }
  const auto machine = std::ranges::find(machines, (*unit)->machine_id, &MachineEntity::id);
  if (machine == machines.end()) {
    return fail(ErrorCode::conflict,
                fmt::format("{}, which has {}, is not among the cluster's machines now",
                            machine_id_text((*unit)->machine_id, false), name));
  }
  return machine->primary_ip;
}

// Either, whichever `word` names.
Result<std::string> address_of(ApiClient& api, const std::vector<MachineEntity>& machines,
                               const std::string& word) {
  const auto by_machine = address_of_machine(machines, word);
  const auto by_unit = address_of_unit(api, machines, word);
  if (by_machine && by_unit) {
    return fail(ErrorCode::conflict,
                fmt::format("`{}` is both a unit's name and the beginning of a machine's ID; say "
                            "which with --unit or --machine",
                            word));
  }
  if (by_machine) return by_machine;
  if (by_unit || by_unit.error().code == ErrorCode::conflict) return by_unit;
  if (by_machine.error().code == ErrorCode::conflict) return by_machine;
  const ErrorCode why = by_unit.error().code;
  if (why != ErrorCode::not_found && why != ErrorCode::invalid) return by_unit;
  return fail(ErrorCode::not_found, "could not find matching unit or machine");
}

Result<std::string> find_address(Context& context, const std::string& word) {
  const std::string& machine = context.flags.text("machine");
  const std::string& unit = context.flags.text("unit");
  if (!machine.empty() && !unit.empty()) {
    return fail(ErrorCode::invalid, "either --machine or --unit can be given, not both");
  }
  if (machine.empty() && unit.empty() && word.empty()) {
    return fail(ErrorCode::invalid, "one machine or unit must be provided");
  }
  const auto machines = context.api.machines();
  if (!machines) return std::unexpected(machines.error());
  if (!machine.empty()) return address_of_machine(*machines, machine);
  if (!unit.empty()) return address_of_unit(context.api, *machines, unit);
  return address_of(context.api, *machines, word);
}

}  // namespace

int cmd_ssh(Context& context) {
  Argv words = context.args;
  std::string target;
  if (!context.flags.given("machine") && !context.flags.given("unit") && !words.empty()) {
    target = words.front();
    words.erase(words.begin());
  }
  const auto address = find_address(context, target);
  if (!address) {
    context.err << "Unable to proceed: " << address.error().message << "\n";
    return 1;
  }
  if (address->empty()) {
    context.err << "Could not determine address of machine.\n";
    return 1;
  }
  SshSession session;
  session.command = fmt::format("{}", fmt::join(words, " "));
  session.forward_agent = context.flags.flag("forward-agent");
  const auto end = run_ssh(context, *address, session);
  if (!end) {
    context.err << "Failed building SSH client: " << end.error().message << "\n";
    return 1;
  }
  if (end->exit_code != kSshFailed) return words.empty() ? 0 : end->exit_code;
  context.err << "fleetctl: the connection was lost, or what ran there was ended by a signal or "
                 "with exit status 255\n";
  return kSshFailed;
}

}  // namespace fleet::ctl
