// What a command of fleetctl is: a row of the table in commands.cc and a function in cmd_<verb>.cc.
#pragma once

#include <map>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "fleetctl/api_client.h"
#include "fleetctl/clock.h"
#include "fleetctl/format.h"
#include "fleetctl/host.h"

namespace fleet::ctl {

enum class FlagType { boolean, integer, number, text };

struct FlagSpec {
  std::string_view name;  // without dashes
  char shorthand = 0;     // -l; 1.0's --l is accepted too
  FlagType type = FlagType::boolean;
  std::string_view default_value;
  std::string_view help;
  // What its value can be, for completion: as Command::arguments; parted by ',' it is a list.
  std::string_view values = {};
};

// The flags of an invocation: those of the command and the global ones.
class Flags {
 public:
  // Fails: invalid (not a value of the flag's type).
  Status set(const FlagSpec& spec, const std::string& value);
  void set_default(const FlagSpec& spec);

  bool given(std::string_view name) const;
  bool flag(std::string_view name) const;
  long integer(std::string_view name) const;
  double number(std::string_view name) const;
  const std::string& text(std::string_view name) const;

 private:
  struct Value {
    std::string text;
    bool given = false;
  };
  const Value& find(std::string_view name) const;
  std::map<std::string, Value, std::less<>> values_;
};

struct SshSettings;  // ssh_command.h

// Everything a command works with.
struct Context {
  ApiClient& api;
  Clock& clock;
  Host& host;
  const SshSettings& ssh;
  std::ostream& out;
  std::ostream& err;
  const Flags& flags;
  const std::vector<std::string>& args;
  bool coloured = false;        // what goes to `out`
  bool shows_progress = false;  // `err` is a terminal, where a line can be written over

  // What `id` is called in output. Asks the API for the machines the first time, and again for a
  // machine that it does not know yet.
  std::string machine(const std::string& id);

  std::optional<MachineNames> machine_names = {};
};

struct Command {
  std::string_view name;
  std::string_view usage;    // what follows "fleetctl <name>"
  std::string_view summary;  // one line
  std::string_view description;
  std::span<const FlagSpec> flags;
  int (*run)(Context& context) = nullptr;  // returns the exit code; null: needs no API, see run.cc
  // What its arguments can be, for completion: words parted by '|', of which @files, @units,
  // @machines and @commands stand for all that there are.
  std::string_view arguments = {};
};

// In alphabetical order.
std::span<const Command> commands();
const Command* find_command(std::string_view name);
// In alphabetical order.
std::span<const FlagSpec> global_flags();
// By its name or shorthand, without dashes; null if there is none.
const FlagSpec* find_flag(std::span<const FlagSpec> flags, std::string_view name);
// A flag of any command: where the command is not known yet, it tells whether a value follows.
const FlagSpec* find_any_flag(std::string_view name);

int cmd_cat(Context& context);
int cmd_destroy(Context& context);
int cmd_fd_forward(Context& context);
int cmd_info(Context& context);
int cmd_journal(Context& context);
int cmd_list_machines(Context& context);
int cmd_list_unit_files(Context& context);
int cmd_list_units(Context& context);
int cmd_load(Context& context);
int cmd_restart(Context& context);
int cmd_ssh(Context& context);
int cmd_start(Context& context);
int cmd_status(Context& context);
int cmd_stop(Context& context);
int cmd_submit(Context& context);
int cmd_unload(Context& context);

}  // namespace fleet::ctl
