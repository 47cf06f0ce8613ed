#include "tests/sim/plan.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sim/life.h"
#include "tests/sim/shorten.h"

namespace fleet {
namespace {

using namespace std::chrono_literals;

TEST(Plan, ReadsBackAsItWasWritten) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const Plan plan = make_plan(seed);
    const Result<Plan> read = parse_plan(to_text(plan));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(*read, plan) << seed;
  }
}

TEST(Plan, SaysWhichLineIsWrong) {
  const Result<Plan> plan = parse_plan("ttl 30\n@1.x start m1\n");
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message, testing::HasSubstr("@1.x start m1"));
}

TEST(Plan, ActionsOfAPhaseAreInOrder) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Duration last{};
    for (const Action& action : make_plan(seed).actions) {
      EXPECT_GE(action.at, last) << seed;
      last = action.words[0] == "rest" ? Duration{} : action.at;
    }
  }
}

TEST(Life, IsTheSameForTheSameSeedAndAnotherForAnother) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const auto hash_of = [](std::uint64_t of) { return live(make_plan(of))->trace_hash; };
    EXPECT_EQ(hash_of(seed), hash_of(seed));
    EXPECT_NE(hash_of(seed), hash_of(seed + 1));
  }
}

// A share of what fleet-sim lives, so that the sanitizers see it too.
TEST(Life, KeepsAllPromises) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const Result<Outcome> outcome = live(make_plan(seed));
    ASSERT_TRUE(outcome) << seed;
    for (const Broken& broken : outcome->broken) {
      ADD_FAILURE() << "seed " << seed << ": " << to_string(broken.promise) << ": " << broken.what;
    }
  }
}

// Each was once the shortest plan that broke a promise, or is one by hand for what was mended.
TEST(Life, KeepsThePromisesThatItOnceBroke) {
  const std::filesystem::path folder = FLEET_SOURCE_DIR "/tests/sim/regressions";
  int plans = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".plan") continue;
    ++plans;
    std::ifstream in(entry.path());
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    const Result<Plan> plan = parse_plan(text);
    ASSERT_TRUE(plan) << entry.path() << ": " << plan.error().message;
    const Result<Outcome> outcome = live(*plan);
    ASSERT_TRUE(outcome) << entry.path();
    for (const Broken& broken : outcome->broken) {
      ADD_FAILURE() << entry.path() << ": " << to_string(broken.promise) << ": " << broken.what;
    }
  }
  EXPECT_GT(plans, 0);
}

TEST(Life, SaysThatAnActionDoesNotExist) {
  const Result<Outcome> outcome = live(Plan{{}, {{1s, {"dance", "m1"}}}});
  ASSERT_TRUE(outcome);
  ASSERT_EQ(outcome->broken.size(), 1u);
  EXPECT_EQ(outcome->broken[0].what, "no such action: dance");
}

TEST(Shorten, LeavesOutWhatIsNotNeededToFail) {
  Plan plan = make_plan(3);
  plan.actions.insert(plan.actions.begin() + 10, {plan.actions[9].at, {"dance"}});
  const Plan shorter = shorten(plan, Promise::no_crash, 200);
  ASSERT_EQ(shorter.actions.size(), 1u);
  EXPECT_EQ(shorter.actions[0].words, Words{"dance"});
}

}  // namespace
}  // namespace fleet
