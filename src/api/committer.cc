#include "api/committer.h"

#include <chrono>
#include <utility>
#include <vector>

#include "api/answers.h"

namespace fleet {
namespace {

constexpr int kTries = 5;
constexpr Duration kPatience = std::chrono::seconds(5);

// Not 409, which says that the request does not fit what is, and that repeating it is of no use.
ApiResponse conflict_answer() {
  return error_answer(503,
                      "it was changed by others again and again while this request was being "
                      "decided; nothing was changed by this request, send it again");
}

}  // namespace

Committer::~Committer() {
  *alive_ = false;
  for (const auto& [id, write] : writes_) loop_.cancel(write.timer);
}

void Committer::run(Decide decide, Api::Reply reply) {
  const Id id = ++last_id_;
  Write& write = writes_[id];
  write.decide = std::move(decide);
  write.reply = std::move(reply);
  write.deadline = loop_.now() + kPatience;
  attempt(id);
}

void Committer::attempt(Id id) {
  backend_.read([this, id, alive = alive_](Result<const Registry*> registry) {
    if (!*alive || !writes_.contains(id)) return;
    if (!registry) return finish(id, unavailable_answer(registry.error()));
    decide(id, **registry);
  });
}

void Committer::decide(Id id, const Registry& registry) {
  Write& write = writes_.at(id);
  // The last try was decided from this very revision, and from it the next would fail as well.
  if (write.tries > 0 && registry.revision() <= write.decided_from) return wait(id);

  if (const Entry<std::string>& mark = registry.incomplete(); mark.exists()) {
    return finish(
        id, error_answer(503, "the registry is incomplete (" + mark.value.value_or(mark.error) +
                                  "): nothing can be changed until that is done"));
  }
  write.decided_from = registry.revision();
  WriteDecision decision = write.decide(registry);
  if (!decision.transaction) return finish(id, std::move(decision.answer));
  backend_.commit(std::move(*decision.transaction),
                  [this, id, alive = alive_,
                   answer = std::move(decision.answer)](const Result<TransactionResult>& result) {
                    if (!*alive || !writes_.contains(id)) return;
                    if (result && result->committed) return finish(id, answer);
                    not_committed(id, result);
                  });
}

void Committer::not_committed(Id id, const Result<TransactionResult>& result) {
  if (!result) return finish(id, write_error_answer(result.error()));
  Write& write = writes_.at(id);
  if (++write.tries >= kTries || loop_.now() >= write.deadline) {
    return finish(id, conflict_answer());
  }
  attempt(id);
}

void Committer::wait(Id id) {
  Write& write = writes_.at(id);
  write.waits = true;
  write.timer = loop_.call_at(write.deadline, [this, id] { finish(id, conflict_answer()); });
}

void Committer::registry_changed(const Registry& registry) {
  std::vector<Id> ready;
  for (auto& [id, write] : writes_) {
    if (!write.waits || registry.revision() <= write.decided_from) continue;
    write.waits = false;
    loop_.cancel(std::exchange(write.timer, 0));
    ready.push_back(id);
  }
  for (const Id id : ready) attempt(id);
}

void Committer::registry_lost(const Error& error) {
  std::vector<Id> lost;
  for (const auto& [id, write] : writes_) {
    if (write.waits) lost.push_back(id);
  }
  for (const Id id : lost) finish(id, unavailable_answer(error));
}

void Committer::finish(Id id, ApiResponse answer) {
  const auto found = writes_.find(id);
  loop_.cancel(found->second.timer);
  // The reply may come back into this object, so the write is taken out first.
  const Api::Reply reply = std::move(found->second.reply);
  writes_.erase(found);
  reply(std::move(answer));
}

}  // namespace fleet
