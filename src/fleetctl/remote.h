// How commands get to the machines of the cluster: over ssh, or without it where they run on the
// machine in question themselves.
#pragma once

#include <optional>
#include <string>

#include "fleetctl/command.h"
#include "fleetctl/ssh_command.h"

namespace fleet::ctl {

// Makes the directory of the known-hosts file (0700) if it is needed and missing. Should that fail,
// ssh will say that it cannot keep a key.
void make_known_hosts_directory(const SshSettings& settings);

// Adds what to do about a missing ssh to an error of Host::run or Host::start.
Error with_ssh_hint(Error error);

// What may be to blame for a login that failed where nobody could be asked; else nothing.
std::string unattended_hint(Host& host, const SshSettings& settings);

// The exit code of ssh for failures of its own. (A remote command that a signal ended gets it too.)
inline constexpr int kSshFailed = 255;

// Runs `words` on a machine, without ssh if it is this one, and returns their exit code. What keeps
// them from being run it prints; the exit code is 255 then if it is ssh, else 1. `known` are the
// cluster's machines, if the caller has asked for them already.
int run_on_machine(Context& context, const std::string& machine_id, const Argv& words,
                   const std::vector<MachineEntity>* known = nullptr);

// Runs a session of ssh on a machine of the address `address`.
// Fails: invalid (that is no address), not_found (no ssh), unavailable (no login).
Result<ProgramEnd> run_ssh(Context& context, const std::string& address, SshSession session);

}  // namespace fleet::ctl
