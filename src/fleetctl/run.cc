#include "fleetctl/run.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <sstream>

#include <fmt/format.h>

#include "fleetctl/complete.h"
#include "fleetctl/ssh_command.h"
#include "fleetctl/tunnel.h"
#include "fleetctl/units.h"
#include "fleetctl/usage.h"

namespace fleet::ctl {
namespace {

// Errors in how fleetctl is called, apart from those that a command finds.
constexpr int kUsageError = 2;
constexpr std::string_view kVersion = FLEET_VERSION;

int print_version(std::ostream& out) {
  out << "fleetctl version " << kVersion << "\n";
  return 0;
}

int print_help(const std::vector<std::string>& args, std::ostream& out, std::ostream& err) {
  const Command* command = args.empty() ? nullptr : find_command(args.front());
  if (!args.empty() && command == nullptr) {
    err << fmt::format("Unknown help topic [`{}`].\n", fmt::join(args, "` `"));
  }
  out << (command == nullptr ? root_usage(kVersion) : command_usage(*command));
  return 0;
}

// In 1.0's words, which scripts may know.
int refuse_to_verify(std::ostream& err) {
  err << "Command \"verify\" is deprecated, DEPRECATED - No longer works\n"
         "WARNING: The signed/verified units feature is DEPRECATED and cannot be used.\n";
  return 2;
}

Status check_driver(const std::string& driver) {
  if (driver == "API") return {};
  if (driver == "etcd") {
    return fail(ErrorCode::invalid,
                "the etcd driver is retired: only fleetd talks to etcd. Leave out --driver (in the "
                "environment FLEETCTL_DRIVER) and let --endpoint name a fleetd");
  }
  return fail(ErrorCode::invalid, fmt::format("unrecognized driver \"{}\"", driver));
}

// Tells of flags that 1.0 knew and that do nothing any more.
void warn_of_retired_flags(const Flags& flags, std::ostream& err) {
  if (flags.given("experimental-api") && !flags.flag("experimental-api")) {
    err << "WARNING: --experimental-api=false has no effect, there is only the fleet API\n";
  }
  if (flags.given("etcd-key-prefix")) {
    err << "WARNING: --etcd-key-prefix has no effect; etcd_key_prefix in fleet.conf counts\n";
  }
  if (flags.flag("sign")) {
    err << "WARNING: --sign has no effect, the signed/verified units feature is retired\n";
  }
}

std::chrono::milliseconds request_timeout(const Flags& flags) {
  const double seconds = flags.number("request-timeout");
  if (seconds <= 0) return std::chrono::hours(24);  // none
  const double milliseconds = std::clamp(std::ceil(seconds * 1000), 1.0, 86'400'000.0);
  return std::chrono::milliseconds(static_cast<std::int64_t>(milliseconds));
}

// The value of `flag`, or of the old name that 1.0 had for it.
std::string text_of(const Flags& flags, std::string_view flag, std::string_view old_name) {
  return flags.text(flag).empty() ? flags.text(old_name) : flags.text(flag);
}

// Entries of the known-hosts file are by address, so a tunnel host's name is looked up here.
Result<SshSettings> make_ssh_settings(const Flags& flags, Host& host) {
  auto settings = ssh_settings(flags, [&](const std::string& user) { return host.home(user); });
  if (!settings || !settings->tunnel) return settings;
  auto address = host.resolve(settings->tunnel->address);
  if (!address) return std::unexpected(with_context(std::move(address.error()), "--tunnel"));
  settings->tunnel->address = std::move(*address);
  return settings;
}

Result<std::unique_ptr<ApiClient>> make_client(const Flags& flags, const SshSettings& ssh,
                                               const Surroundings& surroundings) {
  std::ostream& err = surroundings.err;
  if (Status known = check_driver(flags.text("driver")); !known) {
    return std::unexpected(known.error());
  }
  std::string url = flags.text("endpoint");
  if (const std::size_t comma = url.find(','); comma != std::string::npos) {
    url.resize(comma);
    err << "WARNING: of several endpoints only the first one, " << url << ", is used\n";
  }
  auto endpoint = Endpoint::parse(url);
  if (!endpoint) return std::unexpected(endpoint.error());
  const TlsOptions tls{.ca_file = text_of(flags, "ca-file", "etcd-cafile"),
                       .cert_file = text_of(flags, "cert-file", "etcd-certfile"),
                       .key_file = text_of(flags, "key-file", "etcd-keyfile")};
  std::unique_ptr<Dialer> tunnel;
  if (ssh.tunnel) tunnel = make_tunnel(surroundings.host, ssh, *endpoint);
  auto http = surroundings.connect ? surroundings.connect(*endpoint, tls)
                                   : HttpClient::create(*endpoint, tls, std::move(tunnel));
  if (!http) return std::unexpected(http.error());
  ApiClientOptions options;
  options.request_timeout = request_timeout(flags);
  options.tunnelled = ssh.tunnel.has_value();
  options.version = kVersion;
  options.newer_server = [&err](const std::string& version) {
    err << fmt::format(
        "WARNING: fleetctl {} is older than the fleetd that answers ({}) and may not understand "
        "all "
        "that it says; upgrade fleetctl\n",
        kVersion, version);
  };
  if (flags.flag("debug")) {
    options.debug = [&err](const std::string& line) { err << "DEBUG: " << line << '\n'; };
  }
  return make_api_client(std::move(*http), *endpoint, surroundings.clock, std::move(options));
}

// Names that the cluster knows. Without an answer there are none: a shell that completes must not
// be held up, nor print errors into the line that is being typed.
void add_names(Completion& completion, const Surroundings& surroundings) {
  Flags flags = completion.line.flags;
  constexpr FlagSpec kPatience{"request-timeout", 0, FlagType::number, "", ""};
  (void)flags.set(kPatience, "1");
  const auto ssh = make_ssh_settings(flags, surroundings.host);
  // A login could ask for something on the terminal.
  if (!ssh || ssh->tunnel) return;
  std::ostringstream nowhere;
  const Surroundings quiet{surroundings.environment,
                           surroundings.clock,
                           surroundings.host,
                           surroundings.out,
                           nowhere,
                           false,
                           false,
                           surroundings.connect};
  const auto client = make_client(flags, *ssh, quiet);
  if (!client) return;
  const auto add = [&completion](std::vector<Candidate> more) {
    std::ranges::move(more, std::back_inserter(completion.candidates));
  };
  if (completion.machines) {
    if (const auto machines = (*client)->machines()) {
      add(machine_candidates(*machines, completion.begun));
    }
  }
  if (completion.units) {
    if (const auto status = (*client)->status({})) {
      add(unit_candidates(*status, unit_names(completion.line.args)));
    }
  }
}

int print_completion(const std::vector<std::string>& words, const Surroundings& surroundings) {
  Completion completion = complete(words, surroundings.environment);
  if (completion.units || completion.machines) add_names(completion, surroundings);
  surroundings.out << completion_text(completion);
  return 0;
}

bool obeys_escapes(const Surroundings& surroundings) {
  return surroundings.environment("TERM").value_or("dumb") != "dumb";
}

// Colour is for people: see https://no-color.org for the variable.
bool may_colour(const Surroundings& surroundings) {
  return surroundings.out_is_terminal &&
         surroundings.environment("NO_COLOR").value_or("").empty() && obeys_escapes(surroundings);
}

}  // namespace

int run_fleetctl(const std::vector<std::string>& args, const Surroundings& surroundings) {
  std::ostream& out = surroundings.out;
  std::ostream& err = surroundings.err;
  if (!args.empty() && (args.front() == "--version" || args.front() == "-v")) {
    return print_version(out);
  }
  if (!args.empty() && args.front() == "__complete") {
    return print_completion({args.begin() + 1, args.end()}, surroundings);
  }
  const auto line = parse_command_line(args, surroundings.environment);
  if (!line) {
    err << line.error().message;
    return kUsageError;
  }
  const Command* command = line->command;
  if (line->flags.flag("help")) {
    out << (command == nullptr ? root_usage(kVersion) : command_usage(*command));
    return 0;
  }
  if (command == nullptr) {
    return line->flags.flag("version") ? print_version(out) : print_help({}, out, err);
  }
  if (command->run == nullptr) {
    if (command->name == "verify") return refuse_to_verify(err);
    return command->name == "version" ? print_version(out) : print_help(line->args, out, err);
  }
  warn_of_retired_flags(line->flags, err);
  const auto ssh = make_ssh_settings(line->flags, surroundings.host);
  const auto client =
      ssh ? make_client(line->flags, *ssh, surroundings) : std::unexpected(ssh.error());
  if (!client) {
    err << "Unable to initialize client: " << client.error().message << "\n";
    return 1;
  }
  Context context{**client,
                  surroundings.clock,
                  surroundings.host,
                  *ssh,
                  out,
                  err,
                  line->flags,
                  line->args,
                  may_colour(surroundings),
                  surroundings.err_is_terminal && obeys_escapes(surroundings)};
  const int exit_code = command->run(context);
  out.flush();
  err.flush();
  if (!out) {
    err << "fleetctl: cannot write its output\n";
    return 1;
  }
  return exit_code;
}

}  // namespace fleet::ctl
