#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include <systemd/sd-bus.h>
#include <systemd/sd-login.h>

#include "systemd/bus_connection.h"
#include "systemd/service.h"
#include "systemd/unit_properties.h"

namespace fleet {
namespace {

constexpr Duration kPause = std::chrono::milliseconds(100);

Result<std::string> own_unit(bool user) {
  char* raw = nullptr;
  const int found = user ? sd_pid_get_user_unit(0, &raw) : sd_pid_get_unit(0, &raw);
  const std::unique_ptr<char, decltype(&std::free)> name(raw, &std::free);
  if (found == -ENODATA) {
    return fail(ErrorCode::not_found, "systemd does not run this process: it is of no unit");
  }
  if (found < 0) {
    return fail(
        ErrorCode::unavailable,
        std::string("this process cannot find out which unit it is of: ") + std::strerror(-found));
  }
  return std::string(name.get());
}

bool starts_again(const std::string& job_type) {
  return job_type == "restart" || job_type == "try-restart" || job_type == "start";
}

// One question on its way. Keeps itself alive until it is answered.
class Question : public std::enable_shared_from_this<Question> {
 public:
  Question(FdLoop& loop, std::function<void(Result<bool>)> done)
      : loop_(loop), done_(std::move(done)) {}

  void ask(bool user, Duration patience) {
    self_ = shared_from_this();
    const Result<std::string> unit = own_unit(user);
    if (!unit) return answer(std::unexpected(unit.error()));
    timer_ = loop_.call_after(patience, [this] {
      timer_ = 0;
      answer(std::unexpected(last_error_));
    });
    bus_ = std::make_unique<BusConnection>(
        loop_, user, BusConnection::Handlers{[] {}, [] {}, [](sd_bus_message*) {}});
    unit_ = *unit;
    ask_job();
  }

 private:
  void ask_job() {
    auto read = [this](sd_bus_message* reply) {
      std::uint32_t id = 0;
      const char* path = nullptr;
      if (sd_bus_message_read(reply, "v", "(uo)", &id, &path) <= 0) return unreadable();
      if (id == 0) return answer(false);
      ask_type(path);
    };
    get(unit_object_path(unit_), "org.freedesktop.systemd1.Unit", "Job", std::move(read));
  }

  void ask_type(const std::string& job) {
    auto read = [this](sd_bus_message* reply) {
      const char* type = nullptr;
      if (sd_bus_message_read(reply, "v", "s", &type) <= 0) return unreadable();
      answer(starts_again(type));
    };
    get(job, "org.freedesktop.systemd1.Job", "JobType", std::move(read));
  }

  void get(const std::string& path, const char* interface, const char* name,
           std::function<void(sd_bus_message*)> read) {
    const auto arguments = [interface, name](sd_bus_message* message) {
      return sd_bus_message_append(message, "ss", interface, name);
    };
    auto on_reply = [this, read = std::move(read)](const Result<sd_bus_message*>& reply) {
      if (!reply) return ask_again(reply.error());
      read(*reply);
    };
    if (!bus_->call(path, "org.freedesktop.DBus.Properties", "Get", arguments, on_reply)) {
      ask_again({ErrorCode::unavailable, "no connection to systemd"});
    }
  }

  // The connection may come back, and a job may have been replaced between the two questions.
  void ask_again(Error error) {
    last_error_ = std::move(error);
    loop_.call_after(kPause, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self != nullptr && !self->answered_) self->ask_job();
    });
  }

  void unreadable() { answer(fail(ErrorCode::failed, "systemd's answer cannot be read")); }

  // Ends this in a turn of the loop of its own: the connection may be in the middle of its work.
  void answer(Result<bool> answer) {
    if (answered_) return;
    answered_ = true;
    loop_.cancel(std::exchange(timer_, 0));
    loop_.post([self = shared_from_this(), answer = std::move(answer)] {
      self->bus_.reset();
      self->self_.reset();
      self->done_(answer);
    });
  }

  FdLoop& loop_;
  std::function<void(Result<bool>)> done_;
  std::shared_ptr<Question> self_;
  std::string unit_;
  Error last_error_{ErrorCode::unavailable, "systemd did not answer in time"};
  EventLoop::TimerId timer_ = 0;
  bool answered_ = false;
  std::unique_ptr<BusConnection> bus_;
};

}  // namespace

void restart_pending(FdLoop& loop, bool user, Duration patience,
                     std::function<void(Result<bool>)> done) {
  std::make_shared<Question>(loop, std::move(done))->ask(user, patience);
}

}  // namespace fleet
