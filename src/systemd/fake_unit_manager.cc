#include "systemd/fake_unit_manager.h"

#include <utility>

#include "systemd/job_result.h"
#include "unit/unit_name.h"

namespace fleet {
namespace {

Error no_connection() {
  return {ErrorCode::unavailable, "no connection to systemd"};
}

std::string_view word_of(FakeCall::Verb verb) {
  switch (verb) {
    case FakeCall::Verb::start:
      return "start";
    case FakeCall::Verb::stop:
      return "stop";
    case FakeCall::Verb::restart:
      return "restart";
  }
  return "";
}

}  // namespace

FakeUnitManager::FakeUnitManager(EventLoop& loop, FakeSystemd& systemd)
    : loop_(loop), systemd_(systemd) {
  client_ = systemd_.attach({
      .job_removed = [this](FakeSystemd::JobId id, const std::string& name,
                            const std::string& result) { on_job_removed(id, name, result); },
      .changed = [this](const std::string& name) { report_soon(name); },
      .connection = [this](bool connected) { on_connection(connected); },
  });
}

FakeUnitManager::~FakeUnitManager() {
  systemd_.detach(client_);
}

std::function<void()> FakeUnitManager::guarded(std::function<void()> action) {
  return [alive = std::weak_ptr<bool>(alive_), action = std::move(action)] {
    if (!alive.expired()) action();
  };
}

void FakeUnitManager::later(std::function<void()> action) {
  if (systemd_.latency_ == Duration::zero()) {
    loop_.post(guarded(std::move(action)));
  } else {
    loop_.call_after(systemd_.latency_, guarded(std::move(action)));
  }
}

void FakeUnitManager::call(std::string_view operation, std::string name, std::function<void()> act,
                           std::function<void(Error)> fail_with) {
  const std::uint64_t id = next_call_++;
  calls_.emplace(id, PendingCall{std::move(fail_with), std::move(act)});
  later([this, id, operation = std::string(operation), name = std::move(name)] {
    const auto found = calls_.find(id);
    if (found == calls_.end()) return;  // the connection was lost meanwhile
    const PendingCall pending = std::move(found->second);
    calls_.erase(found);
    // Files can be read and noted without systemd.
    const bool needs_systemd = operation != "list" && operation != "set_note";
    const bool names_unit = operation != "list" && operation != "reload";
    std::optional<Error> fault;
    if (const Status valid = check_unit_name(name); names_unit && !valid) {
      fault = valid.error();
    } else if (needs_systemd && !systemd_.connected_) {
      fault = no_connection();
    } else if (systemd_.fault_hook_) {
      fault = systemd_.fault_hook_(operation, name);
    }
    if (fault) {
      pending.fail(*fault);
    } else {
      pending.act();
    }
  });
}

void FakeUnitManager::list(Callback<std::vector<LocalUnit>> done) {
  auto act = [this, done] {
    std::vector<LocalUnit> units;
    for (const auto& [name, file] : systemd_.files_) {
      if (check_unit_name(name)) units.push_back({name, file.text, file.note});
    }
    done(std::move(units));
  };
  call("list", "", std::move(act), [done](Error error) { done(std::unexpected(error)); });
}

void FakeUnitManager::write(std::string name, std::string text, bool enable, Done done) {
  auto act = [this, name, text = std::move(text), enable, done] {
    systemd_.write(name, text, enable);
    done({});
  };
  call("write", name, std::move(act), [done](Error error) { done(std::unexpected(error)); });
}

void FakeUnitManager::remove(std::string name, Done done) {
  auto act = [this, name, done] {
    systemd_.remove(name);
    done({});
  };
  call("remove", name, std::move(act), [done](Error error) { done(std::unexpected(error)); });
}

void FakeUnitManager::reload(Done done) {
  auto act = [this, done] {
    systemd_.reload();
    done({});
  };
  call("reload", "", std::move(act), [done](Error error) { done(std::unexpected(error)); });
}

void FakeUnitManager::start(std::string name, Done done) {
  run_job(FakeCall::Verb::start, "start", std::move(name), std::move(done));
}

void FakeUnitManager::stop(std::string name, Done done) {
  run_job(FakeCall::Verb::stop, "stop", std::move(name), std::move(done));
}

void FakeUnitManager::restart(std::string name, Done done) {
  run_job(FakeCall::Verb::restart, "restart", std::move(name), std::move(done));
}

void FakeUnitManager::run_job(FakeCall::Verb verb, std::string_view operation, std::string name,
                              Done done) {
  auto act = [this, verb, name, done] {
    // Who waits for the job that this call may cancel has to know what did it.
    last_verb_.insert_or_assign(name, verb);
    const bool runs_never = split_unit_name(name).is_template();
    if (verb == FakeCall::Verb::stop && runs_never) return done({});
    const Result<FakeSystemd::JobId> job = systemd_.enqueue(name, verb);
    if (!job) {
      done(std::unexpected(job.error()));
      return;
    }
    jobs_[*job].emplace_back(verb, done);
  };
  call(operation, name, std::move(act), [done](Error error) { done(std::unexpected(error)); });
}

void FakeUnitManager::on_job_removed(FakeSystemd::JobId id, const std::string& name,
                                     const std::string& result) {
  const auto last = last_verb_.find(name);
  std::string replaced_by = last == last_verb_.end() ? "" : std::string(word_of(last->second));
  // The job can end within the call that made it, before its number is known here.
  later([this, id, name, result, replaced_by = std::move(replaced_by)] {
    auto waiting = jobs_.extract(id);
    if (waiting.empty()) return;
    for (const auto& [verb, done] : waiting.mapped()) {
      const std::string word(word_of(verb));
      const UnitStatus now = systemd_.status(name);
      done(job_status({.verb = word,
                       .unit = name,
                       .result = result,
                       .replaced_by = replaced_by == word ? "" : replaced_by,
                       .unit_state = now.active_state + " (" + now.sub_state + ")"}));
    }
  });
}

void FakeUnitManager::query(std::string name, Callback<UnitStatus> done) {
  auto act = [this, name, done] {
    if (split_unit_name(name).is_template()) {
      done(fail(ErrorCode::failed, systemd_.status(name).load_error));
    } else {
      done(systemd_.status(name));
    }
  };
  call("query", name, std::move(act), [done](Error error) { done(std::unexpected(error)); });
}

void FakeUnitManager::observe(std::string name) {
  observed_.insert(name);
  report_soon(name);
}

void FakeUnitManager::ignore(std::string name) {
  observed_.erase(name);
}

void FakeUnitManager::set_listener(Listener listener) {
  listener_ = std::move(listener);
}

void FakeUnitManager::report_soon(const std::string& name) {
  if (!systemd_.connected_ || !observed_.contains(name)) return;
  if (!reports_due_.insert(name).second) return;  // one report tells of many changes
  later([this, name] {
    reports_due_.erase(name);
    if (!systemd_.connected_ || !observed_.contains(name) || !listener_) return;
    const Listener listener = listener_;  // it may replace itself
    listener(name, systemd_.status(name));
  });
}

void FakeUnitManager::on_connection(bool connected) {
  if (connected) {
    for (const std::string& name : observed_) report_soon(name);
    return;
  }
  auto calls = std::exchange(calls_, {});
  auto jobs = std::exchange(jobs_, {});
  // In order of the calls, and from the loop: whoever cuts the connection is no callback's caller.
  for (auto& [id, pending] : calls) {
    loop_.post(guarded([fail_with = std::move(pending.fail)] { fail_with(no_connection()); }));
  }
  for (auto& [id, waiting] : jobs) {
    for (auto& [verb, done] : waiting) {
      loop_.post(guarded([end = std::move(done)] { end(std::unexpected(no_connection())); }));
    }
  }
}

void FakeUnitManager::set_note(std::string name, std::string note, Done done) {
  auto act = [this, name, note = std::move(note), done] {
    const auto file = systemd_.files_.find(name);
    if (file == systemd_.files_.end()) {
      done(fail(ErrorCode::not_found, "there is no unit file " + name + " to keep a note with"));
      return;
    }
    file->second.note = note;
    done({});
  };
  call("set_note", name, std::move(act), [done](Error error) { done(std::unexpected(error)); });
}

}  // namespace fleet
