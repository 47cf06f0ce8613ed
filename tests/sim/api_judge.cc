#include "tests/sim/api_judge.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "engine/engine.h"

namespace fleet {

namespace {

// Answers from one registry, whatever happens.
class FixedBackend final : public ApiBackend {
 public:
  FixedBackend(const Registry& registry, int mass_loss_percent)
      : registry_(registry),
        placement_(placement_of(registry)),
        mass_loss_percent_(mass_loss_percent) {}

  Status ready() const override { return {}; }
  void read(std::function<void(Result<const Registry*>)> use) override { use(&registry_); }
  void commit(Transaction, std::function<void(Result<TransactionResult>)>) override {}
  void add_metrics(MetricsText&) const override {}
  Explanation explain(const Registry& registry, const std::string& name) const override {
    Explanation explanation;
    explanation.reason = why_waiting(registry, placement_, name, mass_loss_percent_);
    if (explanation.reason.empty()) return explanation;
    for (auto& [machine, reason] : refusals(registry, placement_, name)) {
      explanation.machines.push_back({machine, std::move(reason)});
    }
    return explanation;
  }

 private:
  const Registry& registry_;
  Placement placement_;
  int mass_loss_percent_;
};

std::string answer_from(const Registry& registry, const Asked& asked, int mass_loss_percent) {
  VirtualLoop loop;
  FixedBackend backend(registry, mass_loss_percent);
  Api api(loop, backend, {});
  std::string body;
  api.handle({asked.method, "/fleet/v1" + asked.path, {}, {}, {}},
             [&](const ApiResponse& answer) { body = answer.body; });
  return body;
}

}  // namespace

ApiJudge::ApiJudge(const Cluster& cluster, Blame blame)
    : cluster_(cluster), blame_(std::move(blame)) {}

void ApiJudge::after_mirrored(const WatchBatch& batch) {
  for (const WatchEvent& event : batch.events) {
    const auto key = cluster_.mirror.keys().parse(event.value.key);
    if (!key || (key->kind != Key::Kind::target && key->kind != Key::Kind::metadata)) continue;
    writes_[event.value.key].push_back(batch.revision);
  }
}

void ApiJudge::on_answer(const Asked& asked, const ApiResponse& answer) {
  if (asked.method == "GET") {
    if (answer.status == 200) judge_read(asked, answer);
    return;
  }
  if (answer.status >= 300 || asked.key.empty()) return;
  // The first write of that key since it was asked is no later than its own.
  const std::vector<Revision>& writes = writes_[asked.key];
  const auto own = std::ranges::upper_bound(writes, asked.revision);
  if (own == writes.end()) {
    blame_(Promise::changes_are_made,
           fmt::format("{} acknowledges {} {}, and nothing was written since it was asked",
                       asked.machine, asked.method, asked.path));
    return;
  }
  if (!asked.alone) return;  // of several at a time it is not known whose a write was
  std::map<Time, Revision>& acknowledged = own_writes_[asked.machine];
  const Revision newest = acknowledged.empty() ? 1 : acknowledged.rbegin()->second;
  acknowledged[cluster_.loop.now()] = std::max(newest, *own);
}

Revision ApiJudge::own_write_before(const Asked& asked) const {
  const auto found = own_writes_.find(asked.machine);
  if (found == own_writes_.end()) return 1;
  const auto later = found->second.upper_bound(asked.at);
  return later == found->second.begin() ? 1 : std::prev(later)->second;
}

bool ApiJudge::load(Revision revision, Registry& registry) const {
  const auto all = cluster_.etcd.read(registry.keys().everything(), revision);
  if (all) registry.load(*all);
  return all.has_value();
}

void ApiJudge::judge_read(const Asked& asked, const ApiResponse& answer) {
  const int percent = cluster_.mass_loss_percent();
  Registry registry{Keys()};
  const Revision oldest = own_write_before(asked);
  const auto blame = [&](std::string_view how) {
    blame_(Promise::shows_what_was,
           fmt::format("{} answers GET {} {}", asked.machine, asked.path, how));
  };
  if (!asked.path.starts_with("/status")) {
    for (Revision at = cluster_.etcd.revision(); at >= oldest; --at) {
      if (!load(at, registry)) return;  // how it was then is not known any more
      if (answer_from(registry, asked, percent) == answer.body) return;
    }
    return blame(oldest == 1 ? "with what never was" : "with what was not since its last write");
  }
  const Result<StatusEntity> status = status_from_json(answer.body);
  if (!status) return blame("with what cannot be read: " + status.error().message);
  if (status->revision < oldest) return blame("with what was before its last write");
  if (!load(status->revision, registry)) return;
  if (answer_from(registry, asked, percent) != answer.body) {
    return blame(fmt::format("with what was not at revision {}", status->revision));
  }
  for (const UnitStatusEntity& unit : status->units) {
    const std::string wrong = untruth(registry, unit, percent);
    if (wrong.empty()) continue;
    blame_(Promise::true_reasons,
           fmt::format("of {} {} says \"{}\": {}", unit.name, asked.machine, unit.reason, wrong));
  }
}

}  // namespace fleet
