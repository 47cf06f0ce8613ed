#include "fleetctl/run.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

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

std::chrono::milliseconds request_timeout(const Flags& flags) {
  const double seconds = flags.number("request-timeout");
  if (seconds <= 0) return std::chrono::hours(24);  // none
  const double milliseconds = std::clamp(std::ceil(seconds * 1000), 1.0, 86'400'000.0);
  return std::chrono::milliseconds(static_cast<std::int64_t>(milliseconds));
}

Result<std::unique_ptr<ApiClient>> make_client(const Flags& flags, std::ostream& err) {
  std::string url = flags.text("endpoint");
  if (const std::size_t comma = url.find(','); comma != std::string::npos) {
    url.resize(comma);
    err << "WARNING: of several endpoints only the first one, " << url << ", is used\n";
  }
  auto endpoint = Endpoint::parse(url);
  if (!endpoint) return std::unexpected(endpoint.error());
  auto http = HttpClient::create(*endpoint, {.ca_file = flags.text("ca-file"),
                                             .cert_file = flags.text("cert-file"),
                                             .key_file = flags.text("key-file")});
  if (!http) return std::unexpected(http.error());
  ApiClientOptions options;
  options.request_timeout = request_timeout(flags);
  options.user_agent = fmt::format("fleetctl/{}", kVersion);
  if (flags.flag("debug")) {
    options.debug = [&err](const std::string& line) { err << "DEBUG: " << line << std::endl; };
  }
  return make_api_client(std::move(*http), *endpoint, std::move(options));
}

}  // namespace

int run_fleetctl(const std::vector<std::string>& args, const Environment& environment, Clock& clock,
                 std::ostream& out, std::ostream& err) {
  if (!args.empty() && (args.front() == "--version" || args.front() == "-v")) {
    return print_version(out);
  }
  const auto line = parse_command_line(args, environment);
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
    return command->name == "version" ? print_version(out) : print_help(line->args, out, err);
  }
  const auto client = make_client(line->flags, err);
  if (!client) {
    err << "Unable to initialize client: " << client.error().message << "\n";
    return 1;
  }
  Context context{**client, clock, out, err, line->flags, line->args};
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
