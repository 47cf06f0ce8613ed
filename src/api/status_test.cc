// The long poll GET /fleet/v1/status.

#include "api/json/status.h"

#include "api/api_fixture.h"
#include "base/limits.h"

namespace fleet {
namespace {

using std::chrono::seconds;

class StatusTest : public ApiFixture {
 protected:
  StatusTest() {
    EXPECT_EQ(put("a.service", body("launched")), 201);
    EXPECT_EQ(put("g.service", body("launched", "/bin/true", "Global=true")), 201);
    add_machine("m1");
    add_machine("m2");
  }

  StatusEntity now(const std::string& query) {
    const ApiResponse answer = get("/status" + query);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return status_from_json(answer.body).value_or(StatusEntity{});
  }
  // Waits for news of what is the case now.
  std::shared_ptr<std::optional<ApiResponse>> wait_for(const std::string& names) {
    const std::string after = std::to_string(backend_.mirror().revision());
    auto answer = send("GET", "/fleet/v1/status?after=" + after + names);
    loop_.run_ready();
    EXPECT_FALSE(*answer) << "there are no news";
    return answer;
  }
  static StatusEntity read(const std::shared_ptr<std::optional<ApiResponse>>& answer) {
    EXPECT_TRUE(*answer);
    return status_from_json((*answer).value_or(ApiResponse{}).body).value_or(StatusEntity{});
  }
};

TEST_F(StatusTest, SaysWhatTheClusterKnows) {
  schedule("m1", "a.service", UnitState::launched);
  report("m1", "a.service", UnitState::loaded);
  report("m2", "a.service", UnitState::launched);
  schedule("m1", "g.service", UnitState::launched);
  backend_.explanations["a.service"] = {"m1 is slow", {{"m2", "metadata"}}};

  const StatusEntity status =
      now("?unit=g.service&unit=a.service&unit=none.service&unit=a.service");
  EXPECT_EQ(status.revision, backend_.mirror().revision());
  EXPECT_EQ(status.missing, std::vector<std::string>{"none.service"});
  ASSERT_EQ(status.units.size(), 2U);
  const UnitStatusEntity& a = status.units[0];
  const std::string hash = backend_.mirror().unit("a.service")->unit->hash;
  EXPECT_EQ(a.name, "a.service");
  EXPECT_EQ(a.desired_state, "launched");
  EXPECT_EQ(a.current_state, "loaded");
  EXPECT_EQ(a.machine_id, "m1");
  EXPECT_EQ(a.hash, hash);
  EXPECT_EQ(a.reason, "m1 is slow");
  EXPECT_EQ(a.unplaceable, (std::vector<RefusalEntity>{{"m2", "metadata"}}));
  EXPECT_EQ(a.machines,
            (std::vector<UnitOnMachineEntity>{
                {"m1", "launched", "loaded", hash, "loaded", "inactive", "dead", ""},
                {"m2", "inactive", "launched", hash, "loaded", "active", "running", ""}}));
  const UnitStatusEntity& g = status.units[1];
  EXPECT_TRUE(g.global);
  EXPECT_EQ(g.machine_id, "");
  EXPECT_EQ(g.machines,
            (std::vector<UnitOnMachineEntity>{{"m1", "launched", "", "", "", "", "", ""}}));

  EXPECT_EQ(now("").units.size(), 2U);
  EXPECT_TRUE(now("").missing.empty());
}

TEST_F(StatusTest, CountsRestartsAskedForAndCarriedOut) {
  schedule("m1", "a.service", UnitState::launched);
  report("m1", "a.service", UnitState::launched);
  EXPECT_EQ(get("/status?unit=a.service").body.find("restarts"), std::string::npos);
  const auto news = wait_for("&unit=a.service");
  EXPECT_EQ(ask("POST", "/fleet/v1/units/a.service/restart").body, R"({"restarts":1})");
  EXPECT_EQ(read(news).units.at(0).restarts, 1);
  EXPECT_EQ(ask("POST", "/fleet/v1/units/a.service/restart").body, R"({"restarts":2})");

  StateRecord said = *backend_.mirror().unit("a.service")->states.at("m1").value;
  said.restarts = 1;
  backend_.put(keys().state("m1", "a.service"), encode(said));
  const StatusEntity status = now("?unit=a.service");
  EXPECT_EQ(status.units.at(0).restarts, 2);
  EXPECT_EQ(status.units.at(0).machines.at(0).restarts, 1);
}

TEST_F(StatusTest, AnswersAtOnceWhatIsNewer) {
  EXPECT_EQ(now("?unit=a.service&after=0").units.size(), 1U);
  const std::string before = std::to_string(backend_.mirror().unit("a.service")->changed - 1);
  EXPECT_EQ(now("?unit=a.service&after=" + before).units.size(), 1U);
  EXPECT_EQ(now("?after=" + before).units.size(), 2U);
  for (const char* bad :
       {"?after=", "?after=x", "?after=-1", "?after=1x", "?after=99999999999999999999"}) {
    EXPECT_EQ(get(std::string("/status") + bad).status, 400) << bad;
  }
}

TEST_F(StatusTest, WaitsForAChangeOfTheUnit) {
  const auto answer = wait_for("&unit=a.service");
  const auto other = wait_for("&unit=g.service");
  const auto all = wait_for("");
  schedule("m1", "a.service", UnitState::launched);
  EXPECT_EQ(read(answer).units.at(0).machine_id, "m1");
  EXPECT_EQ(read(all).units.size(), 2U);
  EXPECT_FALSE(*other);
  report("m2", "g.service", UnitState::loaded);
  EXPECT_EQ(read(other).units.at(0).machines.size(), 1U);
  EXPECT_TRUE(loop_.idle());
}

TEST_F(StatusTest, AnswersAfterThirtySecondsWithWhatIs) {
  const auto answer = wait_for("&unit=a.service&unit=none.service");
  loop_.run_for(seconds(29));
  EXPECT_FALSE(*answer);
  loop_.run_for(seconds(2));
  EXPECT_EQ(read(answer).units.at(0).name, "a.service");
  EXPECT_EQ(read(answer).missing, std::vector<std::string>{"none.service"});
}

TEST_F(StatusTest, SeesUnitsAppear) {
  const auto answer = wait_for("&unit=none.service");
  EXPECT_EQ(put("none.service", body("inactive")), 201);
  EXPECT_EQ(read(answer).units.at(0).name, "none.service");
}

TEST_F(StatusTest, FollowsADestroyToItsEnd) {
  schedule("m1", "a.service", UnitState::launched);
  report("m1", "a.service", UnitState::launched);
  auto answer = wait_for("&unit=a.service");
  EXPECT_EQ(remove("a.service"), 204);
  EXPECT_TRUE(read(answer).units.at(0).destroyed);
  EXPECT_EQ(read(answer).missing, std::vector<std::string>{"a.service"});

  answer = wait_for("&unit=a.service");
  backend_.remove(keys().schedule("m1", "a.service"));
  EXPECT_EQ(read(answer).units.at(0).machines.size(), 1U);
  const std::string known = std::to_string(read(answer).revision);
  answer = wait_for("&unit=a.service");
  backend_.remove(keys().state("m1", "a.service"));
  EXPECT_TRUE(read(answer).units.at(0).machines.empty());
  backend_.remove(keys().target("a.service"));

  // Gone without a trace in the mirror, and yet news to who knew it.
  const StatusEntity gone = now("?unit=a.service&after=" + known);
  EXPECT_TRUE(gone.units.empty());
  EXPECT_EQ(gone.missing, std::vector<std::string>{"a.service"});
  EXPECT_EQ(now("?after=" + known).units.size(), 1U);
  wait_for("&unit=a.service");
}

TEST_F(StatusTest, MachinesAreNewsToAUnitThatAwaitsAPlace) {
  backend_.explanations["a.service"] = {"no machine may run it", {}};
  const auto answer = wait_for("&unit=a.service");
  const auto content = wait_for("&unit=g.service");
  const std::string before = std::to_string(backend_.mirror().revision());
  add_machine("m3");
  EXPECT_EQ(read(answer).units.at(0).reason, "no machine may run it");
  EXPECT_FALSE(*content);
  EXPECT_EQ(now("?unit=a.service&after=" + before).units.size(), 1U);
  backend_.explanations.clear();
  const auto placed = send("GET", "/fleet/v1/status?unit=a.service&after=" + before);
  loop_.run_ready();
  EXPECT_FALSE(*placed);
}

TEST_F(StatusTest, AMirrorReadAnewIsNews) {
  const auto answer = wait_for("&unit=a.service");
  const std::string before = std::to_string(backend_.mirror().revision());
  backend_.hold_mirror(true);
  backend_.remove(keys().target("a.service"));
  backend_.remove(keys().unit("a.service"));
  backend_.reload_mirror();
  EXPECT_EQ(read(answer).missing, std::vector<std::string>{"a.service"});
  EXPECT_EQ(now("?unit=a.service&after=" + before).missing.size(), 1U);
  wait_for("&unit=a.service");
}

TEST_F(StatusTest, ARevisionFromTheFutureWaitsForIt) {
  const std::string later = std::to_string(backend_.mirror().revision() + 1);
  const auto answer = send("GET", "/fleet/v1/status?unit=a.service&after=" + later);
  schedule("m1", "a.service", UnitState::loaded);
  EXPECT_FALSE(*answer);
  schedule("m1", "a.service", UnitState::launched);
  EXPECT_TRUE(*answer);
}

TEST_F(StatusTest, LossOfTheStoreEndsEveryWait) {
  const auto answer = wait_for("&unit=a.service");
  backend_.lose_store({ErrorCode::unavailable, "gone"});
  ASSERT_TRUE(*answer);
  EXPECT_EQ((*answer)->status, 503);
  EXPECT_TRUE(loop_.idle());
}

TEST_F(StatusTest, OnlySoManyMayWait) {
  for (std::size_t i = 0; i < limits::kApiWaiters; ++i) wait_for("&unit=a.service");
  const std::string after = std::to_string(backend_.mirror().revision());
  EXPECT_EQ(get("/status?unit=a.service&after=" + after).status, 503);
  EXPECT_EQ(now("?unit=a.service").units.size(), 1U);
  schedule("m1", "a.service", UnitState::launched);
  EXPECT_TRUE(loop_.idle());
}

TEST_F(StatusTest, UnreadableKeysAreTheReason) {
  backend_.put(keys().schedule("m1", "a.service"), "?");
  const UnitStatusEntity a = now("?unit=a.service").units.at(0);
  EXPECT_NE(a.reason.find(keys().schedule("m1", "a.service")), std::string::npos);
  EXPECT_EQ(a.machines.at(0).state, "");
  EXPECT_EQ(a.machines.at(0).problem, a.reason);
}

}  // namespace
}  // namespace fleet
