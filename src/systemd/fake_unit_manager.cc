#include "systemd/fake_unit_manager.h"

#include <utility>

#include "base/limits.h"
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

std::optional<Error> FakeUnitManager::obstacle(std::string_view operation,
                                               const std::string& name) const {
  // Files can be read and noted without systemd.
  const bool needs_systemd = operation != "list" && operation != "set_note";
  const bool names_unit = operation != "list" && operation != "reload";
  if (const Status valid = check_unit_name(name); names_unit && !valid) return valid.error();
  if (needs_systemd && !systemd_.connected_) return no_connection();
  return systemd_.fault_hook_ ? systemd_.fault_hook_(operation, name) : std::nullopt;
}

void FakeUnitManager::call(std::string_view operation, std::string name, Act act,
                           std::function<void(const Error&)> fail_with) {
  const std::uint64_t id = next_call_++;
  calls_.emplace(id, std::move(fail_with));
  auto arrive = [this, &systemd = systemd_, boot = systemd_.boots_,
                 alive = std::weak_ptr<bool>(alive_), id, operation = std::string(operation),
                 name = std::move(name), act = std::move(act)] {
    if (alive.expired()) {
      if (systemd.connected_ && systemd.boots_ == boot) act(nullptr);
      return;
    }
    if (!calls_.contains(id)) return;  // the connection was lost meanwhile
    Reply reply;
    if (const std::optional<Error> fault = obstacle(operation, name)) {
      reply = [fail_with = calls_.at(id), fault = *fault] { fail_with(fault); };
    } else {
      reply = act(this);
    }
    if (!reply) {  // it comes when the job has ended
      calls_.erase(id);
      return;
    }
    loop_.post(guarded([this, id, reply = std::move(reply)] {
      if (calls_.erase(id) != 0) reply();
    }));
  };
  const bool is_message = operation == "start" || operation == "stop" || operation == "restart" ||
                          operation == "reload";
  if (!is_message) return later(std::move(arrive));
  if (systemd_.latency_ == Duration::zero()) {
    systemd_.loop_.post(std::move(arrive));
  } else {
    systemd_.loop_.call_after(systemd_.latency_, std::move(arrive));
  }
}

void FakeUnitManager::list(Callback<std::vector<LocalUnit>> done) {
  auto act = [this, done](FakeUnitManager*) -> Reply {
    std::vector<LocalUnit> units;
    for (const auto& [name, file] : systemd_.files_) {
      if (check_unit_name(name)) units.push_back({name, file.text, file.note});
    }
    return [done, units = std::move(units)] { done(units); };
  };
  call("list", "", std::move(act), [done](const Error& error) { done(std::unexpected(error)); });
}

void FakeUnitManager::write(std::string name, std::string text, bool enable, Done done) {
  auto act = [this, name, text = std::move(text), enable, done](FakeUnitManager*) -> Reply {
    if (name.size() > limits::kFileNameBytes) {
      return [done] { done(fail(ErrorCode::failed, "File name too long")); };
    }
    systemd_.write(name, text, enable);
    return [done] { done({}); };
  };
  call("write", name, std::move(act), [done](const Error& error) { done(std::unexpected(error)); });
}

void FakeUnitManager::remove(std::string name, Done done) {
  auto act = [this, name, done](FakeUnitManager*) -> Reply {
    systemd_.remove(name);
    return [done] { done({}); };
  };
  call("remove", name, std::move(act),
       [done](const Error& error) { done(std::unexpected(error)); });
}

void FakeUnitManager::reload(Done done) {
  auto act = [&systemd = systemd_, done](FakeUnitManager*) -> Reply {
    if (systemd.witness_.on_reload) systemd.witness_.on_reload(systemd.outdated());
    systemd.reload();
    return [done] { done({}); };
  };
  call("reload", "", std::move(act), [done](const Error& error) { done(std::unexpected(error)); });
}

void FakeUnitManager::start(std::string name, Done done) {
  run_job(FakeCall::Verb::start, "start", name, done);
}

void FakeUnitManager::stop(std::string name, Done done) {
  run_job(FakeCall::Verb::stop, "stop", name, done);
}

void FakeUnitManager::restart(std::string name, Done done) {
  run_job(FakeCall::Verb::restart, "restart", name, done);
}

void FakeUnitManager::run_job(FakeCall::Verb verb, std::string_view operation,
                              const std::string& name, const Done& done) {
  auto act = [&systemd = systemd_, verb, name, done](FakeUnitManager* client) -> Reply {
    // Who waits for the job that this call may cancel has to know what did it.
    if (client != nullptr) client->last_verb_.insert_or_assign(name, verb);
    if (verb == FakeCall::Verb::stop && !systemd_can_have(name)) return [done] { done({}); };
    if (systemd.witness_.on_call) {
      systemd.witness_.on_call(verb, name, systemd.status(name).active_state);
    }
    const Result<FakeSystemd::JobId> job = systemd.enqueue(name, verb);
    if (!job) return [done, error = job.error()] { done(std::unexpected(error)); };
    if (client != nullptr) client->jobs_[*job].emplace_back(verb, done);
    return {};
  };
  call(operation, name, std::move(act),
       [done](const Error& error) { done(std::unexpected(error)); });
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
  auto act = [this, name, done](FakeUnitManager*) -> Reply {
    return [done, status = systemd_.status(name)] { done(status); };
  };
  call("query", name, std::move(act), [done](const Error& error) { done(std::unexpected(error)); });
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
  for (auto& [id, fail_with] : calls) {
    loop_.post(guarded([end = std::move(fail_with)] { end(no_connection()); }));
  }
  for (auto& [id, waiting] : jobs) {
    for (auto& [verb, done] : waiting) {
      loop_.post(guarded([end = std::move(done)] { end(std::unexpected(no_connection())); }));
    }
  }
}

void FakeUnitManager::set_note(std::string name, std::string note, Done done) {
  auto act = [this, name, note = std::move(note), done](FakeUnitManager*) -> Reply {
    const auto file = systemd_.files_.find(name);
    if (file == systemd_.files_.end()) {
      return [done, name] {
        done(fail(ErrorCode::not_found, "there is no unit file " + name + " to keep a note with"));
      };
    }
    file->second.note = note;
    return [done] { done({}); };
  };
  call("set_note", name, std::move(act),
       [done](const Error& error) { done(std::unexpected(error)); });
}

}  // namespace fleet
