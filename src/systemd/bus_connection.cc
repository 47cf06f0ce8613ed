#include "systemd/bus_connection.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

namespace fleet {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kSystemd = "org.freedesktop.systemd1";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManagerInterface = "org.freedesktop.systemd1.Manager";
// systemd answers no call while it reloads, which with thousands of units takes its time. A call
// without an answer for so long will get none.
constexpr std::uint64_t kCallTimeoutUsec = 120'000'000;
constexpr Duration kFirstRetry = milliseconds(100);
constexpr Duration kLastRetry = seconds(10);
// dbus-daemon refuses a connection's 129th call that waits for its answer
// (max_replies_per_connection).
constexpr std::size_t kOpenCalls = 64;
// Messages handled before other work of the loop gets its turn.
constexpr int kMessagesPerTurn = 64;

bool is_any_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

// Where systemd listens itself, as `systemctl` knows it; empty if not for us.
std::string private_address(bool user) {
  if (!user) return geteuid() == 0 ? "unix:path=/run/systemd/private" : "";
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime == nullptr || *runtime == '\0') return "";
  return std::string("unix:path=") + runtime + "/systemd/private";
}

}  // namespace

struct BusConnection::Call {
  BusConnection* connection = nullptr;
  std::uint64_t id = 0;
  Reply reply;
  BusMessage message;  // until it is sent
  BusSlot slot;        // from then on
};

void BusCloser::operator()(sd_bus* bus) const {
  sd_bus_close_unref(bus);
}
void BusSlotReleaser::operator()(sd_bus_slot* slot) const {
  sd_bus_slot_unref(slot);
}
void BusMessageReleaser::operator()(sd_bus_message* message) const {
  sd_bus_message_unref(message);
}

Error error_of(sd_bus_message* reply) {
  const sd_bus_error* error = sd_bus_message_get_error(reply);
  const std::string_view name = error != nullptr && error->name != nullptr ? error->name : "";
  std::string text = error != nullptr && error->message != nullptr ? error->message : "";
  if (text.empty()) text = name;
  if (is_any_of(name, {SD_BUS_ERROR_ACCESS_DENIED, SD_BUS_ERROR_AUTH_FAILED,
                       SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED})) {
    const char* next = geteuid() == 0 ? "" : "; polkit decides about that: systemctl status polkit";
    return {ErrorCode::denied, "systemd: " + text + next};
  }
  if (is_any_of(name, {SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT, SD_BUS_ERROR_DISCONNECTED,
                       SD_BUS_ERROR_NO_SERVER, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                       SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NO_NETWORK})) {
    return {ErrorCode::unavailable, "no answer from systemd: " + text};
  }
  const bool unknown = name == "org.freedesktop.systemd1.NoSuchUnit";
  return {unknown ? ErrorCode::not_found : ErrorCode::failed, "systemd: " + text};
}

BusConnection::BusConnection(FdLoop& loop, bool user, Handlers handlers)
    : loop_(loop), user_(user), handlers_(std::move(handlers)), retry_pause_(kFirstRetry) {
  open();
}

BusConnection::~BusConnection() {
  loop_.cancel(retry_timer_);
  close(/*tell=*/false);
}

void BusConnection::open() {
  lost_ = false;
  if (!open_bus() || !subscribe()) {
    close(/*tell=*/false);
    retry_later();
    return;
  }
  watch();
  schedule();
}

bool BusConnection::open_bus() {
  sd_bus* raw = nullptr;
  int result = user_ ? sd_bus_open_user(&raw) : sd_bus_open_system(&raw);
  bus_.reset(raw);
  const std::string address = private_address(user_);
  if (result < 0 && !address.empty()) {
    // Early or late in a machine's life systemd is there without a bus: its own user may ask it
    // directly.
    bus_.reset();
    raw = nullptr;
    result = sd_bus_new(&raw);
    bus_.reset(raw);
    if (result >= 0) result = sd_bus_set_address(raw, address.c_str());
    if (result >= 0) result = sd_bus_start(raw);
  }
  return result >= 0;
}

// Asks for the signals before any job can be queued, so that no job's end can be missed. All of
// this is on the wire before the first call of anyone else, and the bus keeps the order.
bool BusConnection::subscribe() {
  const bool bus_client = sd_bus_is_bus_client(bus_.get()) > 0;
  const std::string sender = bus_client ? std::string(",sender='") + kSystemd + "'" : "";
  bool good = match("type='signal',interface='org.freedesktop.systemd1.Manager'" + sender);
  // What is of a unit's type alone (interface Service and so on) is about half of it, and of no
  // use.
  good = good && match(
                     "type='signal',interface='org.freedesktop.DBus.Properties',"
                     "member='PropertiesChanged',arg0='org.freedesktop.systemd1.Unit',"
                     "path_namespace='/org/freedesktop/systemd1/unit'" +
                     sender);
  if (bus_client) {
    good = good && match(
                       "type='signal',sender='org.freedesktop.DBus',"
                       "interface='org.freedesktop.DBus',member='NameOwnerChanged',"
                       "arg0='org.freedesktop.systemd1'");
  }
  return good && call(kManagerPath, kManagerInterface, "Subscribe", nullptr,
                      [this](const Result<sd_bus_message*>& reply) {
                        // Not knowing how jobs end is no state to work in.
                        if (!reply) {
                          lost_ = true;
                          return;
                        }
                        retry_pause_ = kFirstRetry;
                        handlers_.up();
                      });
}

bool BusConnection::match(const std::string& rule) {
  sd_bus_slot* slot = nullptr;
  const int result = sd_bus_add_match_async(
      bus_.get(), &slot, rule.c_str(),
      [](sd_bus_message* message, void* userdata, sd_bus_error*) {
        return on_signal(message, userdata, nullptr);
      },
      [](sd_bus_message* message, void* userdata, sd_bus_error*) {
        return on_matched(message, userdata, nullptr);
      },
      this);
  if (result < 0) return false;
  matches_.emplace_back(slot);
  return true;
}

bool BusConnection::call(const std::string& path, const char* interface, const char* member,
                         const Arguments& arguments, Reply reply, Urgency urgency) {
  if (bus_ == nullptr) return false;
  sd_bus_message* raw = nullptr;
  int result =
      sd_bus_message_new_method_call(bus_.get(), &raw, kSystemd, path.c_str(), interface, member);
  BusMessage message(raw);
  if (result >= 0 && arguments) result = arguments(raw);
  auto call = std::make_unique<Call>();
  call->connection = this;
  call->id = next_call_++;
  call->reply = std::move(reply);
  call->message = std::move(message);
  if (result >= 0) {
    if (open_calls_ >= kOpenCalls) {
      (urgency == Urgency::now ? urgent_ : waiting_).push_back(call->id);
    } else if (!send(*call)) {
      result = -ENOTCONN;
    }
  }
  if (result >= 0) calls_.emplace(call->id, std::move(call));
  schedule();  // where it failed the bus may be breaking: process() is about to find out
  return result >= 0;
}

bool BusConnection::send(Call& call) {
  sd_bus_slot* slot = nullptr;
  const int result = sd_bus_call_async(
      bus_.get(), &slot, call.message.get(),
      [](sd_bus_message* answer, void* userdata, sd_bus_error*) {
        return on_reply(answer, userdata, nullptr);
      },
      &call, kCallTimeoutUsec);
  if (result < 0) return false;
  call.slot.reset(slot);
  call.message.reset();
  ++open_calls_;
  return true;
}

void BusConnection::send_queued() {
  while (open_calls_ < kOpenCalls) {
    std::deque<std::uint64_t>& queue = urgent_.empty() ? waiting_ : urgent_;
    if (queue.empty()) return;
    if (!send(*calls_.at(queue.front()))) {
      lost_ = true;  // which ends this call and all others
      return;
    }
    queue.pop_front();
  }
}

int BusConnection::on_reply(sd_bus_message* message, void* userdata, void*) {
  BusConnection* self = static_cast<Call*>(userdata)->connection;
  const auto call = self->calls_.extract(static_cast<Call*>(userdata)->id);
  if (call.empty()) return 0;
  --self->open_calls_;
  if (sd_bus_message_is_method_error(message, nullptr) > 0) {
    call.mapped()->reply(std::unexpected(error_of(message)));
  } else {
    call.mapped()->reply(message);
  }
  self->send_queued();
  return 0;
}

int BusConnection::on_signal(sd_bus_message* message, void* userdata, void*) {
  auto* self = static_cast<BusConnection*>(userdata);
  if (sd_bus_message_is_signal(message, "org.freedesktop.DBus", "NameOwnerChanged") > 0) {
    // systemd left the bus (it executes itself anew, or the bus does): signals and answers of
    // before are lost, and it no longer knows us.
    const char* name = nullptr;
    const char* old_owner = nullptr;
    if (sd_bus_message_read(message, "ss", &name, &old_owner) >= 0 && *old_owner != '\0') {
      self->lost_ = true;
    }
    return 0;
  }
  self->handlers_.signal(message);
  return 0;
}

int BusConnection::on_matched(sd_bus_message* message, void* userdata, void*) {
  if (sd_bus_message_is_method_error(message, nullptr) > 0) {
    static_cast<BusConnection*>(userdata)->lost_ = true;
  }
  return 0;
}

void BusConnection::process() {
  bool broken = false;
  processing_ = true;
  for (int count = 0; count < kMessagesPerTurn && !lost_; ++count) {
    const int result = sd_bus_process(bus_.get(), nullptr);
    broken = result < 0 || sd_bus_is_open(bus_.get()) <= 0;
    if (result <= 0 || broken) break;
  }
  processing_ = false;
  if (broken || lost_) {
    close(/*tell=*/true);
    retry_later();
    return;
  }
  schedule();
}

// Has the loop wait for what sd-bus now waits for.
void BusConnection::schedule() {
  if (watch_ == 0 || processing_) return;  // still opening, or it will be asked at the end
  const int events = sd_bus_get_events(bus_.get());
  loop_.change_fd_events(watch_, static_cast<short>(std::max(events, 0)));
  loop_.cancel(std::exchange(timer_, 0));
  std::uint64_t when = 0;
  const int result = sd_bus_get_timeout(bus_.get(), &when);
  if (events >= 0 && (result < 0 || when == UINT64_MAX)) return;
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const std::uint64_t now_usec = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
                                 static_cast<std::uint64_t>(now.tv_nsec) / 1'000;
  // An error is for process() to find, soon.
  const std::uint64_t left = events < 0 || when <= now_usec ? 0 : when - now_usec;
  timer_ = loop_.call_after(microseconds(left), [this] {
    timer_ = 0;
    process();
  });
}

void BusConnection::watch() {
  fd_ = fcntl(sd_bus_get_fd(bus_.get()), F_DUPFD_CLOEXEC, 0);
  if (fd_ >= 0) watch_ = loop_.watch_fd(fd_, POLLIN, [this](short) { process(); });
  if (watch_ != 0) return;
  lost_ = true;  // the first turn ends this connection
  timer_ = loop_.call_after(Duration::zero(), [this] {
    timer_ = 0;
    process();
  });
}

void BusConnection::close(bool tell) {
  loop_.cancel(std::exchange(timer_, 0));
  loop_.unwatch_fd(std::exchange(watch_, 0));
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  auto calls = std::exchange(calls_, {});
  for (auto& [id, call] : calls) {
    call->slot.reset();
    call->message.reset();
  }
  urgent_.clear();
  waiting_.clear();
  open_calls_ = 0;
  matches_.clear();
  bus_.reset();
  if (!tell) return;
  std::vector<std::unique_ptr<Call>> ordered;
  ordered.reserve(calls.size());
  for (auto& [id, call] : calls) ordered.push_back(std::move(call));
  std::ranges::sort(ordered, {}, [](const auto& call) { return call->id; });
  const Error error{ErrorCode::unavailable,
                    "the connection to systemd broke; whether it acted is not known"};
  for (const auto& call : ordered) call->reply(std::unexpected(error));
  handlers_.down();
}

void BusConnection::retry_later() {
  loop_.cancel(retry_timer_);
  retry_timer_ = loop_.call_after(retry_pause_, [this] {
    retry_timer_ = 0;
    open();
  });
  retry_pause_ = std::min(retry_pause_ * 2, kLastRetry);
}

}  // namespace fleet
