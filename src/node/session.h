// Session: this machine's presence in the cluster. It holds a lease, the record machine/<id> on it,
// and knows whether the store can be heard.
//
// It watches over its record: one that somebody else removes or overwrites is written again, so
// that nobody takes this machine for lost.
//
// A record of an earlier fleetd of this same boot is taken over at once. One of another boot means
// either this machine's earlier life, which runs out with its lease, or a second machine with the
// same machine ID, which must not be pushed aside: the session waits and says so.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/event_loop.h"
#include "base/log.h"
#include "cluster/keys.h"
#include "cluster/values.h"
#include "node/feed.h"
#include "store/store.h"

namespace fleet {

struct SessionCallbacks {
  // Registered on `lease`; `new_lease` is false if it merely was out of contact meanwhile.
  std::function<void(LeaseId lease, bool new_lease)> on_registered;
  // Out of contact, or the lease is lost: the cluster may come to think that this machine is gone.
  std::function<void()> on_unregistered;
  // The store has not been heard for two thirds of the TTL, or is heard again.
  std::function<void(bool in_contact)> on_contact;
};

class Session {
 public:
  Session(EventLoop& loop, Store& store, Log& log, Keys keys, std::chrono::seconds ttl,
          MachineRecord record, SessionCallbacks callbacks);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void start();

  // Changes what the cluster is told about this machine.
  void describe(const std::string& public_ip, const std::map<std::string, std::string>& metadata);

  // Marks the machine as leaving, so that nothing new is given to it. `done` runs with the result;
  // an error if the store could not be told.
  void announce_leaving(std::function<void(Status)> done);

  // Gives the lease up: the machine, its states and its leadership vanish at once.
  void close(std::function<void()> done);

  bool is_registered() const { return registered_ && in_contact_; }
  bool is_in_contact() const { return in_contact_; }
  LeaseId lease() const { return lease_; }

 private:
  void begin();
  void publish();
  void put_record(Revision expected);
  void published(Revision mod_revision);
  void announce();
  void record_seen(Revision revision);
  void answer_leaving(const Status& result);
  void renewed();
  void lost(const Error& error);
  void retry(const std::string& what, const Error& error);
  void watch_contact();
  void set_contact(bool in_contact);
  void log(LogLevel level, std::string text);

  EventLoop& loop_;
  Store& store_;
  Log& log_;
  Keys keys_;
  std::chrono::seconds ttl_;
  MachineRecord record_;
  SessionCallbacks callbacks_;

  LeaseId lease_ = 0;
  bool registered_ = false;
  bool announced_ = false;        // on_registered has been told of this lease
  bool publishing_ = false;       // the record is being read or written
  bool changed_ = false;          // record_ has changed since that began
  Revision record_revision_ = 0;  // of our own last write of it
  Revision seen_revision_ = 0;    // of the newest change of it that the watch has told
  std::function<void(Status)> on_leaving_told_;
  bool in_contact_ = false;
  bool closed_ = false;
  int failures_ = 0;
  std::string last_said_;
  Time last_heard_;
  EventLoop::TimerId retry_timer_ = 0;
  EventLoop::TimerId contact_timer_ = 0;
  Feed record_feed_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace fleet
