// Carries out the writes of the API: decide from the mirror, commit, and if something changed in
// between, wait until the mirror shows it and decide again.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "api/api.h"
#include "api/writes.h"

namespace fleet {

class Committer {
 public:
  using Decide = std::function<WriteDecision(const Registry&)>;

  Committer(EventLoop& loop, ApiBackend& backend) : loop_(loop), backend_(backend) {}
  ~Committer();
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  // Calls `reply` once, with what came of it.
  void run(Decide decide, Api::Reply reply);

  // As the members of Api.
  void registry_changed(const Registry& registry);
  void registry_lost(const Error& error);

 private:
  using Id = std::uint64_t;
  struct Write {
    Decide decide;
    Api::Reply reply;
    int tries = 0;
    Time deadline;
    Revision decided_from = 0;     // the last try's
    bool waits = false;            // for the mirror to move past it
    EventLoop::TimerId timer = 0;  // while it waits
  };

  void attempt(Id id);
  void decide(Id id, const Registry& registry);
  void not_committed(Id id, const Result<TransactionResult>& result);
  void wait(Id id);
  void finish(Id id, ApiResponse answer);

  EventLoop& loop_;
  ApiBackend& backend_;
  std::map<Id, Write> writes_;
  Id last_id_ = 0;
  // Callbacks of the backend may come after the end.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fleet
