// Starting and stopping units over D-Bus: calls whose outcome is the end of a systemd job.
// Private to this folder.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "systemd/bus_connection.h"
#include "systemd/unit_manager.h"

namespace fleet {

class UnitJobs {
 public:
  enum class Verb { start, stop, restart };

  explicit UnitJobs(BusConnection& bus) : bus_(bus) {}

  // `done` may run within the call.
  void run(Verb verb, const std::string& name, UnitManager::Done done);

  // Whether systemd has not yet said which job it made of a request for the unit: polkit may take
  // its time, and calls wait for each other.
  bool is_asked(const std::string& name) const { return unanswered_.contains(name); }

  // The signal JobRemoved.
  void on_job_removed(const std::string& job_path, const std::string& result);

  // The connection broke: no job's end will be heard of.
  void on_down();

 private:
  struct Request {
    Verb verb = Verb::start;
    std::string name;
    std::uint64_t number = 0;
    UnitManager::Done done;
  };

  // The latest of the open requests for a unit, to tell who replaced whose job.
  struct Latest {
    Verb verb = Verb::start;
    std::uint64_t number = 0;
    unsigned open = 0;
  };

  void on_queued(Request request, const std::string& job_path);
  void on_refused(const Request& request, const Error& error);
  void on_ended(const Request& request, const std::string& result);
  void finish(const Request& request, const Status& status);

  BusConnection& bus_;
  std::uint64_t next_number_ = 1;
  std::multiset<std::string> unanswered_;     // units of calls that have not been told their job
  std::map<std::string, std::string> early_;  // results of jobs that ended while there were such
  std::map<std::string, std::vector<Request>> waiting_;  // by job; systemd merges equal jobs
  std::map<std::string, Latest> latest_;
};

}  // namespace fleet
