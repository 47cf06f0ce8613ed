#include "fleetd/registry_filler.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "cluster/values.h"
#include "store/memory/memory_store.h"
#include "tests/support/virtual_loop.h"

namespace fleet {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RegistryFillerTest : public testing::Test {
 protected:
  RegistryFiller filler(Store& store) {
    return {loop_,
            {[this] {
               finished_ = false;
               loop_.run_until_true([this] { return finished_; }, 1h);
             },
             [this] { finished_ = true; }},
            store,
            keys_};
  }
  RegistryContents held() const { return contents_of(*etcd_.read(keys_.everything(), 0), keys_); }
  bool is_incomplete() const { return !etcd_.read({keys_.incomplete(), false}, 0)->values.empty(); }
  void put(const std::string& key, const std::string& value = "x", LeaseId lease = 0) {
    ASSERT_TRUE(etcd_.commit({{}, {Put{key, value, lease}}}));
  }
  // More than one transaction takes, by number and by size.
  RegistryContents many() const {
    RegistryContents contents;
    for (int i = 0; i < 300; ++i) {
      contents[keys_.unit(fmt::format("u{}.service", i))] = fmt::format("text {}", i);
    }
    for (int i = 0; i < 5; ++i) {
      contents[keys_.target(fmt::format("u{}.service", i))] =
          std::string(limits::kRegistryValueBytes / 3, static_cast<char>('a' + i));
    }
    return contents;
  }

  Keys keys_{"/f/"};
  VirtualLoop loop_;
  MemoryRegistry etcd_{loop_};
  MemoryStore store_{loop_, etcd_};
  bool finished_ = false;
};

TEST_F(RegistryFillerTest, CarriesOverWhatOutlivesLeases) {
  for (const auto& key :
       {keys_.unit("a.service"), keys_.target("a.service"), keys_.schedule("m1", "a.service"),
        keys_.metadata("m1", "disk"), keys_.machine("m1"), keys_.state("m1", "a.service"),
        keys_.leader(), keys_.incomplete(), std::string("/f/unknown")}) {
    put(key);
  }
  std::vector<std::string> keys;
  for (const auto& [key, value] : held()) keys.push_back(key);
  EXPECT_THAT(keys, ElementsAre("/f/metadata/m1/disk", "/f/schedule/m1/a.service",
                                "/f/target/a.service", "/f/unit/a.service"));
}

TEST_F(RegistryFillerTest, FillsAnEmptyRegistry) {
  put("/elsewhere/unit/a.service");
  put(keys_.machine("m1"));  // has joined already
  RegistryFiller filler = this->filler(store_);
  EXPECT_EQ(filler.claim("the test"), RegistryFiller::Claim::begun);
  EXPECT_TRUE(is_incomplete());
  ASSERT_TRUE(filler.copy(many()));
  EXPECT_TRUE(is_incomplete());
  ASSERT_TRUE(filler.complete());
  EXPECT_FALSE(is_incomplete());
  EXPECT_EQ(held(), many());
}

TEST_F(RegistryFillerTest, MixesNothing) {
  put(keys_.unit("a.service"));
  put(keys_.target("a.service"));
  const auto refused = filler(store_).claim("the test");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::conflict);
  EXPECT_EQ(refused.error().message,
            "it holds something already: /f/target/a.service and 1 more keys");
  EXPECT_FALSE(is_incomplete());
  EXPECT_EQ(held().size(), 2U);
}

// Whatever the interrupted one had got to, and whatever the source has become since.
TEST_F(RegistryFillerTest, BeginsAnewAfterAnyInterruption) {
  const RegistryContents wanted{{keys_.unit("new.service"), "text"}};
  for (int writes = 1; writes < 10; ++writes) {
    // The first one is cut off after so many writes.
    MemoryStore dying(loop_, etcd_);
    const Revision last = etcd_.revision() + writes;
    const auto listener = etcd_.add_listener([&](const WatchBatch& batch) {
      if (batch.revision >= last) dying.set_link({.connected = false});
    });
    RegistryFiller first = filler(dying);
    if (first.claim("the first") && first.copy(many())) (void)first.complete();
    etcd_.remove_listener(listener);
    const bool was_whole = !is_incomplete();

    RegistryFiller second = filler(store_);
    const auto claim = second.claim("the second");
    if (was_whole) {
      EXPECT_FALSE(claim);
      EXPECT_EQ(held(), many()) << "what was completed is not touched again";
      return;
    }
    EXPECT_EQ(claim, RegistryFiller::Claim::begun_anew) << writes;
    ASSERT_TRUE(second.copy(wanted));
    ASSERT_TRUE(second.complete());
    EXPECT_EQ(held(), wanted);
    ASSERT_TRUE(etcd_.commit({{}, {Delete{keys_.everything()}}}));
  }
  ADD_FAILURE() << "ten writes did not suffice";
}

TEST_F(RegistryFillerTest, OfTwoAtOnceTheEarlierGivesUp) {
  MemoryStore other_store(loop_, etcd_);
  RegistryFiller first = filler(store_);
  RegistryFiller second = filler(other_store);
  EXPECT_EQ(first.claim("the first"), RegistryFiller::Claim::begun);
  EXPECT_EQ(second.claim("the second"), RegistryFiller::Claim::begun_anew);
  const Status copied = first.copy(many());
  ASSERT_FALSE(copied);
  EXPECT_THAT(copied.error().message, HasSubstr("another command has taken it over"));
  EXPECT_FALSE(first.complete());
  EXPECT_THAT(held(), IsEmpty());
  EXPECT_TRUE(second.copy(many()));
  EXPECT_TRUE(second.complete());
}

TEST_F(RegistryFillerTest, WaitsForTheMachinesThatHaveUnits) {
  ScheduleRecord record;
  record.state = UnitState::launched;
  const RegistryContents contents{
      {keys_.schedule("m1", "a.service"), encode(record)},
      {keys_.schedule("m2", "b.service"), encode(record)},
      {keys_.schedule("m3", "c.service"), encode(ScheduleRecord{})},  // an order to leave
      {keys_.schedule("m4", "d.service"), "not readable"},
      {keys_.metadata("m5", "disk"), "ssd"}};
  const auto machines = machines_with_units(contents, keys_);
  EXPECT_THAT(machines, ElementsAre("m1", "m2", "m4"));
  RegistryFiller filler = this->filler(store_);
  EXPECT_THAT(*filler.wait_for_machines(machines, 10s), ElementsAre("m1", "m2", "m4"));
  EXPECT_GE(loop_.now(), Time(10s));
  put(keys_.machine("m2"));
  loop_.call_after(3s, [this] {
    put(keys_.machine("m1"));
    put(keys_.machine("m4"));
  });
  const Time before = loop_.now();
  EXPECT_THAT(*filler.wait_for_machines(machines, 1h), IsEmpty());
  EXPECT_LT(loop_.now() - before, 4s);
}

TEST_F(RegistryFillerTest, SaysThatTheStoreIsOutOfReach) {
  store_.set_link({.connected = false});
  RegistryFiller filler = this->filler(store_);
  EXPECT_EQ(filler.claim("x").error().code, ErrorCode::unavailable);
  EXPECT_EQ(filler.wait_for_machines({"m1"}, 10s).error().code, ErrorCode::unavailable);
}

}  // namespace
}  // namespace fleet
