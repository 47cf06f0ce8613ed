// For the engine's tests.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/engine.h"
#include "tests/support/registry_builder.h"

namespace fleet {

using namespace std::chrono_literals;
namespace event = engine_event;

// An engine over a registry. It leads from lead() on; what it wants committed waits in `sent_`
// until the test commits, loses or refuses it.
class EngineTest : public testing::Test {
 protected:
  void lead() { send(event::LeadershipGained{builder_.lead("me")}); }

  template <class Event>
  void send(const Event& what) {
    const Registry::Changes changes = builder_.take_changes();
    for (EngineEffect& it : engine_.step(what, builder_.seen(), now_)) take(it);
    if (changes.units.empty() && changes.machines.empty()) return;
    for (EngineEffect& it : engine_.step(event::RegistryChanged{changes}, builder_.seen(), now_)) {
      take(it);
    }
  }
  void take(EngineEffect& it) {
    if (auto* commit = std::get_if<CommitEffect>(&it)) {
      ++commits_;
      sent_.push_back(std::move(*commit));
    } else if (auto* ask = std::get_if<AskLeasesEffect>(&it)) {
      asked_.push_back(std::move(*ask));
    } else if (const auto* wake = std::get_if<WakeEffect>(&it)) {
      wake_ = wake->when;
    } else {
      log_.push_back(std::get<LogLine>(it).text);
    }
  }
  // The registry has changed: tells the engine.
  void news() {
    const Registry::Changes changes = builder_.take_changes();
    for (EngineEffect& it : engine_.step(event::RegistryChanged{changes}, builder_.seen(), now_)) {
      take(it);
    }
  }

  // Commits what is waiting, until nothing more comes.
  void settle() {
    for (int i = 0; !sent_.empty(); ++i) {
      ASSERT_LT(i, 100) << "the engine never comes to rest";
      const CommitEffect effect = std::move(sent_.front());
      sent_.pop_front();
      send(event::Committed{effect.id, builder_.commit(effect.transaction)});
    }
  }
  void change() {
    news();
    settle();
  }

  void pass(Duration time) {
    now_ += time;
    send(event::TimePassed{});
    settle();
  }

  std::string where(const std::string& name) {
    const Unit* unit = builder_.registry().unit(name);
    return unit == nullptr ? "" : builder_.registry().target_machine(*unit);
  }
  UnitState order(const std::string& id, const std::string& name) {
    return builder_.registry().unit(name)->schedule.at(id)->state;
  }
  bool said(const std::string& part) const {
    for (const auto& line : log_) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  }

  // Three machines that lead() has been told of, and the grace of its beginning is over.
  void begin(std::initializer_list<const char*> ids = {"m1", "m2", "m3"}) {
    for (const char* id : ids) builder_.machine(id);
    lead();
    pass(30s);
  }

  RegistryBuilder builder_;
  Engine engine_{EngineOptions{30s, 50}};
  Time now_{};
  std::deque<CommitEffect> sent_;
  std::deque<AskLeasesEffect> asked_;
  int commits_ = 0;
  std::optional<Time> wake_;
  std::vector<std::string> log_;
};

}  // namespace fleet
