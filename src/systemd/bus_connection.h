// A connection to the D-Bus on which systemd is, driven by an FdLoop. Knows nothing of units.
//
// While the connection is broken every call fails at once; it is made again by itself, with growing
// pauses. Private to this folder: the sd-bus types are only named here, their header stays in .cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/event_loop.h"

struct sd_bus;
struct sd_bus_message;
struct sd_bus_slot;

namespace fleet {

struct BusCloser {
  void operator()(sd_bus* bus) const;
};
struct BusSlotReleaser {
  void operator()(sd_bus_slot* slot) const;
};
struct BusMessageReleaser {
  void operator()(sd_bus_message* message) const;
};
using Bus = std::unique_ptr<sd_bus, BusCloser>;
using BusSlot = std::unique_ptr<sd_bus_slot, BusSlotReleaser>;
using BusMessage = std::unique_ptr<sd_bus_message, BusMessageReleaser>;

class BusConnection {
 public:
  // The reply lives as long as the call of the handler.
  using Reply = std::function<void(Result<sd_bus_message*>)>;
  // Appends the arguments; returns negative as sd_bus_message_append does.
  using Arguments = std::function<int(sd_bus_message*)>;

  struct Handlers {
    std::function<void()> up;                     // connected, and systemd sends its signals
    std::function<void()> down;                   // no longer so; every open call has failed
    std::function<void(sd_bus_message*)> signal;  // of systemd's manager, its units and properties
  };

  // Connects at once, without blocking. `user`: the bus of the user's systemd.
  // All handlers and replies run on the loop, from its own turn, and none of them may destroy this.
  BusConnection(FdLoop& loop, bool user, Handlers handlers);
  ~BusConnection();
  BusConnection(const BusConnection&) = delete;
  BusConnection& operator=(const BusConnection&) = delete;

  // Whether calls are possible: connected, or still on the way to be so for the first time.

  // Calls a method of systemd. Not too many calls are on their way at a time: the others follow in
  // their order, those that can wait last. False when there is no connection: then `reply` is not
  // called.
  enum class Urgency { now, can_wait };
  bool call(const std::string& path, const char* interface, const char* member,
            const Arguments& arguments, Reply reply, Urgency urgency = Urgency::now);

 private:
  struct Call;

  void open();
  bool open_bus();
  bool subscribe();
  bool send(Call& call);
  void send_queued();
  bool match(const std::string& rule);
  void process();
  void schedule();
  void watch();
  void close(bool tell);
  void retry_later();
  static int on_reply(sd_bus_message* message, void* userdata, void*);
  static int on_signal(sd_bus_message* message, void* userdata, void*);
  static int on_matched(sd_bus_message* message, void* userdata, void*);

  FdLoop& loop_;
  const bool user_;
  Handlers handlers_;
  Bus bus_;
  std::vector<BusSlot> matches_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Call>> calls_;
  std::deque<std::uint64_t> urgent_;   // calls not yet sent
  std::deque<std::uint64_t> waiting_;  // those that can wait
  std::size_t open_calls_ = 0;         // sent and not yet answered
  std::uint64_t next_call_ = 1;
  int fd_ = -1;  // our own duplicate: sd-bus closes its descriptor before it can be unwatched
  FdLoop::FdWatchId watch_ = 0;
  EventLoop::TimerId timer_ = 0;
  EventLoop::TimerId retry_timer_ = 0;
  Duration retry_pause_{};
  bool processing_ = false;
  bool lost_ = false;  // found out within sd-bus, acted upon once it has returned
};

// What a failed method call's reply means: not_found where systemd does not know the unit, else
// denied, unavailable or failed.
Error error_of(sd_bus_message* reply);

}  // namespace fleet
