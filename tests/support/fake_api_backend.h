// What the API needs of a fleetd, in memory: a store, and a mirror of it that the test can hold
// back. The engine and the agents are played by the test, which puts their keys.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/api.h"
#include "store/memory/memory_registry.h"
#include "store/range.h"
#include "tests/support/virtual_loop.h"

namespace fleet {

class FakeApiBackend final : public ApiBackend {
 public:
  explicit FakeApiBackend(VirtualLoop& loop, Keys keys = Keys())
      : loop_(loop), store_(loop), mirror_(std::move(keys)) {
    mirror_.load(*store_.read(mirror_.keys().everything(), 0));
    store_.add_listener([this](const WatchBatch& batch) { on_their_way_.push_back(batch); });
  }

  Status ready() const override {
    if (error_) return std::unexpected(*error_);
    return {};
  }
  void add_metrics(MetricsText& metrics) const override {
    metrics.begin("fake", "gauge", "Stands for what a fleetd tells.");
    metrics.sample(std::uint64_t{1});
  }

  // Whom to tell that the mirror has moved.
  void serve(Api* api) { api_ = api; }

  void read(std::function<void(Result<const Registry*>)> use) override {
    if (error_) return use(std::unexpected(*error_));
    if (mirror_.revision() >= acknowledged_) return use(&mirror_);
    reads_.push_back(std::move(use));
  }

  void commit(Transaction transaction,
              std::function<void(Result<TransactionResult>)> done) override {
    loop_.post([this, transaction = std::move(transaction), done = std::move(done)] {
      if (before_commit) before_commit();
      ++commits;
      if (commit_error) return done(std::unexpected(*commit_error));
      if (const Status status = validate(transaction); !status) {
        return done(std::unexpected(status.error()));
      }
      const Result<TransactionResult> result = store_.commit(transaction);
      if (result && result->committed) acknowledged_ = result->revision;
      deliver();
      done(result);
    });
  }

  Explanation explain(const Registry& registry, const std::string& name) const override {
    (void)registry;
    const auto found = explanations.find(name);
    return found == explanations.end() ? Explanation{} : found->second;
  }

  // Writes as another machine would.
  void put(std::string key, std::string value) {
    (void)store_.commit({{}, {Put{.key = std::move(key), .value = std::move(value)}}});
    deliver();
  }
  void remove(std::string key) {
    (void)store_.commit({{}, {Delete{.range = {std::move(key), false}}}});
    deliver();
  }

  // While held back the mirror stays where it is.
  void hold_mirror(bool hold) {
    held_ = hold;
    deliver();
  }
  // Reads the whole registry anew, as after a lost watch.
  void reload_mirror() {
    on_their_way_.clear();
    mirror_.load(*store_.read(mirror_.keys().everything(), 0));
    if (api_ != nullptr) api_->registry_changed(mirror_, {});
  }
  void lose_store(const Error& error) {
    error_ = error;
    if (api_ != nullptr) api_->registry_lost(error);
  }
  void find_store() { error_.reset(); }

  const Registry& mirror() const { return mirror_; }
  const Keys& keys() const { return mirror_.keys(); }
  std::optional<std::string> value(const std::string& key) const {
    const Result<ReadResult> found = store_.read({key, false}, 0);
    if (!found || found->values.empty()) return std::nullopt;
    return found->values.front().value;
  }

  int commits = 0;                      // tried
  std::function<void()> before_commit;  // runs before each transaction takes effect
  std::optional<Error> commit_error;    // of every commit
  std::map<std::string, Explanation> explanations;

 private:
  void deliver() {
    while (!held_ && !on_their_way_.empty()) {
      const WatchBatch batch = std::move(on_their_way_.front());
      on_their_way_.pop_front();
      const Registry::Changes changes = mirror_.apply(batch);
      if (api_ != nullptr) api_->registry_changed(mirror_, changes);
    }
    if (mirror_.revision() < acknowledged_) return;
    for (const auto& use : std::exchange(reads_, {})) use(&mirror_);
  }

  VirtualLoop& loop_;
  MemoryRegistry store_;
  Registry mirror_;
  Api* api_ = nullptr;
  bool held_ = false;
  Revision acknowledged_ = 0;
  std::deque<WatchBatch> on_their_way_;
  std::vector<std::function<void(Result<const Registry*>)>> reads_;
  std::optional<Error> error_;
};

}  // namespace fleet
