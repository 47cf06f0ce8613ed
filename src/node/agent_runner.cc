#include "node/agent_runner.h"

#include <utility>

#include <fmt/format.h>

namespace fleet {

namespace {

Entry<ScheduleRecord> entry_of(const KeyValue& value) {
  Entry<ScheduleRecord> entry;
  entry.create_revision = value.create_revision;
  entry.mod_revision = value.mod_revision;
  if (auto record = decode_schedule(value.value)) {
    entry.value = std::move(*record);
  } else {
    entry.error = record.error().message;
  }
  return entry;
}

}  // namespace

AgentRunner::AgentRunner(EventLoop& loop, Store& store, UnitManager& units, Log& log,
                         const Keys& keys, std::string machine_id)
    : loop_(loop),
      units_(units),
      log_(log),
      keys_(keys),
      machine_id_(std::move(machine_id)),
      publisher_(loop, store, log, keys, machine_id_,
                 [this](const std::string& name, std::uint64_t id, Status result) {
                   step(agent_event::TaskDone{name, id, std::move(result)});
                 }),
      schedule_(loop, store, {keys_.schedule_of(machine_id_), true},
                {[this](const ReadResult& result) { read_schedule(result); },
                 [this](const WatchBatch& batch) { change_schedule(batch); },
                 [this](const Error& error) {
                   if (std::exchange(schedule_failed_, true)) return;
                   log_.write({LogLevel::warning,
                               "the schedule of this machine cannot be read, so nothing is "
                               "changed: " +
                                   error.message,
                               {},
                               machine_id_});
                 }}) {}

AgentRunner::~AgentRunner() {
  loop_.cancel(list_timer_);
  loop_.cancel(wake_timer_);
}

void AgentRunner::start() {
  units_.set_listener([this](const std::string& name, const UnitStatus& status) {
    step(agent_event::StatusSeen{name, status});
  });
  list_units();
  schedule_.start();
}

void AgentRunner::list_units() {
  units_.list([this, alive = std::weak_ptr(alive_)](Result<std::vector<LocalUnit>> units) {
    if (alive.expired()) return;
    if (units) return step(agent_event::LocalUnitsListed{std::move(*units)});
    if (list_failures_++ == 0) {
      log_.write({LogLevel::error,
                  "the unit files of this machine cannot be listed, so nothing is changed: " +
                      units.error().message,
                  {},
                  machine_id_});
    }
    list_timer_ = loop_.call_after(backoff(list_failures_), [this] {
      list_timer_ = 0;
      list_units();
    });
  });
}

void AgentRunner::registered(LeaseId lease, bool new_lease) {
  publisher_.set_lease(lease);
  registered_ = true;
  schedule_doubtful_ = schedule_doubtful_ || new_lease;
  if (!schedule_doubtful_) return step(agent_event::Registered{false});
  schedule_.stop();
  schedule_.start();
}

void AgentRunner::unregistered() {
  registered_ = false;
  step(agent_event::Unregistered{});
}

void AgentRunner::leave(std::function<void()> done) {
  on_left_ = std::move(done);
  step(agent_event::Leave{});
}

void AgentRunner::read_schedule(const ReadResult& result) {
  schedule_failed_ = false;
  agent_event::ScheduleRead event;
  for (const KeyValue& value : result.values) {
    const auto key = keys_.parse(value.key);
    if (!key || key->kind != Key::Kind::schedule) continue;
    event.decisions.emplace(key->name, entry_of(value));
  }
  step(event);
  if (!registered_ || !std::exchange(schedule_doubtful_, false)) return;
  step(agent_event::Registered{true});
}

void AgentRunner::change_schedule(const WatchBatch& batch) {
  for (const WatchEvent& event : batch.events) {
    const auto key = keys_.parse(event.value.key);
    if (!key || key->kind != Key::Kind::schedule) continue;
    Entry<ScheduleRecord> entry;
    if (event.kind == WatchEvent::Kind::put) entry = entry_of(event.value);
    step(agent_event::ScheduleChanged{key->name, std::move(entry)});
  }
}

void AgentRunner::step(const AgentEvent& event) {
  const std::weak_ptr alive = alive_;
  for (const AgentEffect& effect : agent_.step(event, loop_.now())) {
    std::visit([this](const auto& it) { run(it); }, effect);
    if (alive.expired()) return;
  }
}

void AgentRunner::run(const agent_effect::RunTask& task) {
  const UnitManager::Done done = [this, alive = std::weak_ptr(alive_), name = task.name,
                                  id = task.id, kind = task.kind](Status result) {
    if (alive.expired()) return;
    count(kind, result);
    step(agent_event::TaskDone{name, id, std::move(result)});
  };
  switch (task.kind) {
    case TaskKind::query:
      return run(agent_effect::Recheck{task.id, task.name});
    case TaskKind::write:
      return units_.write(task.name, task.text, task.enable, done);
    case TaskKind::start:
      return units_.start(task.name, done);
    case TaskKind::stop:
      return units_.stop(task.name, done);
    case TaskKind::restart:
      return units_.restart(task.name, done);
    case TaskKind::note:
      return units_.set_note(task.name, task.text, done);
    case TaskKind::remove:
      return units_.remove(task.name, done);
    case TaskKind::acknowledge:
      return publisher_.acknowledge(task.name, task.id, task.revision);
    case TaskKind::none:
    case TaskKind::reload:
      return;  // never run as a task of one unit
  }
}

void AgentRunner::run(const agent_effect::Recheck& recheck) {
  units_.query(recheck.name,
               [this, alive = std::weak_ptr(alive_), recheck](Result<UnitStatus> status) {
                 if (alive.expired()) return;
                 step(agent_event::QueryDone{recheck.name, recheck.id, std::move(status)});
               });
}

void AgentRunner::run(const agent_effect::Reload&) {
  units_.reload([this, alive = std::weak_ptr(alive_)](Status result) {
    if (alive.expired()) return;
    count(TaskKind::reload, result);
    step(agent_event::ReloadDone{std::move(result)});
  });
}

void AgentRunner::count(TaskKind kind, const Status& result) {
  TaskCounts::Count& counted = counts_.by_kind[kind];
  ++counted.ended;
  if (!result) ++counted.failed;
}

void AgentRunner::run(const agent_effect::Observe& observe) {
  units_.observe(observe.name);
}

void AgentRunner::run(const agent_effect::Ignore& ignore) {
  units_.ignore(ignore.name);
}

void AgentRunner::run(const agent_effect::Publish& publish) {
  publisher_.publish(publish.name, publish.state);
}

void AgentRunner::run(const agent_effect::Wake& wake) {
  loop_.cancel(wake_timer_);
  wake_timer_ = loop_.call_at(wake.when, [this] {
    wake_timer_ = 0;
    step(agent_event::TimePassed{});
  });
}

void AgentRunner::run(const agent_effect::Left&) {
  if (auto done = std::exchange(on_left_, {})) done();
}

void AgentRunner::run(const LogLine& line) {
  LogLine with_machine = line;
  with_machine.machine = machine_id_;
  log_.write(with_machine);
}

}  // namespace fleet
