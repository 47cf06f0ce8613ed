// The engine: the step machine of the one fleetd that leads and decides where every unit runs.
//
// step(event, registry, now) -> effects. Pure: it reads the registry as it was at one revision and
// says what is to be done; the node does it and reports back with events.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/time.h"
#include "cluster/registry.h"
#include "engine/decide.h"
#include "engine/placement.h"
#include "store/store.h"

namespace fleet {

struct EngineOptions {
  // How long after taking the lead, after a loss of contact with the store or after an outage no
  // absent machine is called dead: the time in which a live one would have come back (the machines'
  // lease TTL). At other times it is called so once it shows whether one was lost or many: machines
  // that are cut off at one moment are missed within a third of this, because leases are renewed
  // that far apart. Those that have more than half of it left on their leases when another is
  // missed were not cut off with it; if the store cannot say so, the third is waited for.
  Duration grace = std::chrono::seconds(30);
  // See missing_machines().
  int mass_loss_percent = 50;
};

namespace engine_event {
// This fleetd leads from now on; `term` is the create revision of the leader key. The registry is
// at least as new.
struct LeadershipGained {
  Revision term = 0;
};
struct LeadershipLost {};
// No word from the store for so long that machines may have expired unjustly; and it is back.
struct ContactLost {};
struct ContactRegained {};
struct RegistryChanged {
  Registry::Changes changes;
};
// The registry was read anew, whole (a watch was compacted).
struct RegistryReloaded {};
struct Committed {
  std::uint64_t id = 0;
  Result<TransactionResult> result;
};
// The answer to AskLeasesEffect, by machine. What the store could not tell is left out.
struct LeasesSeen {
  std::uint64_t id = 0;
  std::map<std::string, Duration> remaining;
};
struct TimePassed {};
}  // namespace engine_event

using EngineEvent =
    std::variant<engine_event::LeadershipGained, engine_event::LeadershipLost,
                 engine_event::ContactLost, engine_event::ContactRegained,
                 engine_event::RegistryChanged, engine_event::RegistryReloaded,
                 engine_event::Committed, engine_event::LeasesSeen, engine_event::TimePassed>;

// A transaction to be committed; to be answered by Committed with the same id.
struct CommitEffect {
  std::uint64_t id = 0;
  Transaction transaction;
};
// How long these machines' leases live is to be asked of the store; to be answered by LeasesSeen
// with the same id.
struct AskLeasesEffect {
  std::uint64_t id = 0;
  std::map<std::string, LeaseId> machines;
};
// TimePassed is wanted at `when`; replaces an earlier wish.
struct WakeEffect {
  Time when;
};
using EngineEffect = std::variant<CommitEffect, AskLeasesEffect, WakeEffect, LogLine>;

// What an engine has done so far, for the metrics; only grows.
struct EngineCounts {
  // Orders to a machine to take a unit, and to let go of one. What only changes an assigned unit
  // (its content, its desired state) is none.
  struct Tasks {
    std::uint64_t schedule = 0;
    std::uint64_t unschedule = 0;

    void operator+=(const Tasks& more) {
      schedule += more.schedule;
      unschedule += more.unschedule;
    }
    bool operator==(const Tasks&) const = default;
  };
  std::uint64_t rounds = 0;  // in which at least one unit was decided about
  Tasks tried;               // each time that they were sent to the store
  Tasks failed;              // each time that the store did not confirm them
  // How often a unit was found in this Trouble.
  std::uint64_t machine_away = 0;
  std::uint64_t machine_refuses = 0;
  std::uint64_t no_machine = 0;

  bool operator==(const EngineCounts&) const = default;
};

class Engine {
 public:
  explicit Engine(EngineOptions options) : options_(options) {}

  std::vector<EngineEffect> step(const EngineEvent& event, const Registry& registry, Time now);

  bool is_leading() const { return context_.term != 0; }
  const EngineCounts& counts() const { return counts_; }

  // While it leads: how many units wait for something before they can be where they should be, and
  // whether so many machines are missing that nothing is moved.
  std::size_t waiting() const { return waiting_.size(); }
  bool is_braking() const { return is_leading() && context_.held == Held::brake; }

  // Settings that can change while it runs; they count from the next step.
  void set_options(EngineOptions options) {
    options_ = options;
    absent_changed_ = true;
  }

 private:
  struct InFlight {
    Transaction transaction;
    std::set<std::string> units;
    bool barrier = false;           // see send_barrier()
    EngineCounts::Tasks tasks;      // among its operations
    std::optional<Time> resend_at;  // its outcome is unknown: it is sent again
  };
  // Where a decision puts a unit.
  struct Expected {
    std::string machine;
    bool assigned = true;
  };
  // A unit whose decisions the registry does not show yet. Until it does they hold their places in
  // the placement, and nothing more is decided about the unit.
  struct Unsettled {
    std::vector<Expected> expected;
    Revision unit_revision = 0;  // of the file that `expected` holds places for; 0: it is gone
    Revision shown_at = 0;  // the registry shows what became of them from here on; 0: not known yet
  };

  void handle(const engine_event::LeadershipGained& event, const Registry& registry, Time now);
  void handle(const engine_event::LeadershipLost& event, const Registry& registry, Time now);
  void handle(const engine_event::ContactLost& event, const Registry& registry, Time now);
  void handle(const engine_event::ContactRegained& event, const Registry& registry, Time now);
  void handle(const engine_event::RegistryChanged& event, const Registry& registry, Time now);
  void handle(const engine_event::RegistryReloaded& event, const Registry& registry, Time now);
  void handle(const engine_event::Committed& event, const Registry& registry, Time now);
  void handle(const engine_event::LeasesSeen& event, const Registry& registry, Time now);
  void handle(const engine_event::TimePassed& event, const Registry& registry, Time now);

  void rebuild(const Registry& registry);
  // Takes what the registry says about a unit, or a machine, into the placement.
  void refresh_unit(const Registry& registry, const std::string& name);
  void refresh_machine(const Registry& registry, const std::string& id);
  void index_followers(const Registry& registry, const std::string& name);
  void dirty_followers(const std::string& name);
  std::string take_dirty();
  bool follows_unsettled(const std::string& name) const;
  void unit_changed(const Registry& registry, const std::string& name);
  void machine_changed(const Registry& registry, const std::string& id);
  // `name`, which was this on a machine, has left it or is something else there now.
  void room_was_made(const Registry& registry, const std::string& name, const Occupant& occupant);
  // Whose place an assigned unit takes, those have to go.
  void dirty_replaced(const std::string& machine, const std::string& name,
                      const Occupant& occupant);
  Occupant occupant_now(const Unit* unit, const Occupant* before, bool assigned) const;
  void release_settled(const Registry& registry);
  // Whether the registry is still being filled from another one: what it lacks says nothing then.
  bool waits_for_registry(const Registry& registry, Time now);
  void judge_absent_machines(const Registry& registry, Time now);
  void call_dead(const Registry& registry, const MissingMachines& missing, Time now);
  // How many of the machines that are there cannot have been cut off together with those that are
  // missed. Asks for their leases if that is to be found out.
  std::size_t count_well(const Registry& registry, Time now);
  void decide_dirty(const Registry& registry);
  void send(const Registry& registry, std::vector<std::vector<Decision>> groups);
  // A transaction was refused because something had changed. A write of our own comes after
  // whatever that was: once the registry shows it, the units can be decided again.
  void send_barrier(const Registry& registry, std::set<std::string> units);
  void resend_unknown(Time now);
  void count(Trouble trouble);
  void hold_place(const Registry& registry, const std::string& name, const Expected& expected);
  void ask_to_wake(Time now);
  void log(LogLevel level, std::string text, std::string unit = {}, std::string machine = {});

  EngineOptions options_;
  DecideContext context_;  // term 0: does not lead
  Time grace_until_;
  bool in_contact_ = true;
  bool registry_incomplete_ = false;          // by the last look
  bool absent_changed_ = true;                // the set of absent machines must be judged anew
  std::map<std::string, Time> missed_since_;  // absent machines that are not called dead yet
  std::optional<Time> judge_at_;
  std::uint64_t asking_ = 0;      // the id of the leases asked for and not answered yet; 0: none
  std::optional<Time> asked_at_;  // when they were last asked for
  std::set<std::string> well_;    // of the machines asked about then, those that were heard of

  Placement placement_;
  std::map<std::string, std::set<std::string>> followers_;   // unit -> units with MachineOf it
  std::map<std::string, std::vector<std::string>> follows_;  // the reverse, to keep it exact
  std::set<std::string> circles_;  // units that wait in a circle; any other may have broken it
  std::set<std::string> globals_;  // units that every machine's coming and going concerns
  std::set<std::string> dirty_;    // to be decided
  std::map<std::string, std::string>
      waiting_;  // with the reason; looked at again when room appears

  EngineCounts counts_;
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, InFlight> in_flight_;
  std::map<std::string, Unsettled> unsettled_;
  std::vector<EngineEffect> effects_;
};

// What the registry alone shows of where everything is.
Placement placement_of(const Registry& registry);

// Why `name` is not where the user wants it, from the registry alone: for any fleetd to tell,
// leading or not. Empty if it is. The second form is for many units of one registry:
// `placement` is placement_of(registry).
std::string why_waiting(const Registry& registry, const std::string& name, int mass_loss_percent);
std::string why_waiting(const Registry& registry, const Placement& placement,
                        const std::string& name, int mass_loss_percent);

// For a unit that wants a machine: each machine's own refusal. Empty where the unit is placed; of a
// global unit those of the machines that it is not assigned to.
std::vector<std::pair<std::string, std::string>> refusals(const Registry& registry,
                                                          const Placement& placement,
                                                          const std::string& name);

}  // namespace fleet
