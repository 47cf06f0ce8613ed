#include "node/metered_store.h"

#include <utility>

namespace fleet {

template <class T>
Store::Callback<T> MeteredStore::metered(StoreCounts::Operation StoreCounts::*operation,
                                         Callback<T> done) {
  return [&loop = loop_, counts = counts_, operation, begun = loop_.now(),
          done = std::move(done)](Result<T> result) {
    StoreCounts::Operation& count = (*counts).*operation;
    count.duration.observe(std::chrono::duration<double>(loop.now() - begun).count());
    if (!result) ++count.failed;
    done(std::move(result));
  };
}

void MeteredStore::read(KeyRange range, Revision at, Callback<ReadResult> done) {
  const auto operation = range.prefix ? &StoreCounts::get_all : &StoreCounts::get;
  store_.read(std::move(range), at, metered(operation, std::move(done)));
}

void MeteredStore::commit(Transaction transaction, Callback<TransactionResult> done) {
  store_.commit(std::move(transaction), metered(&StoreCounts::set, std::move(done)));
}

}  // namespace fleet
