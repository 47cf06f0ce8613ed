#include "systemd/sdbus_unit_manager.h"

#include <cstdlib>
#include <map>
#include <memory>
#include <sstream>
#include <utility>

#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "systemd/bus_connection.h"
#include "systemd/unit_directory.h"
#include "systemd/unit_jobs.h"
#include "systemd/unit_observer.h"
#include "systemd/unit_properties.h"
#include "systemd/unit_query.h"
#include "unit/unit_file.h"
#include "unit/unit_name.h"

namespace fleet {
namespace {

constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManagerInterface = "org.freedesktop.systemd1.Manager";

Error no_connection() {
  return {ErrorCode::unavailable, "no connection to systemd"};
}

// The port's callers tell a missing unit by its load state, not by an error.
Error public_error(Error error) {
  if (error.code == ErrorCode::not_found) error.code = ErrorCode::failed;
  return error;
}

std::string boot_id() {
  sd_id128_t id{};
  char text[SD_ID128_STRING_MAX];
  if (sd_id128_get_boot(&id) < 0) return "unknown";
  return sd_id128_to_string(id, text);
}

// Where systemd looks for unit files that do not outlive the boot.
std::string links_directory(const SdbusUnitManager::Options& options) {
  if (!options.links_directory.empty()) return options.links_directory;
  if (!options.user) return "/run/systemd/system";
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  const std::string base =
      runtime != nullptr && *runtime != '\0' ? runtime : "/run/user/" + std::to_string(getuid());
  return base + "/systemd/user";
}

// systemd.unit(5), "Unit File Load Path": what comes before /run/systemd/system.
std::vector<std::string> directories_before_links(const SdbusUnitManager::Options& options) {
  if (options.user) return {"/etc/systemd/user"};
  return {"/etc/systemd/system.control", "/run/systemd/system.control",
          "/run/systemd/transient",      "/run/systemd/generator.early",
          "/etc/systemd/system",         "/etc/systemd/system.attached"};
}

// Only files with such a section can have been enabled.
bool has_install_section(const std::string& text) {
  return text.contains("[Install]");
}

// The units that Also= of the file names.
std::vector<std::string> named_by_also(const std::string& text) {
  std::vector<std::string> names;
  const auto file = parse_unit_file(text);
  if (!file) return names;
  for (const std::string& value : file->values("Install", "Also")) {
    std::istringstream words(value);
    for (std::string name; words >> name;) {
      if (check_unit_name(name)) names.push_back(std::move(name));  // no path, no specifier
    }
  }
  return names;
}

}  // namespace

class SdbusUnitManager::Impl {
 public:
  Impl(FdLoop& loop, const Options& options)
      : loop_(loop),
        files_(options.units_directory, links_directory(options), directories_before_links(options),
               boot_id()),
        bus_(loop, options.user, handlers()),
        jobs_(bus_),
        observer_(
            bus_, [this](std::function<void()> action) { post(std::move(action)); },
            [this](const std::string& name, const UnitStatus& status) { report(name, status); }) {}

  void list(Callback<std::vector<LocalUnit>> done) { later(std::move(done))(files_.list()); }

  void write(const std::string& name, std::string text, bool enable, Done user_done) {
    Done done = later(std::move(user_done));
    if (Status valid = check_unit_name(name); !valid) return done(valid);
    const Result<std::string> old_text = files_.read(name);
    auto place = [this, name, old = old_text.value_or(""), text = std::move(text), enable,
                  done](const Status& disabled) {
      if (!disabled) return done(disabled);
      const Status written = files_.write(name, text);
      observer_.file_changed(name);
      if (!written) return done(written);
      when_noticeable([this, name, old, enable, done] {
        enable_others(name, old, [this, name, enable, done](const Status& enabled) {
          enabled&& enable ? enable_unit(name, done) : done(enabled);
        });
      });
    };
    // Links that the old file asked for are not those of the new one.
    if (old_text && has_install_section(*old_text)) {
      disable_unit(name, place);
    } else {
      place({});
    }
  }

  void remove(const std::string& name, Done user_done) {
    Done done = later(std::move(user_done));
    if (Status valid = check_unit_name(name); !valid) return done(valid);
    const Result<std::string> text = files_.read(name);
    auto forget = [this, name, old = text.value_or(""), done](const Status& disabled) {
      if (!disabled) return done(disabled);
      if (Status removed = files_.remove(name); !removed) return done(removed);
      observer_.file_changed(name);
      when_noticeable([this, name, old, done] {
        enable_others(name, old, [this, name, done](const Status& enabled) {
          enabled ? reset_failed(name, done) : done(enabled);
        });
      });
    };
    const bool can_be_enabled = text ? has_install_section(*text) : files_.has_traces(name);
    if (can_be_enabled) {
      disable_unit(name, forget);
    } else {
      forget({});
    }
  }

  // A call that comes while systemd reloads may be about a file that systemd has just passed: it
  // wants a reload after that one, and all such calls together want one.
  void reload(Done user_done) {
    reloads_due_.push_back(later(std::move(user_done)));
    if (!reloading_) start_reload();
  }

  void run_job(UnitJobs::Verb verb, const std::string& name, Done user_done) {
    Done done = later(std::move(user_done));
    if (Status valid = check_unit_name(name); !valid) return done(valid);
    jobs_.run(verb, name, std::move(done));
  }

  void query(const std::string& name, Callback<UnitStatus> user_done) {
    Callback<UnitStatus> done = later(std::move(user_done));
    if (Status valid = check_unit_name(name); !valid) return done(std::unexpected(valid.error()));
    done = [this, name, answer = std::move(done)](Result<UnitStatus> status) {
      if (status && jobs_.is_asked(name)) status->job_pending = true;
      if (status) find_other_file(name, *status);
      answer(std::move(status));
    };
    if (observer_.observes(name)) return observer_.query(name, std::move(done));
    std::erase_if(queries_, [](const auto& asked) { return asked.second.expired(); });
    queries_.emplace(unit_object_path(name),
                     UnitQuery::ask(bus_, name, BusConnection::Urgency::now, std::move(done)));
  }

  void observe(const std::string& name) { observer_.observe(name); }
  void ignore(const std::string& name) {
    observer_.ignore(name);
    other_files_.erase(name);
  }
  void set_listener(Listener listener) { listener_ = std::move(listener); }

  void set_note(const std::string& name, const std::string& note, Done user_done) {
    Done done = later(std::move(user_done));
    if (Status valid = check_unit_name(name); !valid) return done(valid);
    done(files_.set_note(name, note));
  }

 private:
  BusConnection::Handlers handlers() {
    return {
        .up = [this] { observer_.on_up(); },
        .down = [this] { jobs_.on_down(); },
        .signal = [this](sd_bus_message* message) { on_signal(message); },
    };
  }

  // The callback, run from a turn of the loop of its own, and not at all once this is gone: it may
  // do what it likes, destroy this included.
  template <class T>
  std::function<void(Result<T>)> later(std::function<void(Result<T>)> done) {
    return [this, done = std::move(done)](Result<T> result) {
      loop_.post([alive = std::weak_ptr<bool>(alive_), done, result = std::move(result)] {
        if (!alive.expired()) done(result);
      });
    };
  }

  void post(std::function<void()> action) {
    loop_.post([alive = std::weak_ptr<bool>(alive_), action = std::move(action)] {
      if (!alive.expired()) action();
    });
  }

  // A unit that is started before systemd can notice its file is one that systemd does not know.
  void when_noticeable(std::function<void()> action) {
    if (files_.noticeable()) return action();
    loop_.call_after(std::chrono::milliseconds(1),
                     [this, alive = std::weak_ptr<bool>(alive_), action = std::move(action)] {
                       if (!alive.expired()) when_noticeable(action);
                     });
  }

  // What systemd has read, or will, is fleet's own file mostly.
  void find_other_file(const std::string& name, UnitStatus& status) const {
    const bool matters = status.load_state == "loaded" || status.active_state != "inactive";
    status.other_file = matters ? files_.other_file(name, status.other_file) : "";
  }

  void report(const std::string& name, UnitStatus status) {
    find_other_file(name, status);
    if (status.other_file.empty()) {
      other_files_.erase(name);
    } else {
      other_files_[name] = status.other_file;
    }
    post([this, name, status = std::move(status)] {
      if (!observer_.observes(name) || !listener_) return;
      const Listener listener = listener_;  // it may replace itself
      listener(name, status);
    });
  }

  // An idle unit is not asked about again without a cause, and that a file before fleet's own is
  // gone is one. Of that alone there is no signal.
  void look_for_other_files() {
    std::erase_if(other_files_, [this](const auto& other) {
      const bool gone = access(other.second.c_str(), F_OK) != 0;
      if (gone) observer_.observe(other.first);
      return gone;
    });
  }

  bool call_manager(const char* member, const BusConnection::Arguments& arguments,
                    BusConnection::Reply reply) {
    return bus_.call(kManagerPath, kManagerInterface, member, arguments, std::move(reply));
  }

  void enable_unit(const std::string& name, const Done& done) {
    const std::string path = files_.unit_path(name);
    const auto arguments = [&path](sd_bus_message* message) {
      return sd_bus_message_append(message, "asbb", 1, path.c_str(), /*runtime=*/1, /*force=*/1);
    };
    const bool asked = call_manager(
        "EnableUnitFiles", arguments, [name, done](const Result<sd_bus_message*>& reply) {
          if (reply) return done({});
          done(std::unexpected(with_context(public_error(reply.error()), "enable " + name)));
        });
    if (!asked) done(std::unexpected(no_connection()));
  }

  // Success also where there is nothing to disable.
  void disable_unit(const std::string& name, const Done& done) {
    const auto arguments = [&name](sd_bus_message* message) {
      return sd_bus_message_append(message, "asb", 1, name.c_str(), /*runtime=*/1);
    };
    // systemd takes away the links of the unit, and of what its Also= names: those may be fleet's
    // too, and stay.
    auto on_disabled = [this, done](Status disabled) {
      if (disabled) disabled = files_.put_links_back();
      done(disabled);
    };
    tidy_up("DisableUnitFiles", arguments, "disable " + name, on_disabled);
  }

  // Disabling the unit has taken the links of those too that Also= of its file, `text`, names.
  void enable_others(const std::string& name, const std::string& text, const Done& done) {
    std::vector<std::string> paths;
    for (const std::string& other : named_by_also(text)) {
      const Result<std::string> file = files_.read(other);
      if (other != name && file && has_install_section(*file)) {
        paths.push_back(files_.unit_path(other));
      }
    }
    if (paths.empty()) return done({});
    const auto arguments = [&paths](sd_bus_message* message) {
      std::vector<char*> strings;
      strings.reserve(paths.size() + 1);
      for (std::string& path : paths) strings.push_back(path.data());
      strings.push_back(nullptr);
      const int appended = sd_bus_message_append_strv(message, strings.data());
      return appended < 0 ? appended
                          : sd_bus_message_append(message, "bb", /*runtime=*/1, /*force=*/1);
    };
    tidy_up("EnableUnitFiles", arguments, "enable what " + name + " was installed with", done);
  }

  void reset_failed(const std::string& name, const Done& done) {
    const auto arguments = [&name](sd_bus_message* message) {
      return sd_bus_message_append(message, "s", name.c_str());
    };
    tidy_up("ResetFailedUnit", arguments, "forget the failure of " + name, done);
  }

  // A call whose refusal means that systemd knows no such unit, or could not know one: then there
  // is nothing to tidy up, and a unit must not stay for ever because systemd cannot read it.
  void tidy_up(const char* member, const BusConnection::Arguments& arguments,
               const std::string& what, const Done& done) {
    auto on_reply = [what, done](const Result<sd_bus_message*>& reply) {
      if (reply || (reply.error().code != ErrorCode::unavailable &&
                    reply.error().code != ErrorCode::denied)) {
        return done({});
      }
      done(std::unexpected(with_context(reply.error(), what)));
    };
    if (!call_manager(member, arguments, on_reply)) done(std::unexpected(no_connection()));
  }

  void start_reload() {
    auto waiting = std::exchange(reloads_due_, {});
    auto on_reply = [this, waiting](const Result<sd_bus_message*>& reply) {
      reloading_ = false;
      const Status status =
          reply ? Status()
                : std::unexpected(with_context(public_error(reply.error()), "daemon-reload"));
      for (const Done& done : waiting) done(status);
      if (!reloads_due_.empty()) start_reload();
    };
    reloading_ = call_manager("Reload", nullptr, std::move(on_reply));
    if (reloading_) return;
    for (const Done& done : waiting) done(std::unexpected(no_connection()));
  }

  // For whoever observes the unit, and for what is being asked about it: an answer that comes after
  // this signal must not be older.
  void properties_changed(const std::string& path, sd_bus_message* signal) {
    observer_.properties_changed(path, signal);
    const auto [first, last] = queries_.equal_range(path);
    for (auto asked = first; asked != last; ++asked) {
      const auto query = asked->second.lock();
      if (query == nullptr || sd_bus_message_rewind(signal, /*complete=*/1) < 0) continue;
      query->properties_changed(signal);
    }
  }

  void on_signal(sd_bus_message* message) {
    const char* interface = sd_bus_message_get_interface(message);
    if (std::string_view(interface) == "org.freedesktop.DBus.Properties") {
      return properties_changed(sd_bus_message_get_path(message), message);
    }
    const std::string_view member = sd_bus_message_get_member(message);
    if (member == "JobRemoved") {
      const char* job = nullptr;
      const char* unit = nullptr;
      const char* result = nullptr;
      if (sd_bus_message_read(message, "uoss", nullptr, &job, &unit, &result) <= 0) return;
      jobs_.on_job_removed(job, result);
      observer_.job_removed(unit);
    } else if (member == "UnitNew" || member == "UnitRemoved") {
      const char* path = nullptr;
      if (sd_bus_message_read(message, "so", nullptr, &path) <= 0) return;
      member == "UnitNew" ? observer_.unit_new(path) : observer_.unit_removed(path);
      look_for_other_files();
    } else if (member == "Reloading") {
      // Of what a reload changes systemd sends no other signal.
      int active = 0;
      if (sd_bus_message_read(message, "b", &active) > 0 && active == 0) observer_.all_changed();
      look_for_other_files();
    }
  }

  FdLoop& loop_;
  Listener listener_;
  std::vector<Done> reloads_due_;
  bool reloading_ = false;
  UnitDirectory files_;
  BusConnection bus_;
  UnitJobs jobs_;
  UnitObserver observer_;
  std::multimap<std::string, std::weak_ptr<UnitQuery>> queries_;  // under way, by object path
  std::map<std::string, std::string> other_files_;                // as reported, by unit
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

SdbusUnitManager::SdbusUnitManager(FdLoop& loop, const Options& options)
    : impl_(std::make_unique<Impl>(loop, options)) {}

SdbusUnitManager::~SdbusUnitManager() = default;

void SdbusUnitManager::list(Callback<std::vector<LocalUnit>> done) {
  impl_->list(std::move(done));
}

void SdbusUnitManager::write(std::string name, std::string text, bool enable, Done done) {
  impl_->write(name, std::move(text), enable, std::move(done));
}

void SdbusUnitManager::remove(std::string name, Done done) {
  impl_->remove(name, std::move(done));
}

void SdbusUnitManager::reload(Done done) {
  impl_->reload(std::move(done));
}

void SdbusUnitManager::start(std::string name, Done done) {
  impl_->run_job(UnitJobs::Verb::start, name, std::move(done));
}

void SdbusUnitManager::stop(std::string name, Done done) {
  impl_->run_job(UnitJobs::Verb::stop, name, std::move(done));
}

void SdbusUnitManager::restart(std::string name, Done done) {
  impl_->run_job(UnitJobs::Verb::restart, name, std::move(done));
}

void SdbusUnitManager::query(std::string name, Callback<UnitStatus> done) {
  impl_->query(name, std::move(done));
}

void SdbusUnitManager::observe(std::string name) {
  impl_->observe(name);
}
void SdbusUnitManager::ignore(std::string name) {
  impl_->ignore(name);
}
void SdbusUnitManager::set_listener(Listener listener) {
  impl_->set_listener(std::move(listener));
}

void SdbusUnitManager::set_note(std::string name, std::string note, Done done) {
  impl_->set_note(name, note, std::move(done));
}

}  // namespace fleet
