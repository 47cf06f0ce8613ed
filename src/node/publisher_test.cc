#include "node/publisher.h"

#include <memory>

#include <gtest/gtest.h>

#include "store/memory/memory_store.h"
#include "tests/support/virtual_loop.h"

namespace fleet {
namespace {

using namespace std::chrono_literals;

class NoLog final : public Log {
 public:
  void write(const LogLine&) override {}
};

class PublisherTest : public testing::Test {
 protected:
  PublisherTest() {
    lease_ = etcd_.grant_lease(3600s);
    publisher_.set_lease(lease_);
  }

  static StateRecord state(const std::string& active) {
    StateRecord record;
    record.active_state = active;
    return record;
  }
  // What the registry says of the unit here; empty: nothing.
  std::string active(const std::string& name) {
    const auto found = etcd_.read({keys_.state("m", name), false}, 0);
    return found->values.empty() ? "" : decode_state(found->values[0].value)->active_state;
  }
  Revision decide(const std::string& name) {
    return etcd_.commit({{}, {Put{keys_.schedule("m", name), "x", 0}}})->revision;
  }
  bool decided(const std::string& name) {
    return !etcd_.read({keys_.schedule("m", name), false}, 0)->values.empty();
  }

  // Until all that can be said by now is said.
  void settle() { loop_.run_for(100ms); }

  VirtualLoop loop_;
  MemoryRegistry etcd_{loop_};
  MemoryStore store_{loop_, etcd_};
  NoLog log_;
  Keys keys_;
  LeaseId lease_ = 0;
  std::map<std::string, Status> acknowledged_;
  Publisher publisher_{loop_,
                       store_,
                       log_,
                       keys_,
                       "m",
                       [this](const std::string& name, std::uint64_t, Status result) {
                         acknowledged_[name] = std::move(result);
                       }};
};

// Two machines with one ID: the one that is not registered must not speak for the other.
TEST_F(PublisherTest, SaysNothingBeforeItHasHadALease) {
  Publisher clone(loop_, store_, log_, keys_, "m", [](const auto&, auto, const auto&) {});
  const Revision revision = decide("a.service");
  clone.acknowledge("a.service", 1, revision);
  settle();
  EXPECT_TRUE(decided("a.service"));
  clone.set_lease(lease_);
  settle();
  EXPECT_FALSE(decided("a.service")) << "what was to be said is said then";
}

TEST_F(PublisherTest, PublishesTheNewestStateOfManyUnitsInOneTransaction) {
  publisher_.publish("a.service", state("inactive"));
  settle();
  const Revision before = etcd_.revision();
  publisher_.publish("a.service", state("activating"));
  publisher_.publish("a.service", state("active"));
  publisher_.publish("b.service", state("failed"));
  settle();
  EXPECT_EQ(active("a.service"), "active");
  EXPECT_EQ(active("b.service"), "failed");
  EXPECT_EQ(etcd_.revision(), before + 1);
}

// The agent says of a unit that it is loaded, and some milliseconds later that it runs.
TEST_F(PublisherTest, StatesThatFollowEachOtherSoonShareATransaction) {
  publisher_.publish("a.service", state("active"));
  settle();
  const Revision before = etcd_.revision();
  publisher_.publish("b.service", state("inactive"));
  loop_.run_for(3ms);
  publisher_.publish("b.service", state("active"));
  publisher_.publish("c.service", state("active"));
  loop_.run_for(3ms);
  EXPECT_EQ(active("b.service"), "active");
  EXPECT_EQ(active("c.service"), "active");
  EXPECT_EQ(etcd_.revision(), before + 1);
}

TEST_F(PublisherTest, AnAcknowledgementTakesTheRecordAndTheStateAway) {
  publisher_.publish("a.service", state("active"));
  settle();
  publisher_.acknowledge("a.service", 1, decide("a.service"));
  settle();
  EXPECT_TRUE(acknowledged_.at("a.service"));
  EXPECT_FALSE(decided("a.service"));
  EXPECT_EQ(active("a.service"), "");
}

TEST_F(PublisherTest, AnAcknowledgementOfAnOldRecordRemovesNothing) {
  const Revision old = decide("a.service");
  decide("a.service");
  publisher_.acknowledge("a.service", 1, old);
  settle();
  EXPECT_TRUE(acknowledged_.at("a.service"));
  EXPECT_TRUE(decided("a.service"));
}

TEST_F(PublisherTest, AnAcknowledgementOfARecordThatIsGoneTakesTheStateAway) {
  publisher_.publish("a.service", state("active"));
  settle();
  const Revision revision = decide("a.service");
  ASSERT_TRUE(etcd_.commit({{}, {Delete{{keys_.schedule("m", "a.service"), false}}}}));
  publisher_.acknowledge("a.service", 1, revision);
  settle();
  EXPECT_TRUE(acknowledged_.at("a.service"));
  EXPECT_EQ(active("a.service"), "");
}

TEST_F(PublisherTest, ARefusedAcknowledgementHoldsUpNoOther) {
  const Revision old = decide("a.service");
  decide("a.service");
  publisher_.acknowledge("a.service", 1, old);
  publisher_.acknowledge("b.service", 2, decide("b.service"));
  settle();
  EXPECT_EQ(acknowledged_.size(), 2u);
  EXPECT_FALSE(decided("b.service"));
}

TEST_F(PublisherTest, WhatIsSaidOfAUnitAfterItsAcknowledgementComesAfterIt) {
  publisher_.acknowledge("a.service", 1, decide("a.service"));
  publisher_.publish("a.service", state("active"));
  settle();
  EXPECT_TRUE(acknowledged_.at("a.service"));
  EXPECT_FALSE(decided("a.service"));
  EXPECT_EQ(active("a.service"), "active");
}

TEST_F(PublisherTest, WhatWasSaidOfAUnitBeforeItsAcknowledgementDoesNotComeAfterIt) {
  store_.set_link({.connected = false});
  publisher_.publish("a.service", state("active"));
  loop_.run_for(1s);
  const Revision decided_at = decide("a.service");
  publisher_.acknowledge("a.service", 1, decided_at);
  loop_.run_for(6s);
  store_.set_link({});
  loop_.run_for(20s);
  ASSERT_FALSE(acknowledged_.at("a.service")) << "the agent tries it again";
  publisher_.acknowledge("a.service", 2, decided_at);
  loop_.run_for(20s);
  EXPECT_FALSE(decided("a.service"));
  EXPECT_EQ(active("a.service"), "");
}

TEST_F(PublisherTest, TriesAgainUntilTheStoreAnswers) {
  store_.set_link({.connected = false});
  publisher_.publish("a.service", state("active"));
  loop_.run_for(20s);
  store_.set_link({});
  loop_.run_for(20s);
  EXPECT_EQ(active("a.service"), "active");
}

// A stalled connection that flows again: the store takes what nobody waits for any more.
TEST_F(PublisherTest, WhatArrivesLateUndoesNothing) {
  publisher_.publish("b.service", state("active"));
  settle();
  store_.set_link({.delay = 3s});
  publisher_.publish("a.service", state("inactive"));
  settle();
  store_.break_calls();
  store_.set_link({});
  publisher_.publish("a.service", state("active"));
  loop_.run_for(2s);
  ASSERT_EQ(active("a.service"), "active");
  loop_.run_for(10s);
  EXPECT_EQ(active("a.service"), "active");
}

TEST_F(PublisherTest, WhatArrivesLateBringsNoStateBack) {
  publisher_.publish("a.service", state("active"));
  const Revision decided_at = decide("a.service");
  settle();
  store_.set_link({.delay = 3s});
  publisher_.publish("a.service", state("inactive"));
  settle();
  store_.break_calls();
  store_.set_link({});
  publisher_.acknowledge("a.service", 1, decided_at);
  loop_.run_for(2s);
  ASSERT_EQ(active("a.service"), "");
  loop_.run_for(10s);
  EXPECT_EQ(active("a.service"), "");
}

TEST_F(PublisherTest, WhatAnEarlierFleetdSentUndoesNothing) {
  auto line = std::make_unique<MemoryStore>(loop_, etcd_);
  auto earlier = std::make_unique<Publisher>(loop_, *line, log_, keys_, "m",
                                             [](const auto&, auto, const auto&) {});
  line->set_link({.delay = 2s});
  earlier->set_lease(lease_);
  earlier->publish("a.service", state("inactive"));
  loop_.run_for(5s);  // its fence has been written, and the state is on its way
  ASSERT_EQ(active("a.service"), "");
  earlier.reset();
  line.reset();
  publisher_.publish("a.service", state("active"));
  settle();
  ASSERT_EQ(active("a.service"), "active");
  loop_.run_for(10s);
  EXPECT_EQ(active("a.service"), "active");
}

TEST_F(PublisherTest, PublishesHundredsOfUnitsWithinTheLimitsOfATransaction) {
  for (int i = 0; i < 500; ++i) {
    const std::string name = "u" + std::to_string(i) + ".service";
    publisher_.publish("s" + name, state("active"));
    publisher_.acknowledge(name, 1, decide(name));
  }
  settle();
  EXPECT_EQ(acknowledged_.size(), 500u);
  for (const auto& [name, result] : acknowledged_) EXPECT_TRUE(result) << name;
  EXPECT_EQ(active("su499.service"), "active");
}

}  // namespace
}  // namespace fleet
