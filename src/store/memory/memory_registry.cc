#include "store/memory/memory_registry.h"

#include <algorithm>
#include <ranges>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "store/range.h"

namespace fleet {
namespace {

// Calls `each` for the values of `values` in `range`, in order.
template <class Values, class Each>
void for_each_in(Values& values, const KeyRange& range, Each each) {
  for (auto at = values.lower_bound(range.key); at != values.end(); ++at) {
    if (!contains(range, at->first)) break;
    each(at->second);
  }
}

bool holds(const Compare& compare, const KeyValue& value) {
  const Revision actual =
      compare.field == Compare::Field::create_revision ? value.create_revision : value.mod_revision;
  switch (compare.relation) {
    case Compare::Relation::equal:
      return actual == compare.operand;
    case Compare::Relation::less:
      return actual < compare.operand;
    case Compare::Relation::greater:
      return actual > compare.operand;
  }
  return false;
}

Error compacted_error(Revision wanted, Revision compacted) {
  return {ErrorCode::compacted,
          fmt::format("revision {} is gone: the registry was compacted at revision {}; read anew",
                      wanted, compacted)};
}

}  // namespace

MemoryRegistry::MemoryRegistry(EventLoop& loop, RegistryKeeper* keeper, HistoryLimit history)
    : loop_(loop), keeper_(keeper), history_limit_(history) {}

MemoryRegistry::~MemoryRegistry() {
  for (const auto& [id, lease] : leases_) loop_.cancel(lease.timer);
}

void MemoryRegistry::restore(std::vector<KeyValue> values, Revision revision) {
  for (KeyValue& value : values) {
    std::string key = value.key;
    values_.insert_or_assign(std::move(key), std::move(value));
  }
  if (revision <= revision_) return;  // the earlier one never had a change
  revision_ = revision;
  compacted_ = revision;
}

Result<ReadResult> MemoryRegistry::read(const KeyRange& range, Revision at) const {
  if (at == 0) at = revision_;
  if (at > revision_) {
    return fail(ErrorCode::invalid, fmt::format("revision {} has not been yet", at));
  }
  if (at < compacted_) return std::unexpected(compacted_error(at, compacted_));
  std::map<std::string, KeyValue> then;
  for_each_in(values_, range, [&](const KeyValue& value) { then.emplace(value.key, value); });
  for (const auto& [revision, changes] : history_ | std::views::reverse) {
    if (revision <= at) break;
    for (const Change& change : changes | std::views::reverse) {
      const std::string& key = change.event.value.key;
      if (!contains(range, key)) continue;
      if (change.before) {
        then.insert_or_assign(key, *change.before);
      } else {
        then.erase(key);
      }
    }
  }
  ReadResult result{.values = {}, .revision = at};
  result.values.reserve(then.size());
  for (auto& [key, value] : then) result.values.push_back(std::move(value));
  return result;
}

Result<TransactionResult> MemoryRegistry::commit(const Transaction& transaction) {
  const auto comparison_holds = [&](const Compare& compare) { return holds(compare); };
  if (!std::ranges::all_of(transaction.compares, comparison_holds)) {
    return TransactionResult{.committed = false, .revision = revision_};
  }
  for (const Operation& operation : transaction.operations) {
    const auto* wanted = std::get_if<Put>(&operation);
    if (wanted != nullptr && wanted->lease != 0 && !leases_.contains(wanted->lease)) {
      return fail(ErrorCode::not_found,
                  fmt::format("the lease {} of {} does not exist", wanted->lease, wanted->key));
    }
  }
  for (const Operation& operation : transaction.operations) {
    if (const auto* wanted = std::get_if<Put>(&operation)) {
      put(*wanted);
    } else {
      remove(std::get<Delete>(operation).range);
    }
  }
  if (!changes_.empty()) {  // else nothing changed, so there is no new revision
    const WatchBatch batch = new_batch();
    if (keeper_ != nullptr) {
      if (Status kept = keeper_->keep(batch); !kept) {
        undo_changes();
        return std::unexpected(kept.error());
      }
    }
    publish(batch);
  }
  return TransactionResult{.committed = true, .revision = revision_};
}

Result<std::vector<WatchBatch>> MemoryRegistry::history(const KeyRange& range,
                                                        Revision from) const {
  if (from <= compacted_) return std::unexpected(compacted_error(from, compacted_));
  std::vector<WatchBatch> batches;
  for (auto at = history_.lower_bound(from); at != history_.end(); ++at) {
    WatchBatch batch{.revision = at->first, .events = {}};
    for (const Change& change : at->second) {
      if (contains(range, change.event.value.key)) batch.events.push_back(change.event);
    }
    if (!batch.events.empty()) batches.push_back(std::move(batch));
  }
  return batches;
}

void MemoryRegistry::compact(Revision revision) {
  compacted_ = std::max(compacted_, std::min(revision, revision_));
  const auto end = history_.upper_bound(compacted_);
  for (auto at = history_.begin(); at != end; at = history_.erase(at)) {
    for (const Change& change : at->second) history_bytes_ -= size_of(change);
  }
}

LeaseId MemoryRegistry::grant_lease(std::chrono::seconds ttl) {
  const LeaseId id = ++last_lease_;
  Lease& lease = leases_[id];
  lease.ttl = std::max(ttl, std::chrono::seconds(1));
  lease.expires = loop_.now() + lease.ttl;
  lease.timer = loop_.call_at(lease.expires, [this, id] { expire_lease(id); });
  return id;
}

Duration MemoryRegistry::remaining_time(LeaseId id) const {
  const auto found = leases_.find(id);
  if (found == leases_.end()) return Duration::zero();
  return std::max(found->second.expires - loop_.now(), Duration::zero());
}

bool MemoryRegistry::renew_lease(LeaseId id) {
  const auto found = leases_.find(id);
  if (found == leases_.end()) return false;
  // The timer stays: when it runs it sees that there is time left.
  found->second.expires = loop_.now() + found->second.ttl;
  return true;
}

void MemoryRegistry::revoke_lease(LeaseId id) {
  const auto found = leases_.find(id);
  if (found == leases_.end()) return;
  loop_.cancel(found->second.timer);
  const std::set<std::string> keys = std::move(found->second.keys);
  leases_.erase(found);
  for (const std::string& key : keys) remove({.key = key, .prefix = false});
  if (!changes_.empty()) publish(new_batch());
}

MemoryRegistry::ListenerId MemoryRegistry::add_listener(Listener listener) {
  listeners_.emplace(++last_listener_, std::move(listener));
  return last_listener_;
}

void MemoryRegistry::remove_listener(ListenerId id) {
  listeners_.erase(id);
}

bool MemoryRegistry::holds(const Compare& compare) const {
  bool exists = false;
  bool all = true;
  for_each_in(values_, compare.range, [&](const KeyValue& value) {
    exists = true;
    all = all && fleet::holds(compare, value);
  });
  return exists ? all : fleet::holds(compare, KeyValue{});
}

void MemoryRegistry::put(const Put& put) {
  const Revision revision = revision_ + 1;
  KeyValue& value = values_[put.key];
  std::optional<KeyValue> before;
  if (value.mod_revision != 0) {
    before = value;
    detach(value);
  }
  value = {.key = put.key,
           .value = put.value,
           .create_revision = before ? before->create_revision : revision,
           .mod_revision = revision,
           .lease = put.lease};
  if (put.lease != 0) leases_.at(put.lease).keys.insert(put.key);
  changes_.push_back({{.kind = WatchEvent::Kind::put, .value = value}, std::move(before)});
}

void MemoryRegistry::remove(const KeyRange& range) {
  std::vector<KeyValue> removed;
  for_each_in(values_, range, [&](const KeyValue& value) { removed.push_back(value); });
  for (KeyValue& value : removed) {
    values_.erase(value.key);
    detach(value);
    WatchEvent event{.kind = WatchEvent::Kind::removed, .value = {}};
    event.value.key = value.key;
    event.value.mod_revision = revision_ + 1;
    changes_.push_back({std::move(event), std::move(value)});
  }
}

std::size_t MemoryRegistry::size_of(const Change& change) {
  const KeyValue& now = change.event.value;
  const std::size_t before = change.before ? change.before->value.size() : 0;
  return 2 * now.key.size() + now.value.size() + before;
}

WatchBatch MemoryRegistry::new_batch() const {
  WatchBatch batch{.revision = revision_ + 1, .events = {}};
  for (const Change& change : changes_) batch.events.push_back(change.event);
  return batch;
}

void MemoryRegistry::publish(const WatchBatch& batch) {
  revision_ = batch.revision;
  for (const Change& change : changes_) history_bytes_ += size_of(change);
  history_.emplace(revision_, std::exchange(changes_, {}));
  while (history_.size() > history_limit_.revisions || history_bytes_ > history_limit_.bytes) {
    compact(history_.begin()->first);
  }
  for (const auto& [id, listener] : listeners_) listener(batch);
}

void MemoryRegistry::undo_changes() {
  for (Change& change : changes_ | std::views::reverse) {
    const std::string& key = change.event.value.key;
    if (const auto now = values_.find(key); now != values_.end()) detach(now->second);
    if (!change.before) {
      values_.erase(key);
      continue;
    }
    if (change.before->lease != 0) leases_.at(change.before->lease).keys.insert(key);
    values_.insert_or_assign(key, std::move(*change.before));
  }
  changes_.clear();
}

void MemoryRegistry::expire_lease(LeaseId id) {
  Lease& lease = leases_.at(id);
  if (lease.expires > loop_.now()) {
    lease.timer = loop_.call_at(lease.expires, [this, id] { expire_lease(id); });
    return;
  }
  revoke_lease(id);
}

void MemoryRegistry::detach(const KeyValue& value) {
  const auto lease = leases_.find(value.lease);
  if (lease != leases_.end()) lease->second.keys.erase(value.key);
}

}  // namespace fleet
