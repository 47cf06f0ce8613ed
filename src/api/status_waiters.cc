#include "api/status_waiters.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "api/answers.h"
#include "api/views.h"
#include "base/limits.h"

namespace fleet {
namespace {

constexpr std::size_t kVanishedNames = 10'000;

}  // namespace

StatusWaiters::~StatusWaiters() {
  *alive_ = false;
  for (const auto& [id, waiter] : waiters_) loop_.cancel(waiter.timer);
}

void StatusWaiters::run(std::set<std::string> names, Revision after, Api::Reply reply) {
  backend_.read([this, alive = alive_, names = std::move(names), after,
                 reply = std::move(reply)](Result<const Registry*> registry) mutable {
    if (!*alive) return;
    if (!registry) return reply(unavailable_answer(registry.error()));
    look(std::move(names), after, std::move(reply), **registry);
  });
}

void StatusWaiters::look(std::set<std::string> names, Revision after, Api::Reply reply,
                         const Registry& registry) {
  if (after < 0 || has_changed(registry, names, after)) {
    return reply(json_answer(to_json(status_entity(registry, backend_, names))));
  }
  if (waiters_.size() >= limits::kApiWaiters) {
    return reply(error_answer(503, "too many requests are waiting for a change; try again later"));
  }
  const Id id = ++last_id_;
  for (const std::string& name : names) by_name_[name].insert(id);
  if (names.empty()) for_all_units_.insert(id);
  Waiter& waiter = waiters_[id];
  waiter.names = std::move(names);
  waiter.after = after;
  waiter.reply = std::move(reply);
  waiter.timer = loop_.call_after(limits::kApiWait, [this, id] { expire(id); });
}

bool StatusWaiters::has_changed(const Registry& registry, const std::set<std::string>& names,
                                Revision after) const {
  if (registry.revision() <= after) return false;
  // What happened before the mirror was loaded, or long ago, cannot be told any more.
  if (after < registry.load_revision() || after < vanished_dropped_) return true;

  const auto changed = [after](const Unit& unit) { return unit.changed > after; };
  for (auto at = vanished_.upper_bound(after); at != vanished_.end(); ++at) {
    if (names.empty()) return true;
    const auto wanted = [&names](const std::string& name) { return names.contains(name); };
    if (std::ranges::any_of(at->second, wanted)) return true;
  }
  if (names.empty()) {
    const auto unit_changed = [&](const auto& entry) { return changed(entry.second); };
    if (std::ranges::any_of(registry.units(), unit_changed)) return true;
  } else {
    const auto name_changed = [&](const std::string& name) {
      const Unit* unit = registry.unit(name);
      return unit != nullptr && changed(*unit);
    };
    if (std::ranges::any_of(names, name_changed)) return true;
  }
  return machines_changed_ > after && awaits_place(registry, names);
}

// Whether one of the units is not where it should be, so that a machine can make a difference.
bool StatusWaiters::awaits_place(const Registry& registry,
                                 const std::set<std::string>& names) const {
  const auto awaits = [&](const std::string& name) {
    const Explanation explanation = backend_.explain(registry, name);
    return !explanation.reason.empty() || !explanation.machines.empty();
  };
  if (names.empty()) {
    return std::ranges::any_of(registry.units(),
                               [&](const auto& entry) { return awaits(entry.first); });
  }
  return std::ranges::any_of(names, [&](const std::string& name) {
    return registry.unit(name) != nullptr && awaits(name);
  });
}

void StatusWaiters::remember_vanished(const Registry& registry,
                                      const std::set<std::string>& names) {
  for (const std::string& name : names) {
    if (registry.unit(name) != nullptr) continue;
    if (vanished_[registry.revision()].insert(name).second) ++vanished_names_;
  }
  while (vanished_names_ > kVanishedNames) {
    vanished_dropped_ = vanished_.begin()->first;
    vanished_names_ -= vanished_.begin()->second.size();
    vanished_.erase(vanished_.begin());
  }
}

void StatusWaiters::registry_changed(const Registry& registry, const Registry::Changes& changes) {
  remember_vanished(registry, changes.units);
  std::set<Id> ready;
  for (const std::string& name : changes.units) {
    const auto found = by_name_.find(name);
    if (found != by_name_.end()) ready.insert(found->second.begin(), found->second.end());
  }
  if (!changes.units.empty()) ready.insert(for_all_units_.begin(), for_all_units_.end());
  if (std::exchange(seen_load_, registry.load_revision()) != registry.load_revision()) {
    // Read anew: what changed in between is not among `changes`.
    for (const auto& [id, waiter] : waiters_) ready.insert(id);
  }
  if (!changes.machines.empty() || changes.leader) {
    machines_changed_ = registry.revision();
    for (const auto& [id, waiter] : waiters_) {
      if (!ready.contains(id) && awaits_place(registry, waiter.names)) ready.insert(id);
    }
  }

  std::vector<Waiter> due;
  for (const Id id : ready) {
    // The client may know a newer revision, from another machine, than this mirror has.
    if (waiters_.at(id).after < registry.revision()) due.push_back(take(id));
  }
  // A reply may bring the next request, so they come last. The answer about all units is large, and
  // made once.
  std::optional<ApiResponse> all;
  for (const Waiter& waiter : due) {
    if (waiter.names.empty() && all) {
      waiter.reply(*all);
      continue;
    }
    ApiResponse answer = json_answer(to_json(status_entity(registry, backend_, waiter.names)));
    if (waiter.names.empty()) all = answer;
    waiter.reply(std::move(answer));
  }
}

void StatusWaiters::registry_lost(const Error& error) {
  std::vector<Api::Reply> replies;
  while (!waiters_.empty()) replies.push_back(take(waiters_.begin()->first).reply);
  for (const Api::Reply& reply : replies) reply(unavailable_answer(error));
}

void StatusWaiters::expire(Id id) {
  Waiter waiter = take(id);
  run(std::move(waiter.names), -1, std::move(waiter.reply));
}

StatusWaiters::Waiter StatusWaiters::take(Id id) {
  auto node = waiters_.extract(id);
  Waiter& waiter = node.mapped();
  loop_.cancel(waiter.timer);
  for_all_units_.erase(id);
  for (const std::string& name : waiter.names) {
    const auto found = by_name_.find(name);
    found->second.erase(id);
    if (found->second.empty()) by_name_.erase(found);
  }
  return std::move(waiter);
}

}  // namespace fleet
