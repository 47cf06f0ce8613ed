#include "systemd/unit_jobs.h"

#include <utility>

#include <systemd/sd-bus.h>

#include "systemd/job_result.h"
#include "systemd/unit_query.h"
#include "unit/unit_name.h"

namespace fleet {
namespace {

constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManagerInterface = "org.freedesktop.systemd1.Manager";

const char* word_of(UnitJobs::Verb verb) {
  switch (verb) {
    case UnitJobs::Verb::start:
      return "start";
    case UnitJobs::Verb::stop:
      return "stop";
    case UnitJobs::Verb::restart:
      return "restart";
  }
  return "";
}

const char* method_of(UnitJobs::Verb verb) {
  switch (verb) {
    case UnitJobs::Verb::start:
      return "StartUnit";
    case UnitJobs::Verb::stop:
      return "StopUnit";
    case UnitJobs::Verb::restart:
      return "RestartUnit";
  }
  return "";
}

Error no_connection() {
  return {ErrorCode::unavailable, "no connection to systemd"};
}

}  // namespace

void UnitJobs::run(Verb verb, const std::string& name, UnitManager::Done done) {
  Request request{verb, name, next_number_++, std::move(done)};
  Latest& latest = latest_[name];
  latest.verb = verb;
  latest.number = request.number;
  ++latest.open;
  unanswered_.insert(name);
  const auto arguments = [&name](sd_bus_message* message) {
    return sd_bus_message_append(message, "ss", name.c_str(), "replace");
  };
  auto on_reply = [this, request](const Result<sd_bus_message*>& reply) {
    unanswered_.erase(unanswered_.find(request.name));
    const char* path = nullptr;
    if (!reply) {
      on_refused(request, reply.error());
    } else if (sd_bus_message_read(*reply, "o", &path) <= 0) {
      on_refused(request, {ErrorCode::failed, "systemd's answer names no job"});
    } else {
      on_queued(request, path);
    }
    if (unanswered_.empty()) early_.clear();
  };
  if (!bus_.call(kManagerPath, kManagerInterface, method_of(verb), arguments, on_reply)) {
    unanswered_.erase(unanswered_.find(name));
    finish(request, std::unexpected(no_connection()));
  }
}

void UnitJobs::on_queued(Request request, const std::string& job_path) {
  const auto early = early_.find(job_path);
  if (early != early_.end()) {
    on_ended(request, early->second);
  } else {
    waiting_[job_path].push_back(std::move(request));
  }
}

void UnitJobs::on_refused(const Request& request, const Error& error) {
  // What systemd does not know does not run, nor does what it could not know.
  const bool runs_never = error.code == ErrorCode::not_found || !systemd_can_have(request.name);
  if (request.verb == Verb::stop && runs_never && error.code != ErrorCode::unavailable) {
    finish(request, {});
    return;
  }
  const std::string context = std::string(word_of(request.verb)) + " " + request.name;
  Error refusal = with_context(error, context);
  if (refusal.code == ErrorCode::not_found) refusal.code = ErrorCode::failed;
  // What systemd answers to a start can be less than what it knows of the file.
  if (refusal.code != ErrorCode::failed) return finish(request, std::unexpected(refusal));
  ask_load_error(bus_, request.name, [this, request, refusal](const Result<std::string>& why) {
    Error full = refusal;
    if (why && !why->empty() && !full.message.contains(*why)) full.message += " (" + *why + ")";
    finish(request, std::unexpected(full));
  });
}

void UnitJobs::on_job_removed(const std::string& job_path, const std::string& result) {
  if (!unanswered_.empty()) early_[job_path] = result;
  auto waiting = waiting_.extract(job_path);
  if (waiting.empty()) return;
  for (const Request& request : waiting.mapped()) on_ended(request, result);
}

void UnitJobs::on_ended(const Request& request, const std::string& result) {
  JobEnd end;
  end.verb = word_of(request.verb);
  end.unit = request.name;
  end.result = result;
  const Latest& latest = latest_[request.name];
  if (latest.number > request.number && latest.verb != request.verb) {
    end.replaced_by = word_of(latest.verb);
  }
  const Status status = job_status(end);
  if (status || result == "canceled") return finish(request, status);
  explain_unit(bus_, request.name, [this, request, end](const std::string& state) {
    JobEnd explained = end;
    explained.unit_state = state;
    finish(request, job_status(explained));
  });
}

void UnitJobs::on_down() {
  auto waiting = std::exchange(waiting_, {});
  early_.clear();
  const Error error{ErrorCode::unavailable,
                    "the connection to systemd broke; how the job ended is not known"};
  for (auto& [path, requests] : waiting) {
    for (const Request& request : requests) finish(request, std::unexpected(error));
  }
}

void UnitJobs::finish(const Request& request, const Status& status) {
  const auto latest = latest_.find(request.name);
  if (latest != latest_.end() && --latest->second.open == 0) latest_.erase(latest);
  request.done(status);
}

}  // namespace fleet
