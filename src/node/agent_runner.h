// Runs the agent's step machine: its effects become calls of systemd and of the registry, their
// completions its events.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "agent/agent.h"
#include "base/event_loop.h"
#include "base/log.h"
#include "cluster/keys.h"
#include "node/feed.h"
#include "node/publisher.h"
#include "store/store.h"
#include "systemd/unit_manager.h"

namespace fleet {

// What the agent has had done to this machine's units so far, by kind of task; only grows.
struct TaskCounts {
  struct Count {
    std::uint64_t ended = 0;
    std::uint64_t failed = 0;  // of these
  };
  std::map<TaskKind, Count> by_kind;
};

class AgentRunner {
 public:
  AgentRunner(EventLoop& loop, Store& store, UnitManager& units, Log& log, const Keys& keys,
              std::string machine_id);
  ~AgentRunner();
  AgentRunner(const AgentRunner&) = delete;
  AgentRunner& operator=(const AgentRunner&) = delete;

  void start();
  void registered(LeaseId lease, bool new_lease);
  void unregistered();

  // Stops and lets go of every unit; `done` when that is so.
  void leave(std::function<void()> done);

  const Agent& agent() const { return agent_; }
  const TaskCounts& counts() const { return counts_; }

 private:
  void list_units();
  void read_schedule(const ReadResult& result);
  void change_schedule(const WatchBatch& batch);
  void step(const AgentEvent& event);
  void count(TaskKind kind, const Status& result);
  void run(const agent_effect::RunTask& task);
  void run(const agent_effect::Recheck& recheck);
  void run(const agent_effect::Reload& reload);
  void run(const agent_effect::Observe& observe);
  void run(const agent_effect::Ignore& ignore);
  void run(const agent_effect::Publish& publish);
  void run(const agent_effect::Wake& wake);
  void run(const agent_effect::Left& left);
  void run(const LogLine& line);

  EventLoop& loop_;
  UnitManager& units_;
  Log& log_;
  Keys keys_;
  std::string machine_id_;
  Agent agent_;
  TaskCounts counts_;
  Publisher publisher_;
  Feed schedule_;
  int list_failures_ = 0;
  bool schedule_failed_ = false;  // said already
  bool registered_ = false;
  // Of a new lease: while there was none the cluster may have given this machine's units away.
  // Nothing is begun before the schedule has been read anew.
  bool schedule_doubtful_ = false;
  EventLoop::TimerId list_timer_ = 0;
  EventLoop::TimerId wake_timer_ = 0;
  std::function<void()> on_left_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace fleet
