// The table of commands and flags. Another command is a row here and a cmd_<verb>.cc.
#include <array>

#include "fleetctl/command.h"

namespace fleet::ctl {
namespace {

using enum FlagType;

constexpr std::string_view kFiles = "@files";
constexpr std::string_view kUnits = "@units";
constexpr std::string_view kMachines = "@machines";

constexpr std::array kGlobalFlags{
    FlagSpec{"ca-file", 0, text, "",
             "Location of TLS CA file used to verify the fleet API (default: the system's CAs)",
             kFiles},
    FlagSpec{"cert-file", 0, text, "", "Location of TLS cert file to show to the fleet API",
             kFiles},
    FlagSpec{"debug", 0, boolean, "", "Print out more debug information to stderr"},
    FlagSpec{"driver", 0, text, "API", "DEPRECATED: \"API\" is the only driver that is left."},
    FlagSpec{"endpoint", 0, text, "unix:///var/run/fleet.sock",
             "Location of the fleet API: http://HOST[:PORT], https://HOST[:PORT] or unix:///PATH"},
    FlagSpec{"etcd-cafile", 0, text, "", "DEPRECATED: use --ca-file."},
    FlagSpec{"etcd-certfile", 0, text, "", "DEPRECATED: use --cert-file."},
    FlagSpec{"etcd-key-prefix", 0, text, "/_coreos.com/fleet/",
             "DEPRECATED: has no effect, only fleetd talks to etcd."},
    FlagSpec{"etcd-keyfile", 0, text, "", "DEPRECATED: use --key-file."},
    FlagSpec{"experimental-api", 0, boolean, "true", "DEPRECATED: has no effect."},
    FlagSpec{"help", 'h', boolean, "", "Print usage information and exit"},
    FlagSpec{"key-file", 0, text, "", "Location of TLS key file that goes with --cert-file",
             kFiles},
    FlagSpec{"known-hosts-file", 0, text, "~/.fleetctl/known_hosts",
             "File used to store remote machine fingerprints. Ignored if strict host key checking "
             "is disabled.",
             kFiles},
    FlagSpec{"request-timeout", 0, number, "3",
             "Amount of time in seconds to allow a single request before considering it failed."},
    FlagSpec{"ssh-timeout", 0, number, "10",
             "Amount of time in seconds to allow for SSH connection initialization before "
             "failing."},
    FlagSpec{"ssh-username", 0, text, "core", "Username to use when connecting to a machine."},
    FlagSpec{"strict-host-key-checking", 0, boolean, "true",
             "Verify host keys presented by remote machines before initiating SSH connections."},
    FlagSpec{"tunnel", 0, text, "",
             "Establish an SSH tunnel through the provided address for communication with fleet."},
    FlagSpec{"version", 'v', boolean, "", "Print the version and exit"},
};

constexpr FlagSpec kNoLegend{"no-legend", 0, boolean, "", "Do not print a legend (column headers)"};
constexpr FlagSpec kFull{"full", 'l', boolean, "", "Do not ellipsize fields on output"};
constexpr FlagSpec kOutput{
    "output", 'o', text, "table", "Format of the output: \"table\" or \"json\"", "table|json"};
constexpr FlagSpec kBlockAttempts{
    "block-attempts", 0, integer, "0",
    "Wait for this many times 2 seconds at most; 0 and less mean until it is done"};
constexpr FlagSpec kNoBlock{"no-block", 0, boolean, "", "Do not wait until it is done"};
constexpr FlagSpec kReplace{"replace", 0, boolean, "",
                            "Replace the unit in the cluster if the local file differs"};
constexpr FlagSpec kSign{"sign", 0, boolean, "", "DEPRECATED: has no effect."};

constexpr std::array kListMachinesFlags{
    FlagSpec{"fields", 0, text, "machine,ip,metadata",
             "Columns to print for each Machine. Valid fields are \"machine,ip,metadata\"",
             "machine,ip,metadata"},
    kFull, kNoLegend, kOutput};
constexpr std::array kListUnitFilesFlags{
    FlagSpec{"fields", 0, text, "unit,hash,dstate,state,target",
             "Columns to print for each Unit file. Valid fields are "
             "\"unit,hash,dstate,state,target,global,desc,tmachine\"",
             "unit,hash,dstate,state,target,global,desc,tmachine"},
    kFull, kNoLegend, kOutput};
constexpr std::array kListUnitsFlags{FlagSpec{"fields", 0, text, "unit,machine,active,sub",
                                              "Columns to print for each Unit. Valid fields are "
                                              "\"unit,machine,load,active,sub,hash\"",
                                              "unit,machine,load,active,sub,hash"},
                                     kFull, kNoLegend, kOutput};
constexpr std::array kRestartFlags{kBlockAttempts};
constexpr std::array kBlockFlags{kBlockAttempts, kNoBlock};
constexpr std::array kStartFlags{kBlockAttempts, kNoBlock, kReplace, kSign};
constexpr std::array kSubmitFlags{kReplace, kSign};

constexpr FlagSpec kSshPort{"ssh-port", 0, integer, "22",
                            "Connect to this port of machines, unless their address names one"};
constexpr std::array kStatusFlags{kOutput, kSshPort};
constexpr std::array kJournalFlags{
    FlagSpec{"follow", 'f', boolean, "", "Print new lines as they come"},
    FlagSpec{"lines", 0, integer, "10", "Print this many lines, counted from the end"},
    FlagSpec{"output", 0, text, "short", "How journalctl is to print them: its --output",
             "short|short-iso|short-precise|verbose|export|json|json-pretty|cat"},
    kSshPort, FlagSpec{"sudo", 0, boolean, "", "Run journalctl with sudo"}};
constexpr std::array kSshFlags{
    FlagSpec{"forward-agent", 'A', boolean, "", "Let the machine use the local ssh-agent"},
    FlagSpec{"machine", 0, text, "", "Go to the machine whose ID begins so", kMachines}, kSshPort,
    FlagSpec{"unit", 0, text, "", "Go to the machine that has this unit", kUnits}};

constexpr std::array kCommands{
    Command{
        "cat",
        "UNIT",
        "Output the contents of a submitted unit",
        "Outputs the unit file that is in the cluster, as it is stored there: without comments.\n"
        "\n"
        "Read a unit file, or save it:\n"
        "fleetctl cat foo.service\n"
        "fleetctl cat foo.service > foo.service",
        {},
        cmd_cat,
        kUnits},
    Command{"destroy", "[--block-attempts=N] UNIT...", "Destroy one or more units in the cluster",
            "Stops units and removes them from the cluster. Returns once that is decided; with\n"
            "--block-attempts it waits until the machines have let go of them.\n"
            "\n"
            "Destroyed units are gone: to have one again, submit it again.",
            kBlockFlags, cmd_destroy, kUnits},
    Command{
        "fd-forward",
        "SOCKET",
        "Proxy stdin and stdout to a unix domain socket",
        "Connects stdin and stdout to a unix socket. `fleetctl --tunnel` runs it on the tunnel\n"
        "host, to reach the fleet API there.",
        {},
        cmd_fd_forward,
        kFiles},
    Command{"help",
            "[command]",
            "Show a list of commands or help for one command",
            "Show a list of commands or detailed help for one command.",
            {},
            nullptr,
            "@commands"},
    Command{"info",
            "",
            "Show which fleetd answers and where the registry of its cluster is",
            "Shows the fleetd that answers, with its version and machine; the registry of its\n"
            "cluster, in etcd or embedded in that fleetd; and the machine whose engine leads.",
            {},
            cmd_info},
    Command{"journal", "[--lines=N] [--ssh-port=N] [-f|--follow] [--output=STRING] [--sudo] UNIT",
            "Print the journal of a unit in the cluster to stdout",
            "Prints what a unit has logged on its machine, by running journalctl there: over SSH,\n"
            "or without it if that is this machine.\n"
            "\n"
            "Read the last 10 lines:\n"
            "fleetctl journal foo.service\n"
            "\n"
            "Read the last 100, and follow:\n"
            "fleetctl journal --lines 100 --follow foo.service",
            kJournalFlags, cmd_journal, kUnits},
    Command{"list-machines", "[-l|--full] [--no-legend] [--fields=LIST] [-o json]",
            "Enumerate the current hosts in the cluster",
            "Lists all active machines within the cluster. Previously active machines will not "
            "appear in this list.\n"
            "\n"
            "For easily parsable output, you can remove the column headers:\n"
            "fleetctl list-machines --no-legend\n"
            "\n"
            "Output the list without truncation:\n"
            "fleetctl list-machines --full\n"
            "\n"
            "For programs, all of it as JSON: one array of objects with machineID, machineIP and\n"
            "metadata:\n"
            "fleetctl list-machines --output=json",
            kListMachinesFlags, cmd_list_machines},
    Command{
        "list-unit-files", "[-l|--full] [--no-legend] [--fields=LIST] [-o json]",
        "List the units that exist in the cluster",
        "Lists all units that the cluster knows, whether they run or not. TARGET is the machine\n"
        "that a unit is placed on. A global unit has no state of its own; \"fleetctl status "
        "UNIT\"\n"
        "tells on how many machines it runs.\n"
        "\n"
        "For programs, all of it as JSON: one array of objects with name, description, hash,\n"
        "global, desiredState, currentState, machineID, machineIP, machines, reason, restarts and\n"
        "unplaceable:\n"
        "fleetctl list-unit-files --output=json",
        kListUnitFilesFlags, cmd_list_unit_files},
    Command{"list-units", "[-l|--full] [--no-legend] [--fields=LIST] [-o json]",
            "List the current state of units in the cluster",
            "Lists what systemd says of each unit on each machine that has it.\n"
            "\n"
            "For easily parsable output, you can remove the column headers:\n"
            "fleetctl list-units --no-legend\n"
            "\n"
            "Output the list without ellipses:\n"
            "fleetctl list-units --full\n"
            "\n"
            "For programs, all of it as JSON: one array of objects with name, hash, machineID,\n"
            "machineIP, systemdLoadState, systemdActiveState and systemdSubState:\n"
            "fleetctl list-units --output=json",
            kListUnitsFlags, cmd_list_units},
    Command{"load", "[--no-block|--block-attempts=N] [--replace] UNIT...",
            "Schedule one or more units in the cluster, first submitting them if necessary",
            "Places units on machines without starting them. Units that the cluster does not know\n"
            "are submitted first, as submit does. Waits until they are loaded.",
            kStartFlags, cmd_load, "@files|@units"},
    Command{
        "restart", "[--block-attempts=N] UNIT...", "Restart one or more units in the cluster",
        "Restarts units where they are, one after another: each must be active again before the\n"
        "next one is touched, and the first that fails ends it. A global unit is restarted on\n"
        "all its machines. A unit that is loaded is started; one that is inactive is left so.",
        kRestartFlags, cmd_restart, kUnits},
    Command{"ssh",
            "[-A|--forward-agent] [--ssh-port=N] [--machine|--unit] {MACHINE|UNIT} [COMMAND]",
            "Open interactive shell on a machine in the cluster",
            "Opens a shell on a machine, or runs a command there and returns its exit status. The\n"
            "machine is named by the beginning of its ID, or by a unit that it has.\n"
            "\n"
            "Open a shell on a machine, or on that of a unit:\n"
            "fleetctl ssh 2444264c\n"
            "fleetctl ssh foo.service\n"
            "\n"
            "Run a command; its own options need --:\n"
            "fleetctl ssh --unit foo.service -- ls -l /tmp\n"
            "\n"
            "Host keys are checked against --known-hosts-file. The keys of the ssh-agent and the\n"
            "default key files (~/.ssh/id_*) open the machines; no configuration file of ssh is "
            "read.",
            kSshFlags, cmd_ssh, "@machines|@units"},
    Command{"start", "[--no-block|--block-attempts=N] [--replace] UNIT...",
            "Instruct systemd to start one or more units in the cluster, first submitting and "
            "loading if necessary",
            "Places units on machines and starts them. Units that the cluster does not know are\n"
            "submitted first, as submit does. Waits until systemd has started them; a unit that\n"
            "cannot be placed waits, and its reasons are shown.\n"
            "\n"
            "Start a unit from a file, or an instance of a template:\n"
            "fleetctl start foo.service\n"
            "fleetctl start bar@1 bar@2",
            kStartFlags, cmd_start, "@files|@units"},
    Command{
        "status", "[--ssh-port=N] [-o json] UNIT...",
        "Output the status of one or more units in the cluster",
        "Outputs what the cluster knows of units: what is wanted, where each one is, what systemd\n"
        "says of it, and why it is not where it should be. Then it runs `systemctl status` on the\n"
        "unit's machine: over SSH, or without it if that is this machine. Stops at the first unit\n"
        "that is not active, and returns what systemctl returned.\n"
        "\n"
        "For programs, what the cluster knows as JSON, with the members of list-unit-files:\n"
        "fleetctl status --output=json foo.service",
        kStatusFlags, cmd_status, kUnits},
    Command{"stop", "[--no-block|--block-attempts=N] UNIT...",
            "Instruct systemd to stop one or more units in the cluster.",
            "Stops units; they stay loaded on their machines. Waits until they have stopped.",
            kBlockFlags, cmd_stop, kUnits},
    Command{
        "submit", "[--replace] UNIT...",
        "Upload one or more units to the cluster without starting them",
        "Uploads unit files to the cluster without placing or starting anything. The content of\n"
        "an instance is taken from its template, in the cluster or beside the file.\n"
        "\n"
        "Submit a unit, or many:\n"
        "fleetctl submit foo.service\n"
        "fleetctl submit my-units/*.service",
        kSubmitFlags, cmd_submit, "@files|@units"},
    Command{"unload", "[--no-block|--block-attempts=N] UNIT...",
            "Unschedule one or more units in the cluster.",
            "Stops units and takes them off their machines; they stay known to the cluster. Waits\n"
            "until the machines have let go of them.",
            kBlockFlags, cmd_unload, kUnits},
    Command{"verify",
            "UNIT",
            "DEPRECATED: units are not signed any more",
            "Fails, whatever it is asked: signatures of units ended with fleet 1.0.",
            {},
            nullptr},
    Command{"version", "", "Print the version and exit", "Print the version and exit", {}, nullptr},
};

}  // namespace

std::span<const Command> commands() {
  return kCommands;
}
std::span<const FlagSpec> global_flags() {
  return kGlobalFlags;
}

}  // namespace fleet::ctl
