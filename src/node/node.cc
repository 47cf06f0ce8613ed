#include "node/node.h"

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/limits.h"
#include "node/agent_dump.h"
#include "node/agent_runner.h"
#include "node/engine_runner.h"
#include "node/feed.h"
#include "node/metered_store.h"
#include "node/metrics.h"
#include "node/session.h"

namespace fleet {

namespace {

using namespace std::chrono_literals;

// The mirror of a fleetd that does not lead is given up when nobody has asked for this long.
constexpr Duration kMirrorIdle = std::chrono::seconds(60);
// With the store out of reach a stopped unit cannot be given away. Once all are stopped, leaving
// waits no longer than this for it.
constexpr Duration kLeaveWithoutStore = std::chrono::seconds(5);
// A store that is there at all has taken this machine in by then.
constexpr Duration kJoining = std::chrono::seconds(2);

MachineRecord record_of(const NodeOptions& options) {
  MachineRecord record;
  record.id = options.machine_id;
  record.public_ip = options.public_ip;
  record.metadata = options.metadata;
  record.version = options.version;
  record.boot_id = options.boot_id;
  return record;
}

EngineOptions engine_options(const NodeOptions& options) {
  return {options.agent_ttl, options.mass_loss_percent};
}

}  // namespace

struct Node::Impl final : ApiBackend {
  Impl(EventLoop& loop, Store& store, UnitManager& units, Log& log, NodeOptions options);
  ~Impl() override {
    loop_.cancel(idle_timer_);
    loop_.cancel(leave_timer_);
    loop_.cancel(joining_timer_);
  }

  // ApiBackend
  Status ready() const override;
  void add_metrics(MetricsText& metrics) const override;
  void read(std::function<void(Result<const Registry*>)> use) override;
  void commit(Transaction transaction,
              std::function<void(Result<TransactionResult>)> done) override;
  Explanation explain(const Registry& registry, const std::string& name) const override;

  void start();
  void reconfigure(const NodeSettings& settings);
  void handle(ApiRequest request, Api::Reply reply);
  void answer_early();
  void on_registered(LeaseId lease, bool new_lease);
  void on_unregistered();
  void on_contact(bool in_contact);
  void on_leading(bool leading);
  void on_mirror_read(const ReadResult& result);
  void on_mirror_batch(const WatchBatch& batch);
  void on_mirror_error(const Error& error);
  void answer_readers();
  void stop_mirror_if_idle();
  void leave(std::function<void()> done);
  void watch_leaving(Duration stopped);
  void leave_cluster();

  struct Reader {
    Revision at_least = 0;
    std::function<void(Result<const Registry*>)> use;
  };
  struct Early {
    ApiRequest request;
    Api::Reply reply;
  };

  EventLoop& loop_;
  MeteredStore store_;
  Log& log_;
  NodeOptions options_;
  Keys keys_;
  Registry registry_;
  bool mirror_ready_ = false;
  mutable Placement placement_;  // of the mirror at `placed_at_`, for many explanations at once
  mutable Revision placed_at_ = -1;
  double led_since_ = 0;     // as in EngineMetrics
  Revision last_write_ = 0;  // the newest revision that this node's API has written
  std::vector<Reader> readers_;
  Time last_asked_;
  EventLoop::TimerId idle_timer_ = 0;
  EventLoop::TimerId leave_timer_ = 0;
  EventLoop::TimerId joining_timer_ = 0;  // not 0: this node has only just begun
  std::vector<Early> early_;              // requests that came meanwhile
  bool leaving_ = false;
  std::function<void()> on_left_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);

  Feed mirror_;
  AgentRunner agent_;
  EngineRunner engine_;
  Session session_;
  Api api_;
};

Node::Impl::Impl(EventLoop& loop, Store& store, UnitManager& units, Log& log, NodeOptions options)
    : loop_(loop),
      store_(loop, store, log),
      log_(log),
      options_(std::move(options)),
      keys_(options_.key_prefix),
      registry_(keys_),
      mirror_(loop, store_, keys_.everything(),
              {[this](const ReadResult& result) { on_mirror_read(result); },
               [this](const WatchBatch& batch) { on_mirror_batch(batch); },
               [this](const Error& error) {
                 mirror_ready_ = false;  // it is not followed any more, and grows old
                 on_mirror_error(error);
               }}),
      agent_(loop, store_, units, log, keys_, options_.machine_id),
      engine_(loop, store_, log, keys_, options_.machine_id, engine_options(options_),
              [this](bool leading) { on_leading(leading); }),
      session_(
          loop, store_, log, keys_, options_.agent_ttl, record_of(options_),
          {[this](LeaseId lease, bool new_lease) { on_registered(lease, new_lease); },
           [this] { on_unregistered(); }, [this](bool in_contact) { on_contact(in_contact); }}),
      api_(loop, *this,
           {options_.token_limit, options_.version, options_.machine_id, options_.registry,
            options_.registry_location}) {}

void Node::Impl::start() {
  agent_.start();
  engine_.set_enabled(!options_.disable_engine);
  engine_.start();
  session_.start();
  joining_timer_ = loop_.call_after(kJoining, [this] { answer_early(); });
}

// A node that has only just begun joins its cluster in a moment. Whoever asks meanwhile is not told
// that there is none, but waits for that moment; but for whoever asks just that.
void Node::Impl::handle(ApiRequest request, Api::Reply reply) {
  const bool asks_for_health =
      request.target.starts_with("/healthz") || request.target.starts_with("/readyz");
  if (joining_timer_ == 0 || asks_for_health || early_.size() >= limits::kApiWaiters) {
    return api_.handle(request, std::move(reply));
  }
  early_.push_back({std::move(request), std::move(reply)});
}

void Node::Impl::answer_early() {
  loop_.cancel(std::exchange(joining_timer_, 0));
  for (Early& early : std::exchange(early_, {})) {
    api_.handle(early.request, std::move(early.reply));
  }
}

void Node::Impl::reconfigure(const NodeSettings& settings) {
  const NodeSettings before = std::exchange(static_cast<NodeSettings&>(options_), settings);
  if (before.public_ip != settings.public_ip || before.metadata != settings.metadata) {
    session_.describe(settings.public_ip, settings.metadata);
  }
  api_.set_token_limit(settings.token_limit);
  engine_.set_options(engine_options(options_));
  engine_.set_enabled(!settings.disable_engine);
}

void Node::Impl::on_registered(LeaseId lease, bool new_lease) {
  agent_.registered(lease, new_lease);
  if (new_lease) engine_.lease_held(lease);
  answer_early();
}

void Node::Impl::on_unregistered() {
  agent_.unregistered();
  if (session_.lease() == 0) engine_.lease_lost();
}

void Node::Impl::on_contact(bool in_contact) {
  engine_.contact(in_contact);
  if (!in_contact) on_mirror_error({ErrorCode::unavailable, "the store does not answer"});
}

void Node::Impl::on_leading(bool leading) {
  led_since_ = leading && options_.unix_time ? options_.unix_time() : 0;
  if (leading) {
    mirror_.start();
    if (mirror_ready_) engine_.registry_loaded(registry_);
  } else {
    stop_mirror_if_idle();
  }
}

void Node::Impl::on_mirror_read(const ReadResult& result) {
  registry_.load(result);
  mirror_ready_ = true;
  engine_.registry_loaded(registry_);
  answer_readers();
  // Whoever waits for a change may have missed any.
  Registry::Changes all;
  for (const auto& [name, unit] : registry_.units()) all.units.insert(name);
  for (const auto& [id, machine] : registry_.machines()) all.machines.insert(id);
  api_.registry_changed(registry_, all);
}

void Node::Impl::on_mirror_batch(const WatchBatch& batch) {
  const Registry::Changes changes = registry_.apply(batch);
  engine_.registry_changed(registry_, changes);
  answer_readers();
  api_.registry_changed(registry_, changes);
}

void Node::Impl::on_mirror_error(const Error& error) {
  for (Reader& reader : std::exchange(readers_, {})) reader.use(std::unexpected(error));
  api_.registry_lost(error);
}

void Node::Impl::answer_readers() {
  std::vector<Reader> waiting;
  for (Reader& reader : std::exchange(readers_, {})) {
    if (reader.at_least <= registry_.revision()) {
      reader.use(&registry_);
    } else {
      waiting.push_back(std::move(reader));
    }
  }
  // What was added meanwhile by the answers themselves stays behind the older ones.
  waiting.insert(waiting.end(), std::make_move_iterator(readers_.begin()),
                 std::make_move_iterator(readers_.end()));
  readers_ = std::move(waiting);
}

Status Node::Impl::ready() const {
  if (session_.is_registered()) return {};
  return fail(ErrorCode::unavailable,
              session_.is_in_contact()
                  ? "this machine has not joined the cluster yet; its log says why"
                  : "fleet server unable to communicate with etcd");
}

void Node::Impl::add_metrics(MetricsText& metrics) const {
  add_build_info(metrics, options_.version, options_.registry);
  const Engine& engine = engine_.engine();
  fleet::add_metrics(metrics,
                     {engine.counts(), engine_.rounds(), led_since_, engine_.is_leading()});
  if (engine.is_leading() && mirror_ready_) add_cluster_metrics(metrics, registry_, engine);
  fleet::add_metrics(metrics, agent_.agent(), agent_.counts());
  fleet::add_metrics(metrics, store_.counts());
  if (options_.add_process_metrics) options_.add_process_metrics(metrics);
}

void Node::Impl::read(std::function<void(Result<const Registry*>)> use) {
  last_asked_ = loop_.now();
  if (const Status status = ready(); !status) return use(std::unexpected(status.error()));
  if (mirror_ready_ && mirror_.is_running() && last_write_ <= registry_.revision()) {
    return use(&registry_);
  }
  readers_.push_back({last_write_, std::move(use)});
  mirror_.start();
  stop_mirror_if_idle();  // sets the timer
}

void Node::Impl::commit(Transaction transaction,
                        std::function<void(Result<TransactionResult>)> done) {
  const bool writes = !transaction.operations.empty();
  store_.commit(std::move(transaction), [this, writes, alive = std::weak_ptr(alive_),
                                         done = std::move(done)](Result<TransactionResult> result) {
    if (alive.expired()) return;
    if (writes && result && result->committed) {
      last_write_ = std::max(last_write_, result->revision);
    }
    done(std::move(result));
  });
}

Explanation Node::Impl::explain(const Registry& registry, const std::string& name) const {
  Explanation explanation;
  if (placed_at_ != registry.revision()) {
    placement_ = placement_of(registry);
    placed_at_ = registry.revision();
  }
  explanation.reason = why_waiting(registry, placement_, name, options_.mass_loss_percent);
  if (explanation.reason.empty()) return explanation;
  for (auto& [machine, reason] : refusals(registry, placement_, name)) {
    explanation.machines.push_back({machine, std::move(reason)});
  }
  return explanation;
}

void Node::Impl::stop_mirror_if_idle() {
  loop_.cancel(std::exchange(idle_timer_, 0));
  if (engine_.is_leading() || !mirror_.is_running()) return;
  if (const Time until = last_asked_ + kMirrorIdle; until > loop_.now() || !readers_.empty()) {
    idle_timer_ = loop_.call_at(std::max(until, loop_.now() + std::chrono::seconds(1)), [this] {
      idle_timer_ = 0;
      stop_mirror_if_idle();
    });
    return;
  }
  mirror_.stop();
  mirror_ready_ = false;
  engine_.registry_gone();
  registry_ = Registry(keys_);
}

void Node::Impl::leave(std::function<void()> done) {
  if (std::exchange(leaving_, true)) return;
  on_left_ = std::move(done);
  session_.announce_leaving([this](Status told) {
    if (!told) {
      log_.write({LogLevel::warning,
                  "the cluster cannot be told that this machine leaves: " + told.error().message,
                  {},
                  options_.machine_id});
    }
    watch_leaving(0s);
    agent_.leave([this] { leave_cluster(); });
  });
}

// `stopped` is for how long all units have been stopped while the registry could not be told.
void Node::Impl::watch_leaving(Duration stopped) {
  if (stopped >= kLeaveWithoutStore) return leave_cluster();
  leave_timer_ = loop_.call_after(1s, [this, stopped] {
    leave_timer_ = 0;
    if (on_left_) watch_leaving(agent_.agent().has_let_go() ? stopped + 1s : 0s);
  });
}

void Node::Impl::leave_cluster() {
  if (!on_left_) return;
  const std::map<std::string, std::string> left = agent_.agent().running();
  if (left.empty()) {
    log_.write({LogLevel::info, "all units are handed over", {}, options_.machine_id});
  }
  for (const auto& [name, why] : left) {
    log_.write({LogLevel::warning,
                "not handed over (" + why +
                    "): it runs on here, and will run elsewhere too once this machine is missed",
                name, options_.machine_id});
  }
  session_.close([this] {
    if (auto done = std::exchange(on_left_, {})) done();
  });
}

Node::Node(EventLoop& loop, Store& store, UnitManager& units, Log& log, NodeOptions options)
    : impl_(std::make_unique<Impl>(loop, store, units, log, std::move(options))) {}

Node::~Node() = default;

void Node::start() {
  impl_->start();
}

void Node::reconfigure(const NodeSettings& settings) {
  impl_->reconfigure(settings);
}

void Node::handle(ApiRequest request, Api::Reply reply) {
  impl_->handle(std::move(request), std::move(reply));
}

void Node::leave(std::function<void()> done) {
  impl_->leave(std::move(done));
}

std::string Node::status() const {
  if (!impl_->session_.is_in_contact()) return "waiting for etcd; units are left as they are";
  if (!impl_->session_.is_registered()) return "joining the cluster";
  return fmt::format("{}, {} units here", is_leading() ? "leading" : "following",
                     impl_->agent_.agent().units().size());
}

std::string Node::dump() const {
  return agent_dump(impl_->agent_.agent(), impl_->options_.machine_id);
}

bool Node::is_leading() const {
  return impl_->engine_.is_leading();
}

bool Node::is_registered() const {
  return impl_->session_.is_registered();
}

}  // namespace fleet
