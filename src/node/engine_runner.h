// Runs the election and the engine's step machine over the store.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "api/metrics_text.h"
#include "base/event_loop.h"
#include "base/log.h"
#include "engine/election.h"
#include "engine/engine.h"
#include "node/feed.h"
#include "store/store.h"

namespace fleet {

class EngineRunner {
 public:
  // `on_leading` runs when this engine begins or ceases to lead: it needs the registry mirror
  // meanwhile.
  EngineRunner(EventLoop& loop, Store& store, Log& log, const Keys& keys, std::string machine_id,
               EngineOptions options, std::function<void(bool leading)> on_leading);
  ~EngineRunner();
  EngineRunner(const EngineRunner&) = delete;
  EngineRunner& operator=(const EngineRunner&) = delete;

  void start();
  // Whether it is to take part in elections, and lead; it is until this says otherwise.
  void set_enabled(bool enabled);
  void set_options(EngineOptions options);
  void lease_held(LeaseId lease);
  void lease_lost();
  void contact(bool in_contact);

  // The registry mirror was read whole, or has changed, or is no longer kept (null).
  void registry_loaded(const Registry& registry);
  void registry_changed(const Registry& registry, const Registry::Changes& changes);
  void registry_gone();

  bool is_leading() const { return election_.is_leading(); }
  const Engine& engine() const { return engine_; }
  const Histogram& rounds() const { return rounds_; }  // how long the engine's rounds took

 private:
  void elect(const ElectionEvent& event);
  void step(const EngineEvent& event);
  void begin_if_ready();
  void commit(std::uint64_t id, Transaction transaction);
  void ask_leases(const AskLeasesEffect& ask);

  EventLoop& loop_;
  Store& store_;
  Log& log_;
  std::string machine_id_;
  Election election_;
  Engine engine_;
  Feed leader_;
  std::function<void(bool)> on_leading_;
  Histogram rounds_;
  Revision term_ = 0;                   // 0: does not lead
  const Registry* registry_ = nullptr;  // null: not read yet
  EventLoop::TimerId engine_timer_ = 0;
  EventLoop::TimerId election_timer_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace fleet
