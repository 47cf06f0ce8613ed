#include "tests/contract/store_contract.h"

#include <utility>

namespace fleet {

Result<ReadResult> StoreContract::read(Store& store, KeyRange range, Revision at) {
  return wait<ReadResult>([&](auto done) { store.read(std::move(range), at, std::move(done)); });
}

Result<TransactionResult> StoreContract::commit(Store& store, Transaction transaction) {
  return wait<TransactionResult>(
      [&](auto done) { store.commit(std::move(transaction), std::move(done)); });
}

Result<LeaseId> StoreContract::grant(Store& store, std::chrono::seconds ttl) {
  return wait<LeaseId>([&](auto done) { store.grant_lease(ttl, std::move(done)); });
}

Status StoreContract::revoke(Store& store, LeaseId lease) {
  return wait<void>([&](auto done) { store.revoke_lease(lease, std::move(done)); });
}

Revision StoreContract::put(const std::string& key, const std::string& value, LeaseId lease) {
  const auto result = commit(
      store_, {.compares = {}, .operations = {Put{.key = key, .value = value, .lease = lease}}});
  EXPECT_TRUE(result.has_value()) << result.error().message;
  return result ? result->revision : 0;
}

Revision StoreContract::remove(KeyRange range) {
  const auto result =
      commit(store_, {.compares = {}, .operations = {Delete{.range = std::move(range)}}});
  EXPECT_TRUE(result.has_value()) << result.error().message;
  return result ? result->revision : 0;
}

std::vector<KeyValue> StoreContract::values(KeyRange range, Revision at) {
  auto result = read(store_, std::move(range), at);
  EXPECT_TRUE(result.has_value()) << result.error().message;
  return result ? std::move(result->values) : std::vector<KeyValue>{};
}

std::vector<std::string> StoreContract::keys(KeyRange range, Revision at) {
  std::vector<std::string> found;
  for (KeyValue& value : values(std::move(range), at)) found.push_back(std::move(value.key));
  return found;
}

Revision StoreContract::revision() {
  const auto result = read(store_, one("no such key"));
  EXPECT_TRUE(result.has_value()) << result.error().message;
  return result ? result->revision : 0;
}

LeaseId StoreContract::lease(std::chrono::seconds ttl) {
  const auto result = grant(store_, ttl);
  EXPECT_TRUE(result.has_value()) << result.error().message;
  return result ? *result : 0;
}

bool StoreContract::holds(Compare compare) {
  const auto result = commit(store_, {.compares = {std::move(compare)}, .operations = {}});
  EXPECT_TRUE(result.has_value()) << result.error().message;
  return result && result->committed;
}

bool StoreContract::wait_until_gone(KeyRange range, Duration limit) {
  Watched watched;
  const auto now = read(store_, range);
  if (!now) return false;
  std::size_t left = now->values.size();
  const WatchId watch = store_.watch(range, now->revision + 1, watched.callbacks());
  const bool gone = loop_.run_until([&] { return watched.events.size() >= left; }, limit);
  store_.cancel_watch(watch);
  return gone && values(range).empty();
}

}  // namespace fleet
