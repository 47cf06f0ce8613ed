#include "node/session.h"

#include <gtest/gtest.h>

#include "store/memory/memory_store.h"
#include "tests/support/virtual_loop.h"

namespace fleet {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kTtl{30};

class LastLog final : public Log {
 public:
  void write(const LogLine& line) override { text += line.text + "\n"; }
  std::string text;
};

// A store whose answers to commits, and whose renewals, are held back while the test says so.
class HesitantStore final : public Store {
 public:
  HesitantStore(EventLoop& loop, MemoryRegistry& registry) : inner_(loop, registry) {}

  void read(KeyRange range, Revision at, Callback<ReadResult> done) override {
    inner_.read(std::move(range), at, std::move(done));
  }
  void commit(Transaction transaction, Callback<TransactionResult> done) override {
    inner_.commit(std::move(transaction), [this, done](Result<TransactionResult> result) {
      if (!holds) return done(std::move(result));
      held.emplace_back([done, result] { done(result); });
    });
  }
  WatchId watch(KeyRange range, Revision from, WatchCallbacks callbacks) override {
    return inner_.watch(std::move(range), from, std::move(callbacks));
  }
  void cancel_watch(WatchId id) override { inner_.cancel_watch(id); }
  void grant_lease(std::chrono::seconds ttl, Callback<LeaseId> done) override {
    inner_.grant_lease(ttl, std::move(done));
  }
  void keep_lease(LeaseId id, std::chrono::seconds ttl, LeaseCallbacks callbacks) override {
    callbacks.on_renewed = [this, told = callbacks.on_renewed] {
      if (!holds) told();
    };
    inner_.keep_lease(id, ttl, std::move(callbacks));
  }
  void remaining_time(LeaseId id, Callback<std::chrono::seconds> done) override {
    inner_.remaining_time(id, std::move(done));
  }
  void forget_lease(LeaseId id) override { inner_.forget_lease(id); }
  void revoke_lease(LeaseId id, std::function<void(Status)> done) override {
    inner_.revoke_lease(id, std::move(done));
  }

  bool holds = false;
  std::vector<std::function<void()>> held;

 private:
  MemoryStore inner_;
};

// A fleetd's session on a machine: its own store, and what it is told.
struct Process {
  Process(VirtualLoop& loop, MemoryRegistry& etcd, const std::string& id, const std::string& boot)
      : store(loop, etcd), session(loop, store, log, Keys(), kTtl, record(id, boot), callbacks()) {
    session.start();
  }
  static MachineRecord record(const std::string& id, const std::string& boot) {
    MachineRecord record;
    record.id = id;
    record.boot_id = boot;
    return record;
  }
  SessionCallbacks callbacks() {
    return {[this](LeaseId, bool is_new) { is_new ? ++registrations : ++returns; }, [] {},
            [](bool) {}};
  }

  LastLog log;
  HesitantStore store;
  int registrations = 0;
  int returns = 0;
  Session session;
};

class SessionTest : public testing::Test {
 protected:
  std::unique_ptr<Process> begin(const std::string& boot) {
    auto process = std::make_unique<Process>(loop_, etcd_, "m1", boot);
    loop_.run_for(2s);
    return process;
  }

  VirtualLoop loop_;
  MemoryRegistry etcd_{loop_};
};

// section 8, row 32: after a crash the machine is back at once, not after its old key's TTL.
TEST_F(SessionTest, ANewFleetdOfTheSameBootTakesThePresenceOver) {
  auto one = begin("boot-1");
  EXPECT_TRUE(one->session.is_registered());
  one.reset();  // as by a crash: its lease is still there
  const auto other = begin("boot-1");
  EXPECT_TRUE(other->session.is_registered());
  loop_.run_for(2 * kTtl);
  EXPECT_TRUE(other->session.is_registered());
  EXPECT_EQ(other->registrations, 1) << "the end of the old lease is no matter";
}

// section 8, row 32: and yet one machine ID is one machine.
TEST_F(SessionTest, ASecondMachineWithTheSameIdWaitsUntilTheFirstHasGone) {
  auto one = begin("boot-1");
  const auto other = begin("boot-2");
  loop_.run_for(5 * kTtl);
  EXPECT_TRUE(one->session.is_registered());
  EXPECT_FALSE(other->session.is_registered());
  EXPECT_NE(other->log.text.find("share /etc/machine-id"), std::string::npos) << other->log.text;
  one.reset();
  loop_.run_for(kTtl + 10s);
  EXPECT_TRUE(other->session.is_registered());
}

// Its lease may be about to end: nothing is begun on it before it has been renewed.
TEST_F(SessionTest, ARegistrationThatIsHeardOfOutOfContactIsToldOnceTheLeaseIsRenewed) {
  Process late(loop_, etcd_, "m1", "boot-1");
  late.store.holds = true;
  loop_.run_for(kTtl * 2 / 3 + 1s);
  ASSERT_FALSE(late.session.is_in_contact());
  ASSERT_EQ(late.store.held.size(), 1U);
  late.store.held.front()();
  EXPECT_FALSE(late.session.is_registered());
  EXPECT_EQ(late.registrations, 0);
  late.store.holds = false;
  loop_.run_for(kTtl / 3);
  EXPECT_TRUE(late.session.is_registered());
  EXPECT_EQ(late.registrations, 1);
  EXPECT_EQ(late.returns, 0);
}

}  // namespace
}  // namespace fleet
