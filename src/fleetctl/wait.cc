#include "fleetctl/wait.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

namespace fleet::ctl {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kAttempt{2'000};
// A wait that is shorter than this is not worth a word.
constexpr milliseconds kSilence{1'000};
// How long an API that does not answer, or has lost its registry, is asked again.
constexpr milliseconds kPatience{20'000};
constexpr milliseconds kPause{500};
// A simple service is active as soon as its process exists: one that fails at once is to be told
// from one that runs. And between two tries of systemd a service is inactive for a moment. (1.0
// looked for the first time after 250 ms.)
constexpr milliseconds kActiveHold{250};
// A global unit whose machines all have it is done after this long, though there may be a reason
// why it is not on others, or none at all has it.
constexpr milliseconds kSettle{2'000};
// 1.0 does not wait for global units at all, and one machine may always be in trouble: only a
// restart of them is waited for to its end.
constexpr milliseconds kGlobalPatience{10'000};
// A service that ended at once may run at systemd's next try. (1.0 looked for 2 s.)
constexpr milliseconds kRetryPatience{2'000};
// Of a machine that is not there nobody can say whether it has stopped a unit; it may be back soon.
constexpr milliseconds kAbsencePatience{10'000};

// More units than kManyUnits are not told of one by one.
constexpr std::size_t kManyUnits = 8;
constexpr std::size_t kFewUnits = 3;
constexpr milliseconds kTellPause{5'000};
// Of a progress line: it is written over, which works only where it has not been wrapped.
constexpr std::size_t kColumns = 79;

using Kind = Judgement::Kind;

bool is_one_of(const std::string& text, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, text) != words.end();
}

std::string systemd_words(const UnitOnMachineEntity& machine) {
  if (machine.absent) return "the machine is not there";
  std::string text = systemd_text(machine);
  return text.empty() ? "systemd has said nothing yet" : "systemd says " + text;
}

// What systemd will not start however long one waits; the machine goes on trying. A unit that is
// not found is none: systemd may have looked just before its file was put there, and only a start
// makes it look again.
bool has_failed_to_start(const UnitOnMachineEntity& machine) {
  if (machine.problem.empty()) return false;
  return machine.systemd_active_state == "failed" || machine.problem.starts_with("start failed") ||
         is_one_of(machine.systemd_load_state, {"bad-setting", "error", "masked"});
}

// One machine that is to have launched a unit, and to have carried out so many restarts of it.
Judgement judge_launched_on(const UnitStatusEntity& unit, const UnitOnMachineEntity& machine,
                            std::int64_t restarts) {
  Judgement result;
  result.machine = machine.machine_id;
  result.state = "launched";
  const bool same = machine.hash.empty() || unit.hash.empty() || machine.hash == unit.hash;
  const bool restarted = machine.restarts >= restarts;
  if (machine.state == "launched" && machine.current_state == "launched" && same && restarted) {
    result.in_state = true;
    const std::string& active = machine.systemd_active_state;
    if (is_one_of(active, {"active", "reloading", "refreshing", "inactive"})) {
      result.kind = Kind::reached;
      // One that was launched and is inactive has run to its end, as a oneshot does.
      result.hold = kActiveHold;
      result.evidence = machine.machine_id + " " + active;
    } else if (active == "failed") {
      result.kind = Kind::failed;
      result.text = machine.problem.empty() ? systemd_words(machine) : machine.problem;
    } else {
      result.text = systemd_words(machine);
      // systemd.service(5), Restart=: it has ended, and waits for the next start.
      if (machine.systemd_sub_state.starts_with("auto-restart")) {
        result.text = "it has ended, and systemd is to start it again: " + result.text;
        result.patience = kRetryPatience;
      }
    }
    return result;
  }
  if (machine.state == "launched" && same && has_failed_to_start(machine)) {
    result.kind = Kind::failed;
    result.text = machine.problem;
    return result;
  }
  result.text = machine.problem.empty() ? systemd_words(machine) : machine.problem;
  if (!restarted) result.text = "it has yet to be restarted; " + result.text;
  return result;
}

const UnitOnMachineEntity* find_machine(const UnitStatusEntity& unit, const std::string& id) {
  const auto found = std::ranges::find(unit.machines, id, &UnitOnMachineEntity::machine_id);
  return found == unit.machines.end() ? nullptr : &*found;
}

Judgement waiting_for_place(const UnitStatusEntity& unit) {
  Judgement result;
  result.text = unit.reason.empty() ? "no machine has been chosen yet" : unit.reason;
  return result;
}

Judgement judge_launched(const UnitStatusEntity& unit, std::int64_t restarts) {
  const UnitOnMachineEntity* machine = find_machine(unit, unit.machine_id);
  if (unit.machine_id.empty() || machine == nullptr) return waiting_for_place(unit);
  Judgement result = judge_launched_on(unit, *machine, restarts);
  if (result.kind == Kind::waiting && !unit.reason.empty()) result.text = unit.reason;
  return result;
}

Judgement judge_loaded(const UnitStatusEntity& unit) {
  if (unit.machine_id.empty()) return waiting_for_place(unit);
  Judgement result;
  result.machine = unit.machine_id;
  result.state = "loaded";
  const UnitOnMachineEntity* machine = find_machine(unit, unit.machine_id);
  if (unit.current_state == "loaded" && machine != nullptr && machine->state == "loaded") {
    result.kind = Kind::reached;
  } else if (machine != nullptr && !(machine->absent && !unit.reason.empty())) {
    result.text = machine->problem.empty() ? systemd_words(*machine) : machine->problem;
  } else {
    result.text = unit.reason;
  }
  return result;
}

// A machine on which something of a unit is left, beyond a bare decision.
const UnitOnMachineEntity* holder(const UnitStatusEntity& unit, bool loaded_counts) {
  const auto found = std::ranges::find_if(unit.machines, [&](const UnitOnMachineEntity& m) {
    return m.current_state == "launched" || (loaded_counts && m.current_state == "loaded") ||
           is_one_of(m.systemd_active_state, {"active", "activating", "deactivating", "reloading"});
  });
  return found == unit.machines.end() ? nullptr : &*found;
}

Judgement judge_off(const UnitStatusEntity& unit, bool loaded_counts) {
  Judgement result;
  if (const UnitOnMachineEntity* machine = holder(unit, loaded_counts)) {
    result.machine = machine->machine_id;
    result.text = machine->problem.empty() ? systemd_words(*machine) : machine->problem;
    return result;
  }
  result.kind = Kind::reached;
  result.state = "inactive";
  return result;
}

Judgement judge_stopped(const UnitStatusEntity& unit) {
  const UnitOnMachineEntity* machine = find_machine(unit, unit.machine_id);
  const bool placed =
      !unit.machine_id.empty() && machine != nullptr && machine->state != "inactive";
  // What waits for a machine is not running; whether it finds one does not matter.
  Judgement result = placed && !unit.global ? judge_loaded(unit) : judge_off(unit, false);
  if (placed && machine->absent && result.kind == Kind::waiting) {
    result.patience = kAbsencePatience;
    result.machine.clear();
    result.text +=
        "; it is stopped when that machine is back, and till then nobody can say whether it runs";
  }
  return result;
}

Judgement judge_global(const UnitStatusEntity& unit, Goal goal, std::int64_t restarts) {
  Judgement all;
  all.kind = Kind::reached;
  std::size_t scheduled = 0;
  for (const UnitOnMachineEntity& machine : unit.machines) {
    Judgement one;
    // Of one that is not there nothing can be awaited.
    if (machine.state == "inactive" || machine.absent) continue;
    ++scheduled;
    if (goal == Goal::launched) {
      one = judge_launched_on(unit, machine, restarts);
    } else if (machine.state == "loaded" && machine.current_state == "loaded") {
      one.kind = Kind::reached;
    } else {
      one.machine = machine.machine_id;
      one.text = machine.problem.empty() ? systemd_words(machine) : machine.problem;
    }
    if (one.kind == Kind::failed) return one;
    if (one.kind == Kind::waiting) all = one;
    if (all.kind == Kind::waiting) continue;
    all.hold = std::max(all.hold, one.hold);
    all.evidence += one.evidence + "\n";
  }
  if (all.kind == Kind::reached && (scheduled == 0 || !unit.reason.empty())) {
    all.hold = kSettle;
    all.text = unit.reason.empty() ? "no machine has been chosen yet" : unit.reason;
  }
  return all;
}

class Waiter {
 public:
  Waiter(Context& context, std::vector<std::string> names, Goal goal, std::int64_t restarts)
      : context_(context),
        pending_(std::move(names)),
        all_(pending_.size()),
        goal_(goal),
        restarts_(restarts),
        start_(context.clock.now()) {
    const long attempts = context.flags.integer("block-attempts");
    if (attempts > 0) deadline_ = start_ + kAttempt * std::min(attempts, 1'000'000L);
  }

  Status run() {
    const Status done = wait();
    clear_progress();
    return done;
  }

 private:
  Status wait() {
    Result<StatusEntity> status = context_.api.status(pending_);
    for (;;) {
      if (status) {
        silent_since_.reset();
        if (Status seen = look(*status); !seen) return seen;
        seen_ = std::move(*status);
      } else if (Status tolerated = tolerate(status.error()); !tolerated) {
        return tolerated;
      }
      if (pending_.empty()) return {};
      if (deadline_ && context_.clock.now() >= *deadline_) {
        // What is as it should be, if only just, is not late.
        std::erase_if(pending_, [&](const std::string& name) { return holding_.contains(name); });
        return pending_.empty() ? Status() : timed_out();
      }
      if (context_.clock.now() - start_ >= kSilence) {
        const bool many = pending_.size() > kManyUnits;
        many&& context_.shows_progress ? show_progress() : tell();
      }
      status = next();
    }
  }

  Result<StatusEntity> next() {
    if (!seen_) return context_.api.status(pending_);
    const Time now = context_.clock.now();
    Duration wait = std::chrono::hours(1);
    if (deadline_) wait = std::min<Duration>(wait, *deadline_ - now);
    if (now - start_ < kSilence) wait = std::min<Duration>(wait, start_ + kSilence - now);
    if (settles_at_) wait = std::min<Duration>(wait, *settles_at_ - now);
    wait = std::max<Duration>(wait, milliseconds(1));
    auto status = context_.api.wait_for_change(pending_, seen_->revision,
                                               std::chrono::ceil<milliseconds>(wait));
    if (!status) return std::unexpected(status.error());
    // If nothing happened, what was seen has lasted for so much longer.
    return *status ? std::move(**status) : *seen_;
  }

  // A fleetd that restarts, or an etcd that is away for a moment, does not end the wait.
  Status tolerate(const Error& error) {
    const Time now = context_.clock.now();
    if (error.code != ErrorCode::unavailable) return std::unexpected(error);
    if (!silent_since_) silent_since_ = now;
    if (now - *silent_since_ >= kPatience) return std::unexpected(error);
    context_.clock.sleep(kPause);
    return {};
  }

  Status look(const StatusEntity& status) {
    waiting_.clear();
    std::optional<Error> failure;
    settles_at_.reset();
    std::vector<std::string> still;
    for (const std::string& name : pending_) {
      const auto found = std::ranges::find(status.units, name, &UnitStatusEntity::name);
      const UnitStatusEntity* unit = found == status.units.end() ? nullptr : &*found;
      const bool global = unit != nullptr && unit->global;
      Judgement result = judge(unit, goal_, restarts_);
      if (has_worn_out(name, result)) result.kind = Kind::failed;
      if (global && result.kind == Kind::waiting && is_left_to_itself()) continue;
      if (result.in_state || result.kind == Kind::reached) report(name, result, global);
      if (result.kind != Kind::reached) {
        holding_.erase(name);
      } else if (has_lasted(name, result)) {
        continue;
      }
      if (result.kind == Kind::failed) {
        Error error = failed(name, result);
        clear_progress();
        if (failure) context_.err << "Error waiting for units: " << failure->message << "\n";
        failure = std::move(error);
      }
      still.push_back(name);
      waiting_[name] = {result, unit == nullptr ? std::vector<RefusalEntity>() : unit->unplaceable};
    }
    pending_ = std::move(still);
    if (failure) return std::unexpected(*failure);
    return {};
  }

  // Whether a wait of limited patience is over, which begins when it is first seen: what fails
  // again and again is something else in between.
  bool has_worn_out(const std::string& name, const Judgement& result) {
    if (result.kind != Kind::waiting || result.patience == Duration::zero()) return false;
    const Time end =
        doubted_since_.try_emplace(name, context_.clock.now()).first->second + result.patience;
    return is_over(end);
  }

  bool is_left_to_itself() {
    const Time end = start_ + kGlobalPatience;
    return restarts_ == 0 && goal_ != Goal::gone && is_over(std::min(end, deadline_.value_or(end)));
  }

  // Whether it is so late; if not, the wait looks again then.
  bool is_over(Time end) {
    if (context_.clock.now() >= end) return true;
    settles_at_ = settles_at_ ? std::min(*settles_at_, end) : end;
    return false;
  }

  bool has_lasted(const std::string& name, const Judgement& result) {
    if (result.hold == Duration::zero()) return true;
    const Time now = context_.clock.now();
    auto& held = holding_[name];
    if (held.since == Time() || held.evidence != result.evidence) held = {result.evidence, now};
    return is_over(held.since + result.hold);
  }

  void report(const std::string& name, const Judgement& result, bool global) {
    if (global || goal_ == Goal::gone || !reported_.insert(name).second) return;
    std::string line = fmt::format("Unit {} {}", name, result.state);
    if (!result.machine.empty()) line += " on " + context_.machine(result.machine);
    clear_progress();
    context_.out << line << "\n" << std::flush;
  }

  // One line that is written over as units get there.
  void show_progress() {
    std::string line = fmt::format("{} of {} units are there", all_ - pending_.size(), all_);
    if (!waiting_.empty()) {
      const auto& [name, known] = *waiting_.begin();
      line += fmt::format("; {}: {}", name, on_one_line(known.first.text));
    }
    clear_progress();
    context_.err << line.substr(0, kColumns) << std::flush;
    progress_shown_ = true;
  }

  void clear_progress() {
    if (!progress_shown_) return;
    context_.err << "\r\x1b[K" << std::flush;  // ECMA-48, "erase in line"
    progress_shown_ = false;
  }

  Error failed(const std::string& name, const Judgement& result) {
    if (result.machine.empty()) {
      return {ErrorCode::failed, fmt::format("unit {}: {}", name, result.text)};
    }
    std::string why = result.text;
    if (why.ends_with('.')) why.pop_back();  // systemd's own sentence
    return {ErrorCode::failed,
            fmt::format("unit {0} failed on {1}: {2}; \"fleetctl status {0}\" shows more", name,
                        context_.machine(result.machine), why)};
  }

  std::string text_of(const std::string& name) {
    const auto& [result, refusals] = waiting_.at(name);
    std::string text = fmt::format("Waiting for unit {}", name);
    if (!result.machine.empty()) text += " on " + context_.machine(result.machine);
    text += ": " + result.text + "\n";
    for (const RefusalEntity& refusal : refusals) {
      text += fmt::format("  {}: {}\n", context_.machine(refusal.machine_id), refusal.reason);
    }
    return text;
  }

  // Says of each unit what it waits for, once for as long as that is the same. Of many units the
  // first ones have to do, and now and then.
  void tell() {
    std::size_t left = pending_.size();
    clear_progress();
    if (pending_.size() > kManyUnits) {
      if (context_.clock.now() < next_tell_) return;
      next_tell_ = context_.clock.now() + kTellPause;
      context_.err << "Waiting for " << pending_.size() << " units, these and others:\n";
      left = kFewUnits;
    }
    for (const std::string& name : pending_) {
      const auto known = waiting_.find(name);
      if (known == waiting_.end() || known->second.first.text.empty()) continue;
      std::string text = text_of(name);
      if (pending_.size() <= kManyUnits && told_[name] == text) continue;
      context_.err << text << std::flush;
      told_[name] = std::move(text);
      if (--left == 0) return;
    }
  }

  Status timed_out() {
    tell();
    static constexpr std::string_view kStates[] = {"launched", "loaded", "loaded", "inactive",
                                                   "destroyed"};
    return fail(ErrorCode::failed,
                fmt::format("timed out waiting for unit {} to report state {}", pending_.front(),
                            kStates[static_cast<std::size_t>(goal_)]));
  }

  Context& context_;
  std::vector<std::string> pending_;
  const std::size_t all_;
  const Goal goal_;
  const std::int64_t restarts_;
  const Time start_;
  std::optional<Time> deadline_;
  std::optional<StatusEntity> seen_;
  std::optional<Time> silent_since_;
  std::optional<Time> settles_at_;
  struct Held {
    std::string evidence;
    Time since;
  };
  std::map<std::string, Held> holding_;        // reached, and to last a little
  std::map<std::string, Time> doubted_since_;  // waiting with limited patience
  std::set<std::string> reported_;
  std::map<std::string, std::pair<Judgement, std::vector<RefusalEntity>>> waiting_;
  std::map<std::string, std::string> told_;
  Time next_tell_;
  bool progress_shown_ = false;
};

}  // namespace

Judgement judge(const UnitStatusEntity* unit, Goal goal, std::int64_t restarts) {
  if (unit == nullptr) {
    Judgement result;
    const bool wanted_off = goal == Goal::gone || goal == Goal::inactive || goal == Goal::stopped;
    result.kind = wanted_off ? Kind::reached : Kind::failed;
    result.state = "inactive";
    result.text = "somebody has destroyed it meanwhile";
    return result;
  }
  if (goal == Goal::gone || unit->destroyed) {
    if (goal == Goal::launched || goal == Goal::loaded) return judge(nullptr, goal);
    Judgement result = judge_off(*unit, true);
    const bool awaits = unit->machines.empty() ||
                        !std::ranges::all_of(unit->machines, &UnitOnMachineEntity::absent);
    if (goal == Goal::gone && result.kind == Kind::reached && awaits) {
      result.kind = Kind::waiting;  // its last traces go with the machines' word
      result.text = "its machines have yet to confirm that they have let go of it";
    }
    return result;
  }
  const std::string_view wanted = goal == Goal::launched   ? "launched"
                                  : goal == Goal::inactive ? "inactive"
                                                           : "loaded";
  if (unit->desired_state != wanted) {
    Judgement result;
    result.kind = Kind::failed;
    result.text =
        fmt::format("somebody has changed its desired state to {} meanwhile", unit->desired_state);
    return result;
  }
  switch (goal) {
    case Goal::launched:
      return unit->global ? judge_global(*unit, goal, restarts) : judge_launched(*unit, restarts);
    case Goal::loaded:
      return unit->global ? judge_global(*unit, goal, restarts) : judge_loaded(*unit);
    case Goal::stopped:
      return judge_stopped(*unit);
    default:
      return judge_off(*unit, true);
  }
}

Status wait_for(Context& context, const std::vector<std::string>& names, Goal goal,
                std::int64_t restarts) {
  // No names would mean all units to the API.
  return names.empty() ? Status() : Waiter(context, names, goal, restarts).run();
}

}  // namespace fleet::ctl
