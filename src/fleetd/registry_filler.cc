#include "fleetd/registry_filler.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/limits.h"
#include "cluster/values.h"

namespace fleet {
namespace {

constexpr Duration kLookAgain = std::chrono::milliseconds(200);

bool is_carried_over(Key::Kind kind) {
  return kind == Key::Kind::unit || kind == Key::Kind::target || kind == Key::Kind::schedule ||
         kind == Key::Kind::metadata;
}

// The prefixes of all that is carried over.
std::array<KeyRange, 4> carried_over(const Keys& keys) {
  return {KeyRange{keys.prefix() + "metadata/", true}, KeyRange{keys.prefix() + "schedule/", true},
          KeyRange{keys.prefix() + "target/", true}, KeyRange{keys.prefix() + "unit/", true}};
}

Compare is_missing(KeyRange range) {
  return {std::move(range), Compare::Field::create_revision, Compare::Relation::equal, 0};
}

}  // namespace

RegistryContents contents_of(const ReadResult& everything, const Keys& keys) {
  RegistryContents contents;
  for (const KeyValue& value : everything.values) {
    const auto key = keys.parse(value.key);
    if (key && is_carried_over(key->kind)) contents.emplace(value.key, value.value);
  }
  return contents;
}

std::set<std::string> machines_with_units(const RegistryContents& contents, const Keys& keys) {
  std::set<std::string> machines;
  for (const auto& [key_text, value] : contents) {
    const auto key = keys.parse(key_text);
    if (!key || key->kind != Key::Kind::schedule) continue;
    const auto record = decode_schedule(value);
    // One that cannot be read may say anything.
    if (!record || record->state != UnitState::inactive) machines.insert(key->machine);
  }
  return machines;
}

RegistryFiller::RegistryFiller(EventLoop& loop, LoopDriver driver, Store& store, Keys keys)
    : loop_(loop), driver_(std::move(driver)), store_(store), keys_(std::move(keys)) {}

Result<ReadResult> RegistryFiller::read(const KeyRange& range) {
  std::optional<Result<ReadResult>> answer;
  store_.read(range, 0, [&](Result<ReadResult> result) {
    answer = std::move(result);
    driver_.finish();
  });
  while (!answer) driver_.run();
  return std::move(*answer);
}

Result<TransactionResult> RegistryFiller::commit(Transaction transaction) {
  std::optional<Result<TransactionResult>> answer;
  store_.commit(std::move(transaction), [&](Result<TransactionResult> result) {
    answer = std::move(result);
    driver_.finish();
  });
  while (!answer) driver_.run();
  return std::move(*answer);
}

void RegistryFiller::pause(Duration duration) {
  bool over = false;
  loop_.call_after(duration, [&] {
    over = true;
    driver_.finish();
  });
  while (!over) driver_.run();
}

Result<RegistryFiller::Claim> RegistryFiller::claim(const std::string& by) {
  Transaction transaction;
  for (const KeyRange& range : carried_over(keys_)) {
    transaction.compares.push_back(is_missing(range));
  }
  transaction.compares.push_back(is_missing({keys_.incomplete(), false}));
  transaction.operations.emplace_back(Put{keys_.incomplete(), by, 0});
  const auto result = commit(std::move(transaction));
  if (!result) return std::unexpected(result.error());
  if (!result->committed) return take_over(by);
  claimed_at_ = result->revision;
  return Claim::begun;
}

Result<RegistryFiller::Claim> RegistryFiller::take_over(const std::string& by) {
  const auto everything = read(keys_.everything());
  if (!everything) return std::unexpected(everything.error());
  const auto mark = std::ranges::find(everything->values, keys_.incomplete(),
                                      [](const auto& it) { return it.key; });
  if (mark == everything->values.end()) {
    const RegistryContents found = contents_of(*everything, keys_);
    if (found.empty()) return fail(ErrorCode::conflict, "it is being changed by others just now");
    return fail(
        ErrorCode::conflict,
        fmt::format("it holds something already: {}{}", found.begin()->first,
                    found.size() == 1 ? std::string()
                                      : fmt::format(" and {} more keys", found.size() - 1)));
  }
  Transaction transaction;
  transaction.compares.push_back({{keys_.incomplete(), false},
                                  Compare::Field::mod_revision,
                                  Compare::Relation::equal,
                                  mark->mod_revision});
  for (const KeyRange& range : carried_over(keys_)) {
    transaction.operations.emplace_back(Delete{range});
  }
  transaction.operations.emplace_back(Put{keys_.incomplete(), by, 0});
  const auto result = commit(std::move(transaction));
  if (!result) return std::unexpected(result.error());
  if (!result->committed) return fail(ErrorCode::conflict, "another command is filling it as well");
  claimed_at_ = result->revision;
  return Claim::begun_anew;
}

Status RegistryFiller::commit_as_owner(Transaction transaction) {
  transaction.compares.push_back({{keys_.incomplete(), false},
                                  Compare::Field::mod_revision,
                                  Compare::Relation::equal,
                                  claimed_at_});
  const auto result = commit(std::move(transaction));
  if (!result) return std::unexpected(result.error());
  if (!result->committed) return fail(ErrorCode::conflict, "another command has taken it over");
  return {};
}

Status RegistryFiller::copy(const RegistryContents& contents) {
  Transaction transaction;
  std::size_t bytes = 0;
  for (const auto& [key, value] : contents) {
    const bool full = transaction.operations.size() == limits::kTransactionOperations ||
                      bytes + key.size() + value.size() > limits::kTransactionBytes;
    if (full && !transaction.operations.empty()) {
      if (Status done = commit_as_owner(std::exchange(transaction, {})); !done) return done;
      bytes = 0;
    }
    transaction.operations.emplace_back(Put{key, value, 0});
    bytes += key.size() + value.size();
  }
  return transaction.operations.empty() ? Status() : commit_as_owner(std::move(transaction));
}

Status RegistryFiller::complete() {
  Transaction transaction;
  transaction.operations.emplace_back(Delete{{keys_.incomplete(), false}});
  return commit_as_owner(std::move(transaction));
}

Result<std::set<std::string>> RegistryFiller::wait_for_machines(std::set<std::string> machines,
                                                                Duration patience) {
  const Time limit = loop_.now() + patience;
  while (true) {
    const auto joined = read({keys_.machine(""), true});
    if (!joined) return std::unexpected(joined.error());
    for (const KeyValue& value : joined->values) {
      if (const auto key = keys_.parse(value.key)) machines.erase(key->machine);
    }
    if (machines.empty() || loop_.now() >= limit) return machines;
    pause(kLookAgain);
  }
}

}  // namespace fleet
