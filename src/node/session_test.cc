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
    return {[this](LeaseId, bool) { ++registrations; }, [] {}, [](bool) {}};
  }

  LastLog log;
  MemoryStore store;
  int registrations = 0;
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

}  // namespace
}  // namespace fleet
