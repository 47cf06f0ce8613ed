// A machine's systemd in memory, for tests and the simulation.
//
// FakeSystemd is the machine: unit files, notes, units and jobs. It outlives the FakeUnitManagers,
// which are one fleetd process's connection to it: destroying one and making another is a restart
// of fleetd. All times are the event loop's, so that on a virtual clock every run is the same.
//
// What a unit does follows from its file, as far as the few options go that script_of() knows, and
// from the script that a test gave it. Without either a started unit is active at once and stays.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/event_loop.h"
#include "systemd/unit_manager.h"

namespace fleet {

// How one unit behaves on this machine.
struct FakeScript {
  Duration start_takes{};    // from the start job's beginning to its result
  Duration stop_takes{};     // from the stop job's beginning to its result
  bool start_fails = false;  // the start job's result is "failed"
  bool start_hangs = false;  // the start job never ends by itself; a stop ends it
  // The start job's result is "timeout" (JobTimeoutSec=), and the unit goes on starting by itself:
  // it is active as much later again.
  bool start_job_times_out = false;
  bool stop_hangs = false;     // the stop job never ends by itself
  bool loses_signals = false;  // no job of it is seen to end and no change of it is reported
  bool skipped = false;        // a condition of it is not met
  bool bad_setting = false;    // its file cannot be loaded
  bool oneshot = false;  // active (exited) or, without remain_after_exit, inactive once started
  bool remain_after_exit = false;
  std::optional<Duration> exits_after = std::nullopt;  // its process ends so long after the start
  bool exit_fails = false;                             // ... with an error
};

// The script that a unit file's text implies: Type=oneshot, RemainAfterExit=, and what it runs:
// ExecStart of `false` fails (at once if oneshot, else after its start), `true` exits at once,
// `sleep N` after N seconds; Type=notify hangs starting. A service without ExecStart= cannot be
// loaded. ConditionPathExists=/nonexistent is not met. Anything else runs until it is stopped.
FakeScript script_of(std::string_view unit_name, std::string_view text);

// One call that reached systemd, in order.
struct FakeCall {
  enum class Verb { start, stop, restart };
  Time time;
  Verb verb = Verb::start;
  std::string name;
  std::uint64_t invocations = 0;  // how often the unit had been run once the call had acted
};

// Hears of everything as it happens, for a simulation that checks each step. All may be empty.
struct FakeWitness {
  // A client has called, and the unit's active state was `before`; nothing has been done yet.
  std::function<void(FakeCall::Verb verb, const std::string& name, const std::string& before)>
      on_call;
  // A client's, or a by-hand, job has ended, with systemd's word for how.
  std::function<void(FakeCall::Verb verb, const std::string& name, const std::string& result)>
      on_job_end;
  std::function<void(const std::string& name, const std::string& before, const std::string& now)>
      on_active_state;
  // A client has asked for a reload; for how many units systemd wanted one.
  std::function<void(std::size_t wanted)> on_reload;
};

class FakeSystemd {
 public:
  // `loop` is the machine's and must outlive this.
  explicit FakeSystemd(EventLoop& loop);
  ~FakeSystemd();
  FakeSystemd(const FakeSystemd&) = delete;
  FakeSystemd& operator=(const FakeSystemd&) = delete;

  // From its next start on the unit follows `script`, whatever its file says.
  void set_script(const std::string& name, FakeScript script);
  void clear_script(const std::string& name);
  // What hangs by a script goes on, as if a time limit of systemd's had run out. What hangs by its
  // file does not.
  void end_hangs();

  // Asked before each call of a client acts, with the member of UnitManager ("start") and the
  // unit's name; a returned error is the call's outcome. Empty: no faults.
  using FaultHook =
      std::function<std::optional<Error>(std::string_view call, const std::string& name)>;
  void set_fault_hook(FaultHook hook) { fault_hook_ = std::move(hook); }

  // How long each call and each signal is on its way. Zero: one turn of the loop.
  void set_latency(Duration latency) { latency_ = latency; }
  Duration latency() const { return latency_; }

  void set_witness(FakeWitness witness) { witness_ = std::move(witness); }

  // What happens on the machine without fleet.
  void start_by_hand(const std::string& name);
  void stop_by_hand(const std::string& name);
  void crash(const std::string& name);                              // the unit's process dies
  void put_file(const std::string& name, const std::string& text);  // any file name
  // A unit file at `path`, which systemd reads instead of fleet's from now on.
  void put_file_before(const std::string& name, const std::string& path, const std::string& text);
  // Takes it away again, and has systemd read its files again.
  void take_file_before(const std::string& name);

  // The connection of every client breaks, and is back.
  void disconnect();
  void connect();

  // The machine goes down and comes up: nothing of fleet is left, nothing runs. Clients that still
  // exist lose their connection and get it back.
  void reboot();

  // For assertions.
  UnitStatus status(const std::string& name) const;
  std::uint64_t invocations(const std::string& name) const;  // since the last boot
  std::optional<std::string> file(const std::string& name) const;
  std::optional<std::string> running_text(const std::string& name) const;  // the file that it runs
  bool enabled(const std::string& name) const;
  std::vector<std::string> active_units() const;  // active and activating ones, sorted
  const std::vector<FakeCall>& calls() const { return calls_; }
  void clear_calls() { calls_.clear(); }
  std::uint64_t reloads() const { return reloads_; }

 private:
  friend class FakeUnitManager;

  using Verb = FakeCall::Verb;
  using JobId = std::uint64_t;

  struct File {
    std::string text;
    std::string note;
    bool enabled = false;
    std::uint64_t version = 0;  // systemd goes by the time of change, not by the text
  };

  struct FileBefore {
    std::string path;
    std::string text;
  };

  struct Job {
    JobId id = 0;
    Verb verb = Verb::start;
    EventLoop::TimerId timer = 0;
  };

  // A unit that systemd has in memory: it is not plainly inactive, or has a job.
  struct Unit {
    std::string text;          // of its file, as last read
    std::string running_text;  // as read when it was started
    std::string other_file;    // the path of a file that was read instead of fleet's
    std::uint64_t version = 0;
    std::string load_state = "loaded";
    std::string active_state = "inactive";
    std::string sub_state = "dead";
    FakeScript script;
    std::optional<Job> job;
    EventLoop::TimerId exit_timer = 0;
  };

  // What a client wants to hear.
  struct Client {
    std::function<void(JobId, const std::string& name, const std::string& result)> job_removed;
    std::function<void(const std::string& name)> changed;
    std::function<void(bool connected)> connection;
  };
  using ClientId = std::uint64_t;

  ClientId attach(Client client);
  void detach(ClientId id) { clients_.erase(id); }

  // Queues a job as a client's call would. Fails as StartUnit does.
  Result<JobId> enqueue(const std::string& name, Verb verb);
  void write(const std::string& name, std::string text, bool enable);
  void remove(const std::string& name);
  void reload();

  Unit* find(const std::string& name);
  void load(const std::string& name, Unit& unit) const;
  std::string load_state_of(const std::string& name, const std::string& text) const;
  FakeScript script_for(const std::string& name, const std::string& text) const;
  bool loses_signals(const std::string& name) const;
  // For how many units NeedDaemonReload holds.
  std::size_t outdated() const;

  void begin_start(const std::string& name);
  void finish_start(const std::string& name);
  void begin_stop(const std::string& name);
  void finish_stop(const std::string& name);
  void process_ended(const std::string& name, bool failed);
  void end_job(const std::string& name, const std::string& result);
  void set_state(const std::string& name, const std::string& active, const std::string& sub);
  void forget_if_idle(const std::string& name);
  void tell_changed(const std::string& name);
  EventLoop::TimerId after(Duration delay, const std::string& name,
                           void (FakeSystemd::*step)(const std::string&));

  EventLoop& loop_;
  FaultHook fault_hook_;
  FakeWitness witness_;
  Duration latency_{};
  bool connected_ = true;
  std::map<std::string, File> files_;
  std::map<std::string, FileBefore> files_before_;
  std::map<std::string, Unit> units_;
  std::map<std::string, FakeScript> scripts_;
  std::map<std::string, std::uint64_t> invocations_;
  std::map<ClientId, Client> clients_;
  std::vector<FakeCall> calls_;
  std::uint64_t next_id_ = 1;
  std::uint64_t reloads_ = 0;
  std::uint64_t boots_ = 0;
};

class FakeUnitManager final : public UnitManager {
 public:
  // Both must outlive this.
  FakeUnitManager(EventLoop& loop, FakeSystemd& systemd);
  ~FakeUnitManager() override;
  FakeUnitManager(const FakeUnitManager&) = delete;
  FakeUnitManager& operator=(const FakeUnitManager&) = delete;

  void list(Callback<std::vector<LocalUnit>> done) override;
  void write(std::string name, std::string text, bool enable, Done done) override;
  void remove(std::string name, Done done) override;
  void reload(Done done) override;
  void start(std::string name, Done done) override;
  void stop(std::string name, Done done) override;
  void restart(std::string name, Done done) override;
  void query(std::string name, Callback<UnitStatus> done) override;
  void observe(std::string name) override;
  void ignore(std::string name) override;
  void set_listener(Listener listener) override;
  void set_note(std::string name, std::string note, Done done) override;

 private:
  using Reply = std::function<void()>;
  // What a call does in systemd and what the client is to hear of it. The client may be gone by
  // then: null.
  using Act = std::function<Reply(FakeUnitManager* client)>;

  // Lets `act` run after the latency, unless the connection is or gets lost or a fault is due: then
  // `fail` runs. Exactly one of `fail` and the reply runs, unless this is destroyed before. A
  // message to systemd arrives also when this is destroyed meanwhile, but not after a reboot.
  void call(std::string_view operation, std::string name, Act act,
            std::function<void(const Error&)> fail);
  // What keeps systemd from doing so.
  std::optional<Error> obstacle(std::string_view operation, const std::string& name) const;
  void run_job(FakeCall::Verb verb, std::string_view operation, const std::string& name,
               const Done& done);
  void on_job_removed(FakeSystemd::JobId id, const std::string& name, const std::string& result);
  void on_connection(bool connected);
  void report_soon(const std::string& name);
  // Wraps `action` so that it does nothing once this is destroyed.
  std::function<void()> guarded(std::function<void()> action);
  void later(std::function<void()> action);

  EventLoop& loop_;
  FakeSystemd& systemd_;
  FakeSystemd::ClientId client_ = 0;
  Listener listener_;
  std::set<std::string> observed_;
  std::set<std::string> reports_due_;
  std::map<std::uint64_t, std::function<void(Error)>> calls_;  // without an answer yet
  std::uint64_t next_call_ = 1;
  std::map<FakeSystemd::JobId, std::vector<std::pair<FakeCall::Verb, Done>>> jobs_;
  std::map<std::string, FakeCall::Verb> last_verb_;  // of our latest call for each unit
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fleet
