// Publisher: tells the registry what the agent has to say, in batches: the states of units, and
// that orders to leave have been carried out. One transaction at a time, so that what is said about
// a unit arrives in the order in which it was said, and many changes share a transaction.
//
// A transaction that the store did not answer may still be on its way, and would come after the
// next one and undo it. So each requires that the machine's fence has not been written since, and
// after one without an answer nothing is sent before the fence has been written anew. It is written
// first of all, too: an earlier fleetd may have left something on the way.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/event_loop.h"
#include "base/log.h"
#include "cluster/keys.h"
#include "cluster/values.h"
#include "store/store.h"

namespace fleet {

class Publisher {
 public:
  // `on_acknowledged` runs for each acknowledge() with its outcome.
  using OnAcknowledged = std::function<void(const std::string& name, std::uint64_t id, Status)>;

  Publisher(EventLoop& loop, Store& store, Log& log, Keys keys, std::string machine_id,
            OnAcknowledged on_acknowledged);
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // The lease that states are published on; 0: none, and nothing is published. Before the first one
  // nothing at all is sent: the machine ID may be another machine's too, whose decisions these are
  // (Session registers only one of the two).
  void set_lease(LeaseId lease);

  // Publishes the newest state of a unit. What cannot be published for want of a lease is dropped:
  // with a new lease the agent tells everything again.
  void publish(const std::string& name, const StateRecord& state);

  // Removes the decision about a unit, if it is still the one of `revision` (0: there is none), and
  // its state. Of a decision that is gone already only the state is removed; one that has changed
  // stays, with the state.
  void acknowledge(const std::string& name, std::uint64_t id, Revision revision);

 private:
  struct Acknowledgement {
    std::uint64_t id = 0;
    Revision revision = 0;
  };

  void send_next();
  void send_fence();
  void send_batch();
  void send(std::map<std::string, StateRecord> states,
            std::map<std::string, Acknowledgement> acknowledgements);
  void answered(std::map<std::string, StateRecord> states,
                std::map<std::string, Acknowledgement> acknowledgements,
                const Result<TransactionResult>& result);
  Compare fence_not_written_since() const;
  // Tells of the acknowledgements that failed, and sends what is left after a while.
  void try_again(const std::map<std::string, Acknowledgement>& failed, const Error& error);

  EventLoop& loop_;
  Store& store_;
  Log& log_;
  Keys keys_;
  std::string machine_id_;
  std::string fence_;  // its key
  OnAcknowledged on_acknowledged_;
  LeaseId lease_ = 0;
  bool is_this_machine_ = false;  // there was a lease once
  std::map<std::string, StateRecord> states_;
  std::map<std::string, Acknowledgement> acknowledgements_;
  Revision known_ = 0;        // of the registry, from the store's last answer
  bool fence_wanted_ = true;  // before anything else is sent
  bool sending_ = false;
  bool one_by_one_ = false;  // a batch of acknowledgements was refused: find out which
  int failures_ = 0;
  EventLoop::TimerId timer_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace fleet
