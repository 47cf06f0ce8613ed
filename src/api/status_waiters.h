// The long poll GET /status: requests that wait for something about their units to change.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "api/api.h"
#include "cluster/registry.h"

namespace fleet {

class StatusWaiters {
 public:
  StatusWaiters(EventLoop& loop, ApiBackend& backend) : loop_(loop), backend_(backend) {}
  ~StatusWaiters();
  StatusWaiters(const StatusWaiters&) = delete;
  StatusWaiters& operator=(const StatusWaiters&) = delete;

  // Answers what there is to say of `names` (of all units if empty), once something about them is
  // newer than `after`; with an `after` of -1 at once.
  void run(std::set<std::string> names, Revision after, Api::Reply reply);

  // As the members of Api.
  void registry_changed(const Registry& registry, const Registry::Changes& changes);
  void registry_lost(const Error& error);

 private:
  using Id = std::uint64_t;
  struct Waiter {
    std::set<std::string> names;
    Revision after = 0;
    Api::Reply reply;
    EventLoop::TimerId timer = 0;
  };

  void look(std::set<std::string> names, Revision after, Api::Reply reply,
            const Registry& registry);
  bool has_changed(const Registry& registry, const std::set<std::string>& names,
                   Revision after) const;
  bool awaits_place(const Registry& registry, const std::set<std::string>& names) const;
  void remember_vanished(const Registry& registry, const std::set<std::string>& names);
  void expire(Id id);
  Waiter take(Id id);

  EventLoop& loop_;
  ApiBackend& backend_;
  std::map<Id, Waiter> waiters_;
  std::map<std::string, std::set<Id>> by_name_;
  std::set<Id> for_all_units_;
  Id last_id_ = 0;

  // Names of which nothing is left, by when that happened; and up to when names have been dropped
  // from that memory.
  std::map<Revision, std::set<std::string>> vanished_;
  std::size_t vanished_names_ = 0;
  Revision vanished_dropped_ = 0;
  // When a machine or the leader last changed, as far as this object has seen it.
  Revision machines_changed_ = 0;
  Revision seen_load_ = 0;

  // Callbacks of the backend may come after the end.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fleet
