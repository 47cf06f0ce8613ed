#include "node/session.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace fleet {

Session::Session(EventLoop& loop, Store& store, Log& log, Keys keys, std::chrono::seconds ttl,
                 MachineRecord record, SessionCallbacks callbacks)
    : loop_(loop),
      store_(store),
      log_(log),
      keys_(std::move(keys)),
      ttl_(ttl),
      record_(std::move(record)),
      callbacks_(std::move(callbacks)),
      record_feed_(loop, store, {keys_.machine(record_.id), false},
                   {[this](const ReadResult& result) {
                      record_seen(result.values.empty() ? result.revision
                                                        : result.values.front().mod_revision);
                    },
                    [this](const WatchBatch& batch) { record_seen(batch.revision); },
                    [](const Error&) {}}) {}  // that the store is out of reach is said elsewhere

Session::~Session() {
  loop_.cancel(retry_timer_);
  loop_.cancel(contact_timer_);
}

void Session::start() {
  begin();
}

void Session::begin() {
  store_.grant_lease(ttl_, [this, alive = std::weak_ptr(alive_)](Result<LeaseId> lease) {
    if (alive.expired() || closed_) return;
    if (!lease) return retry("cannot get a lease from the store", lease.error());
    lease_ = *lease;
    LeaseCallbacks events;
    events.on_renewed = [this] { renewed(); };
    events.on_lost = [this](const Error& error) { lost(error); };
    store_.keep_lease(lease_, ttl_, std::move(events));
    renewed();
    publish();
  });
}

// Makes the registry's record of this machine say what record_ says. One write at a time.
void Session::publish() {
  if (std::exchange(publishing_, true)) {
    changed_ = true;
    return;
  }
  changed_ = false;
  const KeyRange range{keys_.machine(record_.id), false};
  store_.read(
      range, 0, [this, lease = lease_, alive = std::weak_ptr(alive_)](Result<ReadResult> result) {
        if (alive.expired() || closed_ || lease_ != lease) return;
        if (!result) return retry("cannot read this machine's record", result.error());
        if (result->values.empty()) return put_record(0);
        const KeyValue& found = result->values.front();
        const auto record = decode_machine(found.value);
        if (record && record->boot_id != record_.boot_id) {
          return retry(
              "a machine with this machine ID is registered already",
              Error{ErrorCode::conflict,
                    fmt::format(
                        "it has the address {} and another boot; it goes when its lease runs "
                        "out. If it does not, two machines share /etc/machine-id: give one of "
                        "them a new one",
                        record->public_ip)});
        }
        put_record(found.mod_revision);
      });
}

void Session::put_record(Revision expected) {
  Transaction transaction;
  const std::string key = keys_.machine(record_.id);
  transaction.compares.push_back(
      {{key, false}, Compare::Field::mod_revision, Compare::Relation::equal, expected});
  transaction.operations.emplace_back(Put{key, encode(record_), lease_});
  changed_ = false;
  store_.commit(std::move(transaction), [this, lease = lease_, alive = std::weak_ptr(alive_)](
                                            Result<TransactionResult> result) {
    if (alive.expired() || closed_ || lease_ != lease) return;
    if (!result) return retry("cannot register this machine", result.error());
    publishing_ = false;
    if (!result->committed) return publish();
    published(result->revision);
  });
}

void Session::published(Revision mod_revision) {
  record_revision_ = mod_revision;
  failures_ = 0;
  last_said_.clear();
  if (!std::exchange(registered_, true)) {
    log(LogLevel::info, fmt::format("registered (lease {:x}, TTL {} s)", lease_, ttl_.count()));
    record_feed_.start();
    announce();
  }
  if (changed_ || seen_revision_ > record_revision_) return publish();
  answer_leaving({});
}

// A registration that was heard of too late for its lease to be sure is told with the next renewal.
void Session::announce() {
  if (is_registered()) callbacks_.on_registered(lease_, !std::exchange(announced_, true));
}

// Our own writes are seen too, and are no newer than what we know.
void Session::record_seen(Revision revision) {
  seen_revision_ = std::max(seen_revision_, revision);
  if (!registered_ || publishing_ || seen_revision_ <= record_revision_) return;
  // Out of contact the record is likely to have gone with its lease; the next renewal will tell.
  if (!in_contact_) return;
  log(LogLevel::warning,
      "this machine's record in the registry is gone or was changed by somebody else: it is "
      "written again");
  publish();
}

void Session::describe(const std::string& public_ip,
                       const std::map<std::string, std::string>& metadata) {
  record_.public_ip = public_ip;
  record_.metadata = metadata;
  if (registered_ || publishing_) publish();
}

void Session::renewed() {
  last_heard_ = loop_.now();
  set_contact(true);
  if (contact_timer_ == 0) watch_contact();
}

// One timer that moves along with the renewals instead of one for each.
void Session::watch_contact() {
  const Time limit = last_heard_ + Duration(ttl_) * 2 / 3;
  if (limit <= loop_.now()) {
    contact_timer_ = 0;
    return set_contact(false);
  }
  contact_timer_ = loop_.call_at(limit, [this] { watch_contact(); });
}

void Session::set_contact(bool in_contact) {
  if (in_contact_ == in_contact) return;
  in_contact_ = in_contact;
  if (!in_contact) {
    log(LogLevel::warning, "the store does not answer: units keep running, nothing new is begun");
  } else if (registered_) {
    log(LogLevel::info, "the store answers again");
  }
  callbacks_.on_contact(in_contact);
  if (!registered_) return;
  if (in_contact) {
    record_seen(seen_revision_);
    announce();
  } else if (announced_) {
    callbacks_.on_unregistered();
  }
}

void Session::lost(const Error& error) {
  log(LogLevel::warning, "the lease is lost, a new one is asked for: " + error.message);
  lease_ = 0;
  publishing_ = false;
  loop_.cancel(std::exchange(retry_timer_, 0));
  answer_leaving(std::unexpected(error));
  registered_ = false;
  if (std::exchange(announced_, false)) callbacks_.on_unregistered();
  begin();
}

void Session::retry(const std::string& what, const Error& error) {
  ++failures_;
  // Said once for each cause, not at every attempt.
  if (std::string text = fmt::format("{}: {}; tried again until it works", what, error.message);
      text != last_said_) {
    log(error.code == ErrorCode::conflict ? LogLevel::error : LogLevel::warning, text);
    last_said_ = std::move(text);
  }
  retry_timer_ = loop_.call_after(backoff(failures_), [this] {
    retry_timer_ = 0;
    publishing_ = false;
    if (lease_ == 0) {
      begin();
    } else {
      publish();
    }
  });
  answer_leaving(std::unexpected(error));
}

void Session::announce_leaving(std::function<void(Status)> done) {
  record_.leaving = true;
  if (!registered_) return done(fail(ErrorCode::unavailable, "this machine is not registered"));
  on_leaving_told_ = std::move(done);
  publish();
}

void Session::answer_leaving(const Status& result) {
  if (const auto done = std::exchange(on_leaving_told_, {})) done(result);
}

void Session::close(std::function<void()> done) {
  closed_ = true;
  registered_ = false;
  record_feed_.stop();
  loop_.cancel(std::exchange(retry_timer_, 0));
  loop_.cancel(std::exchange(contact_timer_, 0));
  if (lease_ == 0) return done();
  store_.revoke_lease(std::exchange(lease_, 0), [this, alive = std::weak_ptr(alive_),
                                                 done = std::move(done)](Status result) {
    if (alive.expired()) return;
    if (!result) {
      log(LogLevel::warning,
          "the lease could not be given up and runs out by itself: " + result.error().message);
    }
    done();
  });
}

void Session::log(LogLevel level, std::string text) {
  log_.write({level, std::move(text), {}, record_.id});
}

}  // namespace fleet
