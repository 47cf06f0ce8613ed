#include "fleetctl/remote.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <sys/stat.h>

namespace fleet::ctl {
namespace {

// Fails: not_found (it is gone, or has told no address).
Result<std::string> address_of(ApiClient& api, const std::string& machine_id,
                               const std::vector<MachineEntity>* known) {
  std::vector<MachineEntity> machines;
  if (known == nullptr) {
    auto list = api.machines();
    if (!list) return std::unexpected(list.error());
    machines = std::move(*list);
    known = &machines;
  }
  const auto machine = std::ranges::find(*known, machine_id, &MachineEntity::id);
  const std::string name = machine_id_text(machine_id, false);
  if (machine == known->end()) {
    return fail(ErrorCode::not_found,
                fmt::format("{} is not among the cluster's machines now", name));
  }
  if (machine->primary_ip.empty()) {
    return fail(ErrorCode::not_found,
                fmt::format("{} has told no address; public_ip in its fleet.conf sets one", name));
  }
  return machine->primary_ip;
}

}  // namespace

void make_known_hosts_directory(const SshSettings& settings) {
  if (!settings.check_host_keys) return;
  const std::filesystem::path directory =
      std::filesystem::path(settings.known_hosts_file).parent_path();
  std::error_code error;
  if (directory.empty() || std::filesystem::exists(directory, error)) return;
  const auto before = ::umask(077);
  std::filesystem::create_directories(directory, error);
  ::umask(before);
}

Error with_ssh_hint(Error error) {
  if (error.code == ErrorCode::not_found) {
    error.message += "; install the OpenSSH client (Debian: openssh-client)";
  }
  return error;
}

std::string unattended_hint(Host& host, const SshSettings& settings) {
  if (host.on_terminal() || !settings.check_host_keys) return "";
  return fmt::format("; a host that is not in {} yet is accepted on a terminal only",
                     settings.known_hosts_file);
}

Result<ProgramEnd> run_ssh(Context& context, const std::string& address, SshSession session) {
  auto target = SshHost::parse(address, context.flags.integer("ssh-port"));
  if (!target) return std::unexpected(target.error());
  if (!context.ssh.tunnel) {  // which would else look the name up itself
    auto resolved = context.host.resolve(target->address);
    if (!resolved) return std::unexpected(resolved.error());
    target->address = std::move(*resolved);
  }
  make_known_hosts_directory(context.ssh);
  session.terminal = context.host.on_terminal();
  context.out.flush();
  context.err.flush();
  auto end = context.host.run(ssh_command(context.ssh, *target, session));
  if (!end) return std::unexpected(with_ssh_hint(std::move(end.error())));
  if (end->exit_code == kSshFailed && !end->logged_in) {
    const std::string through =
        context.ssh.tunnel ? " through " + context.ssh.tunnel->text() : std::string();
    return fail(
        ErrorCode::unavailable,
        fmt::format("ssh could not log in as {} on {}{}; what it said is above{}", context.ssh.user,
                    target->text(), through, unattended_hint(context.host, context.ssh)));
  }
  return end;
}

int run_on_machine(Context& context, const std::string& machine_id, const Argv& words,
                   const std::vector<MachineEntity>* known) {
  if (machine_id == context.host.machine_id()) {
    context.out.flush();
    context.err.flush();
    const auto end = context.host.run(words);
    if (end) return end->exit_code;
    context.err << end.error().message << "\n";
    return 1;
  }
  const auto address = address_of(context.api, machine_id, known);
  if (!address) {
    context.err << "Error getting machine IP: " << address.error().message << "\n";
    return 1;
  }
  const auto end = run_ssh(context, *address, {.command = shell_line(words), .with_stdin = false});
  if (end) return end->exit_code;
  context.err << "Unable to SSH to remote host: " << end.error().message << "\n";
  return kSshFailed;
}

}  // namespace fleet::ctl
