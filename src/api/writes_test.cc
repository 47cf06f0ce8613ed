// How writes behave when others write at the same time (committer.h).

#include "api/writes.h"

#include "api/api_fixture.h"
#include "base/limits.h"

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
  EXPECT_EQ(target("a.service").restarts, 100) << "what the other wrote beside it stays";
}

// What is about to be placed beside a unit has been decided by what that one asked for.
TEST_F(WritesTest, SayThatAnExistingUnitAsksForSomethingElse) {
  const auto revision = [this] { return backend_.mirror().requirements_changed(); };
  const auto conflicting = [](const std::string& with) {
    return R"({"desiredState":"launched","options":[{"section":"Service","name":"ExecStart",)"
           R"("value":"/bin/true"},{"section":"X-Fleet","name":"Conflicts","value":")" +
           with + R"("}]})";
  };
  EXPECT_EQ(put("a.service", conflicting("x")), 201);
  EXPECT_EQ(revision(), 0) << "nothing can have been placed beside a new one";
  EXPECT_EQ(put("a.service", conflicting("y")), 201);
  const Revision changed = revision();
  EXPECT_GT(changed, 0);
  EXPECT_EQ(put("a.service", R"({"desiredState":"loaded"})"), 204);
  EXPECT_EQ(revision(), changed);
  EXPECT_EQ(ask("DELETE", "/fleet/v1/units/a.service").status, 204);
  EXPECT_EQ(put("a.service", conflicting("z")), 201);
  EXPECT_GT(revision(), changed) << "what was destroyed may still be there";
}

TEST_F(WritesTest, RestartsAreCountedOneByOne) {
  const std::string path = "/fleet/v1/units/a.service/restart";
  EXPECT_EQ(put("a.service", body("launched")), 201);
  const auto one = send("POST", path);
  const auto other = send("POST", path);
  loop_.run_ready();
  EXPECT_EQ((*one)->body, R"({"restarts":1})");
  EXPECT_EQ((*other)->body, R"({"restarts":2})");
  EXPECT_EQ(target("a.service"), (TargetRecord{UnitState::launched, false, 2}));
  EXPECT_EQ(put("a.service", body("launched", "/bin/false")), 201);
  EXPECT_EQ(ask("POST", path).body, R"({"restarts":3})") << "goes on counting";
}

TEST_F(WritesTest, OnlyWhatIsToRunIsRestarted) {
  const std::string path = "/fleet/v1/units/a.service/restart";
  EXPECT_EQ(ask("POST", path).status, 404);
  for (const std::string state : {"inactive", "loaded"}) {
    EXPECT_EQ(put("a.service", body(state)) / 100, 2);
    const ApiResponse answer = ask("POST", path);
    EXPECT_EQ(answer.status, 409);
    EXPECT_NE(answer.body.find(state), std::string::npos) << answer.body;
  }
  EXPECT_EQ(put("a.service", R"({"desiredState":"launched"})"), 204);
  EXPECT_EQ(ask("POST", path).status, 200);
  for (const char* method : {"GET", "PUT", "DELETE", "HEAD"}) {
    EXPECT_EQ(ask(method, path).status, 405) << method;
  }

  backend_.put(keys().target("a.service"), "{");
  EXPECT_EQ(ask("POST", path).status, 500) << "how often it was restarted is not known";
  EXPECT_EQ(remove("a.service"), 204);
  EXPECT_EQ(ask("POST", path).status, 404);
}

TEST_F(WritesTest, ARestartThatWasStoppedMeanwhileIsRefused) {
  EXPECT_EQ(put("a.service", body("launched")), 201);
  interfere(1, UnitState::loaded);
  EXPECT_EQ(ask("POST", "/fleet/v1/units/a.service/restart").status, 409);
  EXPECT_EQ(target("a.service"), (TargetRecord{UnitState::loaded, false, 100}));
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
  EXPECT_EQ(answer.status, 503) << "409 would say that it is so already";
  EXPECT_NE(error_from_json(answer.body)->message.find("send it again"), std::string::npos);
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
  EXPECT_EQ((*answer)->status, 503);
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

TEST_F(WritesTest, ARegistryThatIsBeingFilledIsNotChanged) {
  EXPECT_EQ(put("a.service", body("inactive")), 201);
  backend_.put(keys().incomplete(), "fleetd registry move");
  const int before = backend_.commits;
  for (const ApiResponse& answer : {ask("PUT", "/fleet/v1/units/b.service", body("launched")),
                                    ask("DELETE", "/fleet/v1/units/a.service"),
                                    ask("POST", "/fleet/v1/units/a.service/restart"),
                                    ask("PATCH", "/fleet/v1/machines",
                                        R"([{"op":"add","path":"/m1/metadata/k","value":"v"}])")}) {
    EXPECT_EQ(answer.status, 503);
    EXPECT_NE(answer.body.find("the registry is incomplete (fleetd registry move)"),
              std::string::npos);
  }
  EXPECT_EQ(backend_.commits, before);
  EXPECT_EQ(get("/units/a.service").status, 200) << "reading is harmless";
  backend_.remove(keys().incomplete());
  EXPECT_EQ(put("b.service", body("launched")), 201);
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

class PutUnitsTest : public ApiFixture {
 protected:
  static UnitEntity unit(const std::string& name, const std::string& desired = {},
                         const std::string& command = "/bin/true") {
    UnitEntity unit;
    unit.name = name;
    unit.desired_state = desired;
    unit.options = {{"Service", "ExecStart", command}};
    return unit;
  }
  ApiResponse put_all(std::vector<UnitEntity> units) {
    return ask("PUT", "/fleet/v1/units", to_json(UnitPage{std::move(units), {}}));
  }
};

TEST_F(PutUnitsTest, SeveralArePutInOneTransaction) {
  const ApiResponse answer = put_all({unit("a.service", "launched"), unit("b.service")});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body,
            R"({"units":[{"code":201,"name":"a.service"},{"code":201,"name":"b.service"}]})");
  EXPECT_EQ(backend_.commits, 1);
  EXPECT_EQ(target("a.service").state, UnitState::launched);
  EXPECT_EQ(target("b.service").state, UnitState::inactive);
}

TEST_F(PutUnitsTest, SentAgainTheyChangeNothing) {
  const std::vector<UnitEntity> units = {unit("a.service", "launched"), unit("b.service")};
  EXPECT_EQ(put_all(units).status, 200);
  const ApiResponse answer = put_all(units);
  EXPECT_EQ(answer.body,
            R"({"units":[{"code":204,"name":"a.service"},{"code":204,"name":"b.service"}]})");
  EXPECT_EQ(target("a.service").state, UnitState::launched);
  EXPECT_EQ(target("b.service").state, UnitState::inactive);
}

// The mirror may lag: what it shows already may have been changed since.
TEST_F(PutUnitsTest, TheyArePutAlsoWhereTheySeemToBeSoAlready) {
  const std::vector<UnitEntity> units = {unit("a.service", "launched"), unit("b.service")};
  EXPECT_EQ(put_all(units).status, 200);
  bool done = false;
  backend_.before_commit = [this, &done] {
    if (std::exchange(done, true)) return;
    backend_.put(keys().target("a.service"), encode(TargetRecord{.state = UnitState::loaded}));
    backend_.remove(keys().unit("b.service"));
  };
  const ApiResponse answer = put_all(units);
  EXPECT_EQ(answer.body,
            R"({"units":[{"code":204,"name":"a.service"},{"code":201,"name":"b.service"}]})");
  EXPECT_EQ(target("a.service").state, UnitState::launched);
  EXPECT_EQ(get("/units/b.service").status, 200);
}

TEST_F(PutUnitsTest, OneThatIsRefusedKeepsTheOthersOut) {
  UnitEntity nothing;
  nothing.name = "b.service";
  nothing.desired_state = "launched";
  const ApiResponse answer = put_all({unit("a.service"), nothing});
  EXPECT_EQ(answer.status, 409);
  EXPECT_NE(answer.body.find("unit b.service"), std::string::npos) << answer.body;
  EXPECT_EQ(backend_.commits, 0);
  EXPECT_EQ(get("/units/a.service").status, 404);
}

TEST_F(PutUnitsTest, AreDecidedAnewWhenOneHasChangedMeanwhile) {
  EXPECT_EQ(put("a.service", body("inactive")), 201);
  bool done = false;
  backend_.before_commit = [this, &done] {
    if (std::exchange(done, true)) return;
    backend_.put(keys().target("a.service"), encode(TargetRecord{.restarts = 7}));
  };
  UnitEntity start;
  start.name = "a.service";
  start.desired_state = "launched";
  EXPECT_EQ(put_all({unit("b.service"), start}).status, 200);
  EXPECT_EQ(target("a.service"), (TargetRecord{UnitState::launched, false, 7}));
  EXPECT_EQ(get("/units/b.service").status, 200);
}

TEST_F(PutUnitsTest, AreCheckedBeforeAnythingIsDone) {
  EXPECT_EQ(put_all({}).status, 400);
  EXPECT_EQ(ask("PUT", "/fleet/v1/units", "[]").status, 400);
  EXPECT_EQ(put_all({unit("a.service"), unit("a.service")}).status, 400) << "twice";
  EXPECT_EQ(put_all({unit("a.service"), unit("a")}).status, 400) << "no unit name";
  EXPECT_EQ(put_all({unit("a.service", "running")}).status, 400) << "no state";
  ApiRequest request{"PUT", "/fleet/v1/units", {"text/plain"}, "{}", "test"};
  const auto answer = send(request);
  EXPECT_EQ((*answer)->status, 415);

  std::vector<UnitEntity> units;
  for (std::size_t i = 0; i < limits::kPutUnits; ++i) {
    units.push_back(unit("u" + std::to_string(i) + ".service"));
  }
  units.push_back(unit("one-more.service"));
  EXPECT_EQ(put_all(units).status, 400) << "too many";
  EXPECT_EQ(backend_.commits, 0);
  units.pop_back();
  EXPECT_EQ(put_all(units).status, 200);
  EXPECT_EQ(backend_.commits, 1);
}

// Each alone would write that what units ask for has changed: a transaction writes a key once.
TEST_F(PutUnitsTest, AsManyAsThereMayBeCanChangeWhatTheyAskForAtOnce) {
  std::vector<UnitEntity> units;
  for (std::size_t i = 0; i < limits::kPutUnits; ++i) {
    units.push_back(unit("u" + std::to_string(i) + ".service"));
  }
  EXPECT_EQ(put_all(units).status, 200);
  for (UnitEntity& each : units) each.options.push_back({"X-Fleet", "Conflicts", "x.service"});
  EXPECT_EQ(put_all(units).status, 200);
}

TEST_F(PutUnitsTest, WhatIsTooLargeForOneTransactionIsRefused) {
  // Lines have a limit of their own.
  UnitEntity large = unit("a.service");
  for (int i = 0; i < 180; ++i) {
    large.options.push_back({"Service", "Environment", std::string(2'000, 'x')});
  }
  std::vector<UnitEntity> units;
  for (const std::string name : {"a.service", "b.service", "c.service"}) {
    units.push_back(large);
    units.back().name = name;
  }
  EXPECT_EQ(put_all(units).status, 413);
  units.pop_back();
  EXPECT_EQ(put_all(units).status, 200);
}

}  // namespace
}  // namespace fleet
