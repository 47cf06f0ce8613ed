// How writes behave when others write at the same time (committer.h).

#include "api/writes.h"

#include "api/api_fixture.h"

namespace fleet {
namespace {

using std::chrono::seconds;

class WritesTest : public ApiFixture {
 protected:
  // Another client sets the target of a.service just before each of the next `times` commits.
  void interfere(int times, UnitState state = UnitState::loaded) {
    backend_.before_commit = [this, times, state]() mutable {
      if (times-- <= 0) return;
      backend_.put(keys().target("a.service"),
                   encode(TargetRecord{.state = state,
                                       .restarts = static_cast<std::uint64_t>(100 - times)}));
    };
  }
};

TEST_F(WritesTest, DecidesAnewWhenSomethingChangedMeanwhile) {
  EXPECT_EQ(put("a.service", body("inactive")), 201);
  interfere(1);
  EXPECT_EQ(put("a.service", R"({"desiredState":"launched"})"), 204);
  EXPECT_EQ(backend_.commits, 3);
  EXPECT_EQ(target("a.service"), (TargetRecord{UnitState::launched, false, 100}));
}

TEST_F(WritesTest, AnotherMayHaveDoneTheSame) {
  EXPECT_EQ(put("a.service", body("inactive")), 201);
  interfere(1, UnitState::launched);
  EXPECT_EQ(put("a.service", R"({"desiredState":"launched"})"), 204);
  EXPECT_EQ(backend_.commits, 2);
}

TEST_F(WritesTest, OfTwoThatCreateOneReplacesTheOther) {
  const auto one = send("PUT", "/fleet/v1/units/a.service", body("inactive", "/bin/one"));
  const auto other = send("PUT", "/fleet/v1/units/a.service", body("loaded", "/bin/other"));
  loop_.run_ready();
  EXPECT_EQ((*one)->status, 201);
  EXPECT_EQ((*other)->status, 201);
  EXPECT_EQ(backend_.commits, 3);
  EXPECT_EQ(target("a.service").state, UnitState::loaded);
}

TEST_F(WritesTest, OfTwoThatDestroyOneFindsNothing) {
  EXPECT_EQ(put("a.service", body("inactive")), 201);
  const auto one = send("DELETE", "/fleet/v1/units/a.service");
  const auto other = send("DELETE", "/fleet/v1/units/a.service");
  loop_.run_ready();
  EXPECT_EQ((*one)->status, 204);
  EXPECT_EQ((*other)->status, 404);
}

TEST_F(WritesTest, WaitsUntilTheMirrorShowsWhatChanged) {
  EXPECT_EQ(put("a.service", body("inactive")), 201);
  interfere(1);
  backend_.hold_mirror(true);
  // The put before the commit is held back too, so the write waits for it.
  const auto answer = send("PUT", "/fleet/v1/units/a.service", R"({"desiredState":"launched"})");
  loop_.run_for(seconds(3));
  EXPECT_FALSE(*answer);
  EXPECT_EQ(backend_.commits, 2);
  backend_.hold_mirror(false);
  loop_.run_ready();
  ASSERT_TRUE(*answer);
  EXPECT_EQ((*answer)->status, 204);
  EXPECT_EQ(target("a.service").state, UnitState::launched);
  EXPECT_TRUE(loop_.idle());
}

TEST_F(WritesTest, GivesUpAfterFiveTries) {
  EXPECT_EQ(put("a.service", body("inactive")), 201);
  interfere(1'000);
  const ApiResponse answer =
      ask("PUT", "/fleet/v1/units/a.service", R"({"desiredState":"launched"})");
  EXPECT_EQ(answer.status, 409);
  EXPECT_NE(error_from_json(answer.body)->message.find("try again"), std::string::npos);
  EXPECT_EQ(backend_.commits, 6);
}

TEST_F(WritesTest, GivesUpAfterFiveSeconds) {
  EXPECT_EQ(put("a.service", body("inactive")), 201);
  interfere(1);
  backend_.hold_mirror(true);
  const auto answer = send("DELETE", "/fleet/v1/units/a.service");
  loop_.run_for(seconds(4));
  EXPECT_FALSE(*answer);
  loop_.run_for(seconds(2));
  ASSERT_TRUE(*answer);
  EXPECT_EQ((*answer)->status, 409);
}

TEST_F(WritesTest, ALostStoreEndsTheWait) {
  EXPECT_EQ(put("a.service", body("inactive")), 201);
  interfere(1);
  backend_.hold_mirror(true);
  const auto answer = send("DELETE", "/fleet/v1/units/a.service");
  loop_.run_for(seconds(1));
  backend_.lose_store({ErrorCode::unavailable, "gone"});
  ASSERT_TRUE(*answer);
  EXPECT_EQ((*answer)->status, 503);
  EXPECT_TRUE(loop_.idle());
}

TEST_F(WritesTest, ErrorsOfTheStore) {
  EXPECT_EQ(put("a.service", body("inactive")), 201);
  const auto destroy_with = [this](ErrorCode code) {
    backend_.commit_error = Error{code, "the reason"};
    return ask("DELETE", "/fleet/v1/units/a.service");
  };
  const ApiResponse unknown = destroy_with(ErrorCode::unavailable);
  EXPECT_EQ(unknown.status, 503);
  EXPECT_NE(unknown.body.find("may or may not"), std::string::npos);
  EXPECT_NE(unknown.body.find("the reason"), std::string::npos);
  EXPECT_EQ(destroy_with(ErrorCode::denied).status, 503);
  EXPECT_EQ(destroy_with(ErrorCode::too_large).status, 400);
  EXPECT_EQ(destroy_with(ErrorCode::invalid).status, 500);
}

}  // namespace
}  // namespace fleet
