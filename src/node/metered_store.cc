#include "node/metered_store.h"

#include <utility>

namespace fleet {

template <class T>
Store::Callback<T> MeteredStore::metered(StoreCounts::Operation StoreCounts::*operation,
                                         Callback<T> done) {
  return [this, alive = std::weak_ptr(alive_), &loop = loop_, counts = counts_, operation,
          begun = loop_.now(), done = std::move(done)](Result<T> result) {
    StoreCounts::Operation& count = (*counts).*operation;
    count.duration.observe(std::chrono::duration<double>(loop.now() - begun).count());
    if (!result) ++count.failed;
    if (!result && !alive.expired()) tell(result.error());
    done(std::move(result));
  };
}

// What comes and goes with a store that is away, a lease or an old revision is said elsewhere.
void MeteredStore::tell(const Error& error) {
  constexpr std::size_t kMost = 100;
  switch (error.code) {
    case ErrorCode::unavailable:
    case ErrorCode::compacted:
    case ErrorCode::conflict:
    case ErrorCode::not_found:
      return;
    default:
      if (told_.size() >= kMost || !told_.insert(error.message).second) return;
      log_.write({LogLevel::error, "the registry refuses this fleetd: " + error.message, {}, {}});
  }
}

void MeteredStore::read(KeyRange range, Revision at, Callback<ReadResult> done) {
  const auto operation = range.prefix ? &StoreCounts::get_all : &StoreCounts::get;
  store_.read(std::move(range), at, metered(operation, std::move(done)));
}

void MeteredStore::commit(Transaction transaction, Callback<TransactionResult> done) {
  store_.commit(std::move(transaction), metered(&StoreCounts::set, std::move(done)));
}

}  // namespace fleet
