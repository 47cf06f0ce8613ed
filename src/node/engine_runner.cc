#include "node/engine_runner.h"

#include <utility>

namespace fleet {

EngineRunner::EngineRunner(EventLoop& loop, Store& store, Log& log, const Keys& keys,
                           std::string machine_id, EngineOptions options,
                           std::function<void(bool)> on_leading)
    : loop_(loop),
      store_(store),
      log_(log),
      machine_id_(std::move(machine_id)),
      election_(keys, machine_id_),
      engine_(options),
      leader_(loop, store, {keys.leader(), false},
              {[this](const ReadResult& result) {
                 election_event::LeaderSeen seen;
                 if (!result.values.empty()) seen.leader = result.values.front();
                 elect(seen);
               },
               [this](const WatchBatch& batch) {
                 for (const WatchEvent& event : batch.events) {
                   election_event::LeaderSeen seen;
                   if (event.kind == WatchEvent::Kind::put) seen.leader = event.value;
                   elect(seen);
                 }
               },
               [](const Error&) {}}),  // the session says that the store is out of reach
      on_leading_(std::move(on_leading)) {}

EngineRunner::~EngineRunner() {
  loop_.cancel(engine_timer_);
  loop_.cancel(election_timer_);
}

void EngineRunner::start() {
  leader_.start();
}

void EngineRunner::set_enabled(bool enabled) {
  elect(election_event::TakePart{enabled});
}

void EngineRunner::set_options(EngineOptions options) {
  engine_.set_options(options);
  step(engine_event::TimePassed{});  // whom it holds back now may be free to move, or the reverse
}

void EngineRunner::lease_held(LeaseId lease) {
  elect(election_event::LeaseHeld{lease});
}

void EngineRunner::lease_lost() {
  elect(election_event::LeaseLost{});
}

void EngineRunner::contact(bool in_contact) {
  if (in_contact) {
    step(engine_event::ContactRegained{});
  } else {
    step(engine_event::ContactLost{});
  }
}

void EngineRunner::registry_loaded(const Registry& registry) {
  registry_ = &registry;
  if (engine_.is_leading()) return step(engine_event::RegistryReloaded{});
  begin_if_ready();
}

void EngineRunner::registry_changed(const Registry& registry, const Registry::Changes& changes) {
  registry_ = &registry;
  if (!engine_.is_leading()) return begin_if_ready();
  step(engine_event::RegistryChanged{changes});
}

void EngineRunner::registry_gone() {
  registry_ = nullptr;
}

void EngineRunner::begin_if_ready() {
  // A mirror that does not show our own leader key yet may be older than an earlier leader's last
  // decisions.
  if (engine_.is_leading() || term_ == 0 || registry_ == nullptr || registry_->revision() < term_)
    return;
  step(engine_event::LeadershipGained{term_});
}

void EngineRunner::elect(const ElectionEvent& event) {
  const std::weak_ptr alive = alive_;
  for (const ElectionEffect& effect : election_.step(event, loop_.now())) {
    if (alive.expired()) return;
    if (const auto* commit = std::get_if<election_effect::Commit>(&effect)) {
      store_.commit(commit->transaction, [this, alive](Result<TransactionResult> result) {
        if (!alive.expired()) elect(election_event::Answered{std::move(result)});
      });
    } else if (const auto* lead = std::get_if<election_effect::Lead>(&effect)) {
      term_ = lead->term;
      on_leading_(true);
      begin_if_ready();
    } else if (std::holds_alternative<election_effect::StepDown>(effect)) {
      term_ = 0;
      if (engine_.is_leading()) step(engine_event::LeadershipLost{});
      on_leading_(false);
    } else if (const auto* wake = std::get_if<election_effect::Wake>(&effect)) {
      loop_.cancel(election_timer_);
      election_timer_ = loop_.call_at(wake->when, [this] {
        election_timer_ = 0;
        elect(election_event::TimePassed{});
      });
    }
  }
}

void EngineRunner::step(const EngineEvent& event) {
  if (registry_ == nullptr) return;
  const Time begun = loop_.now();
  const std::uint64_t rounds_before = engine_.counts().rounds;
  const std::vector<EngineEffect> effects = engine_.step(event, *registry_, begun);
  if (engine_.counts().rounds != rounds_before) {
    rounds_.observe(std::chrono::duration<double>(loop_.now() - begun).count());
  }
  for (const EngineEffect& effect : effects) {
    if (const auto* commit_effect = std::get_if<CommitEffect>(&effect)) {
      commit(commit_effect->id, commit_effect->transaction);
    } else if (const auto* ask = std::get_if<AskLeasesEffect>(&effect)) {
      ask_leases(*ask);
    } else if (const auto* wake = std::get_if<WakeEffect>(&effect)) {
      loop_.cancel(engine_timer_);
      engine_timer_ = loop_.call_at(wake->when, [this] {
        engine_timer_ = 0;
        step(engine_event::TimePassed{});
      });
    } else if (const auto* line = std::get_if<LogLine>(&effect)) {
      LogLine with_machine = *line;
      if (with_machine.machine.empty()) with_machine.machine = machine_id_;
      log_.write(with_machine);
    }
  }
}

void EngineRunner::commit(std::uint64_t id, Transaction transaction) {
  store_.commit(std::move(transaction),
                [this, id, alive = std::weak_ptr(alive_)](Result<TransactionResult> result) {
                  if (!alive.expired()) step(engine_event::Committed{id, std::move(result)});
                });
}

void EngineRunner::ask_leases(const AskLeasesEffect& ask) {
  struct Asked {
    engine_event::LeasesSeen seen;
    std::size_t open = 0;
  };
  const auto asked = std::make_shared<Asked>();
  asked->seen.id = ask.id;
  asked->open = ask.machines.size();
  if (ask.machines.empty()) {
    return loop_.post([this, alive = std::weak_ptr(alive_), asked] {
      if (!alive.expired()) step(asked->seen);
    });
  }
  for (const auto& [machine, lease] : ask.machines) {
    store_.remaining_time(lease, [this, alive = std::weak_ptr(alive_), asked,
                                  machine](Result<std::chrono::seconds> remaining) {
      if (alive.expired()) return;
      if (remaining) asked->seen.remaining[machine] = *remaining;
      if (--asked->open == 0) step(asked->seen);
    });
  }
}

}  // namespace fleet
