// The table of commands and flags. Another command is a row here and a cmd_<verb>.cc.
#include <array>

#include "fleetctl/command.h"

namespace fleet::ctl {
namespace {

using enum FlagType;

constexpr std::array kGlobalFlags{
    FlagSpec{"ca-file", 0, text, "",
             "Location of TLS CA file used to verify the fleet API (default: the system's CAs)"},
    FlagSpec{"cert-file", 0, text, "", "Location of TLS cert file to show to the fleet API"},
    FlagSpec{"debug", 0, boolean, "", "Print out more debug information to stderr"},
    FlagSpec{"endpoint", 0, text, "unix:///var/run/fleet.sock",
             "Location of the fleet API: http://HOST[:PORT], https://HOST[:PORT] or unix:///PATH"},
    FlagSpec{"help", 'h', boolean, "", "Print usage information and exit"},
    FlagSpec{"key-file", 0, text, "", "Location of TLS key file that goes with --cert-file"},
    FlagSpec{"request-timeout", 0, number, "3",
             "Amount of time in seconds to allow a single request before considering it failed."},
    FlagSpec{"version", 'v', boolean, "", "Print the version and exit"},
};

constexpr FlagSpec kNoLegend{"no-legend", 0, boolean, "", "Do not print a legend (column headers)"};
constexpr FlagSpec kFull{"full", 'l', boolean, "", "Do not ellipsize fields on output"};
constexpr FlagSpec kBlockAttempts{
    "block-attempts", 0, integer, "0",
    "Wait for this many times 2 seconds at most; 0 and less mean until it is done"};
constexpr FlagSpec kNoBlock{"no-block", 0, boolean, "", "Do not wait until it is done"};
constexpr FlagSpec kReplace{"replace", 0, boolean, "",
                            "Replace the unit in the cluster if the local file differs"};
constexpr FlagSpec kSign{"sign", 0, boolean, "", "DEPRECATED: has no effect"};

constexpr std::array kListMachinesFlags{
    FlagSpec{"fields", 0, text, "machine,ip,metadata",
             "Columns to print for each Machine. Valid fields are \"machine,ip,metadata\""},
    kFull, kNoLegend};
constexpr std::array kListUnitFilesFlags{
    FlagSpec{"fields", 0, text, "unit,hash,dstate,state,tmachine",
             "Columns to print for each Unit file. Valid fields are "
             "\"unit,hash,dstate,state,tmachine,target,global,desc\""},
    kFull, kNoLegend};
constexpr std::array kListUnitsFlags{FlagSpec{"fields", 0, text, "unit,machine,active,sub",
                                              "Columns to print for each Unit. Valid fields are "
                                              "\"unit,machine,load,active,sub,hash\""},
                                     kFull, kNoLegend};
constexpr std::array kBlockFlags{kBlockAttempts, kNoBlock};
constexpr std::array kStartFlags{kBlockAttempts, kNoBlock, kReplace, kSign};
constexpr std::array kSubmitFlags{kReplace, kSign};

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
        cmd_cat},
    Command{"destroy", "[--block-attempts=N] UNIT...", "Destroy one or more units in the cluster",
            "Stops units and removes them from the cluster. Returns once that is decided; with\n"
            "--block-attempts it waits until the machines have let go of them.\n"
            "\n"
            "Destroyed units are gone: to have one again, submit it again.",
            kBlockFlags, cmd_destroy},
    Command{"help",
            "[command]",
            "Show a list of commands or help for one command",
            "Show a list of commands or detailed help for one command.",
            {},
            nullptr},
    Command{"list-machines", "[-l|--full] [--no-legend] [--fields]",
            "Enumerate the current hosts in the cluster",
            "Lists all active machines within the cluster. Previously active machines will not "
            "appear in this list.\n"
            "\n"
            "For easily parsable output, you can remove the column headers:\n"
            "fleetctl list-machines --no-legend\n"
            "\n"
            "Output the list without truncation:\n"
            "fleetctl list-machines --full",
            kListMachinesFlags, cmd_list_machines},
    Command{
        "list-unit-files", "[-l|--full] [--no-legend] [--fields]",
        "List the units that exist in the cluster",
        "Lists all units that the cluster knows, whether they run or not. TMACHINE is the machine\n"
        "a unit is placed on; for a global unit it says on how many machines it runs, of those\n"
        "that are to have it.",
        kListUnitFilesFlags, cmd_list_unit_files},
    Command{"list-units", "[-l|--full] [--no-legend] [--fields]",
            "List the current state of units in the cluster",
            "Lists what systemd says of each unit on each machine that has it.\n"
            "\n"
            "For easily parsable output, you can remove the column headers:\n"
            "fleetctl list-units --no-legend\n"
            "\n"
            "Output the list without ellipses:\n"
            "fleetctl list-units --full",
            kListUnitsFlags, cmd_list_units},
    Command{"load", "[--no-block|--block-attempts=N] [--replace] UNIT...",
            "Schedule one or more units in the cluster, first submitting them if necessary",
            "Places units on machines without starting them. Units that the cluster does not know\n"
            "are submitted first, as submit does. Waits until they are loaded.",
            kStartFlags, cmd_load},
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
            kStartFlags, cmd_start},
    Command{
        "status",
        "UNIT...",
        "Output the status of one or more units in the cluster",
        "Outputs what the cluster knows of units: what is wanted, where each one is, what systemd\n"
        "says of it, and why it is not where it should be.",
        {},
        cmd_status},
    Command{"stop", "[--no-block|--block-attempts=N] UNIT...",
            "Instruct systemd to stop one or more units in the cluster.",
            "Stops units; they stay loaded on their machines. Waits until they have stopped.",
            kBlockFlags, cmd_stop},
    Command{
        "submit", "[--replace] UNIT...",
        "Upload one or more units to the cluster without starting them",
        "Uploads unit files to the cluster without placing or starting anything. The content of\n"
        "an instance is taken from its template, in the cluster or beside the file.\n"
        "\n"
        "Submit a unit, or many:\n"
        "fleetctl submit foo.service\n"
        "fleetctl submit my-units/*.service",
        kSubmitFlags, cmd_submit},
    Command{"unload", "[--no-block|--block-attempts=N] UNIT...",
            "Unschedule one or more units in the cluster.",
            "Stops units and takes them off their machines; they stay known to the cluster. Waits\n"
            "until the machines have let go of them.",
            kBlockFlags, cmd_unload},
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
