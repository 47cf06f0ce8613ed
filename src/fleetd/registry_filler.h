// Fills an empty registry with what another one held: the common part of moving a registry and of
// importing one.
//
// While it is at work the registry has the key `incomplete`, for whose sake no engine decides and
// no API changes anything (Registry::incomplete). So a copy that was interrupted, at any point, is
// recognised as such and harmless: the next one begins anew. The key goes last.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "base/error.h"
#include "base/event_loop.h"
#include "cluster/keys.h"
#include "store/store.h"

namespace fleet {

// What is carried over: values by key, all of kinds that outlive the machines' leases: units,
// targets, schedules and metadata.
using RegistryContents = std::map<std::string, std::string>;

// Of what was read under keys.everything(): what is carried over, byte for byte, so that a record
// that cannot be understood is not lost either.
RegistryContents contents_of(const ReadResult& everything, const Keys& keys);

// The machines that units are assigned to.
std::set<std::string> machines_with_units(const RegistryContents& contents, const Keys& keys);

// Lets callbacks of a loop run until one of them calls finish().
struct LoopDriver {
  std::function<void()> run;
  std::function<void()> finish;
};

// Every call blocks until it is done. Each fails with what the store says (unavailable, denied),
// and with `conflict` when somebody else is at work on the same registry.
class RegistryFiller {
 public:
  RegistryFiller(EventLoop& loop, LoopDriver driver, Store& store, Keys keys);

  enum class Claim { begun, begun_anew };
  // Takes an empty registry, or one that an interrupted copy has left, which is emptied. Machines
  // may have joined it already. `by` says to people who fills it. Fails: conflict (it holds
  // something; the message says what).
  Result<Claim> claim(const std::string& by);

  // Only after claim().
  Status copy(const RegistryContents& contents);
  Status complete();

  // Waits until each of the machines has joined the cluster, `patience` at most. Returns those that
  // have not.
  Result<std::set<std::string>> wait_for_machines(std::set<std::string> machines,
                                                  Duration patience);

  Result<ReadResult> read(const KeyRange& range);

 private:
  Result<TransactionResult> commit(Transaction transaction);
  Result<Claim> take_over(const std::string& by);
  Status commit_as_owner(Transaction transaction);
  void pause(Duration duration);

  EventLoop& loop_;
  LoopDriver driver_;
  Store& store_;
  Keys keys_;
  Revision claimed_at_ = 0;  // mod revision of the key `incomplete` as this one wrote it
};

}  // namespace fleet
