#include "unit_manager_contract.h"

#include <utility>

namespace fleet {

std::string words(const UnitStatus& status) {
  return status.load_state + " " + status.active_state + " " + status.sub_state;
}

void UnitManagerContract::SetUp() {
  world_ = GetParam()();
  ASSERT_NE(world_->manager(), nullptr);
}

void UnitManagerContract::TearDown() {
  world_.reset();
}

Status UnitManagerContract::wait_for(const std::function<void(UnitManager::Done)>& call) {
  Pending pending;
  call(into(pending));
  if (!world_->run_until([&] { return pending.outcome.has_value(); })) {
    // The callback may still come: it must not find `pending` gone.
    world_->end_manager();
    return fail(ErrorCode::invalid, "TEST: no outcome in good time");
  }
  return *pending.outcome;
}

UnitManager::Done UnitManagerContract::into(Pending& pending) {
  return [&pending](Status status) {
    ++pending.calls;
    pending.outcome = std::move(status);
  };
}

Status UnitManagerContract::write(const std::string& name, const std::string& text, bool enable) {
  return wait_for([&](auto done) { manager().write(name, text, enable, done); });
}

Status UnitManagerContract::remove(const std::string& name) {
  return wait_for([&](auto done) { manager().remove(name, done); });
}

Status UnitManagerContract::reload() {
  return wait_for([&](auto done) { manager().reload(done); });
}

Status UnitManagerContract::start(const std::string& name) {
  return wait_for([&](auto done) { manager().start(name, done); });
}

Status UnitManagerContract::stop(const std::string& name) {
  return wait_for([&](auto done) { manager().stop(name, done); });
}

Status UnitManagerContract::restart(const std::string& name) {
  return wait_for([&](auto done) { manager().restart(name, done); });
}

Status UnitManagerContract::set_note(const std::string& name, const std::string& note) {
  return wait_for([&](auto done) { manager().set_note(name, note, done); });
}

Result<UnitStatus> UnitManagerContract::query(const std::string& name) {
  Result<UnitStatus> status;
  const Status outcome = wait_for([&](UnitManager::Done done) {
    manager().query(name, [&status, done](Result<UnitStatus> result) {
      status = std::move(result);
      done({});
    });
  });
  if (!outcome) return std::unexpected(outcome.error());
  return status;
}

Result<std::vector<LocalUnit>> UnitManagerContract::list() {
  Result<std::vector<LocalUnit>> units;
  const Status outcome = wait_for([&](UnitManager::Done done) {
    manager().list([&units, done](Result<std::vector<LocalUnit>> result) {
      units = std::move(result);
      done({});
    });
  });
  if (!outcome) return std::unexpected(outcome.error());
  return units;
}

std::string UnitManagerContract::states(const std::string& name) {
  const Result<UnitStatus> status = query(name);
  return status ? words(*status) : status.error().message;
}

std::string UnitManagerContract::note_of(const std::string& name) {
  const auto units = list();
  if (!units) return units.error().message;
  for (const LocalUnit& unit : *units) {
    if (unit.name == name) return unit.note;
  }
  return "no such unit";
}

void UnitManagerContract::record_reports() {
  manager().set_listener([this](const std::string& name, const UnitStatus& status) {
    reports_[name].push_back(status);
  });
}

bool UnitManagerContract::reported(const std::string& name, const std::string& wanted) {
  return world_->run_until([&] {
    const auto& seen = reports_[name];
    return !seen.empty() && !seen.back().job_pending && words(seen.back()) == wanted;
  });
}

}  // namespace fleet
