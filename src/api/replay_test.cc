// Replays what was recorded from fleet 1.0 (tests/golden/api-v1-transcript.jsonl) and compares
// status, media type and body; of errors, whose wording is ours, only the code. The test plays the
// engine, the agent and the person who cleaned up between the recorded steps.

#include <fstream>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "api/api_fixture.h"

namespace fleet {
namespace {

namespace json = boost::json;

// Where fleet differs from 1.0 on purpose: rows of section 8 of the behaviour document.
struct Deviation {
  int row;
  std::string_view note;
  std::string_view body;  // of the request
  int status;             // ours
};
constexpr Deviation kDeviations[] = {
    // section 8, row 1: a metadata value may also be a plain string.
    {1, "metadata patch", R"([{"op":"add","path":"/nosuchmachine/metadata/foo","value":"x"}])",
     204},
    // section 8, row 5: an invalid desired state is the caller's mistake, not the server's.
    {5, "bogus desired state",
     R"({"desiredState":"bogus","options":[{"section":"Service","name":"ExecStart",)"
     R"("value":"/bin/sleep 100000"}]})",
     400},
};

std::string text_of(const json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : std::string();
}

// As 1.0 writes it.
std::string go_json(const json::value& value) {
  std::string out;
  for (const char c : json::serialize(value)) {
    if (c == '<') {
      out += "\\u003c";
    } else if (c == '>') {
      out += "\\u003e";
    } else if (c == '&') {
      out += "\\u0026";
    } else {
      out += c;
    }
  }
  return out;
}

class ReplayTest : public ApiFixture {
 protected:
  static constexpr const char* kFirstMachine = "0e3a9c30ddfb4eae8bdaf53ec6464b74";

  void add_recorded_machine(const std::string& id, const std::string& ip, const std::string& az) {
    MachineRecord machine;
    machine.id = id;
    machine.public_ip = ip;
    machine.metadata = {{"az", az}, {"disk", "ssd"}};
    backend_.put(keys().machine(id), encode(machine));
  }

  // What the engine and the agent did before a recorded step.
  void play_cluster(const std::string& note, const std::string& path) {
    if (note == "after loaded") {
      schedule(kFirstMachine, "a.service", UnitState::loaded);
      report(kFirstMachine, "a.service", UnitState::loaded);
    } else if (note == "after launched") {
      schedule(kFirstMachine, "a.service", UnitState::launched);
      report(kFirstMachine, "a.service", UnitState::launched);
    } else if (note == "after new options") {
      backend_.remove(keys().state(kFirstMachine, "a.service"));
    } else if (path.ends_with("/units?bogus=1")) {
      // By then the person who recorded it had destroyed everything else.
      for (const std::string& name : names()) {
        if (name != "a.service") EXPECT_EQ(remove(name), 204);
      }
    }
  }

  std::vector<std::string> names(std::string* token = nullptr, const std::string& query = {}) {
    std::vector<std::string> found;
    const Result<UnitPage> page = unit_page_from_json(get("/units" + query).body);
    for (const UnitEntity& unit : page->units) found.push_back(unit.name);
    if (token != nullptr) *token = page->next_page_token;
    return found;
  }

  void replay_exchange(const json::object& step) {
    const std::string note = text_of(step.at("note"));
    const json::object& sent = step.at("request").as_object();
    const json::object& recorded = step.at("response").as_object();
    ApiRequest request;
    request.method = text_of(sent.at("method"));
    request.target = text_of(sent.at("path"));
    if (sent.at("content_type").is_string()) {
      request.content_types = {text_of(sent.at("content_type"))};
    }
    const json::value& body = sent.at("body");
    request.body = body.is_string() ? text_of(body) : body.is_null() ? "" : json::serialize(body);
    const std::string shown =
        note + ": " + request.method + " " + request.target + " " + request.body.substr(0, 200);
    SCOPED_TRACE(shown);

    play_cluster(note, request.target);
    int status = static_cast<int>(recorded.at("status").as_int64());
    bool deviates = false;
    for (const Deviation& deviation : kDeviations) {
      if (deviation.note != note || deviation.body != request.body) continue;
      EXPECT_NE(status, deviation.status) << "row " << deviation.row << " is no deviation";
      status = deviation.status;
      deviates = true;
    }

    const auto answered = send(request);
    loop_.run_ready();
    ASSERT_TRUE(*answered);
    const ApiResponse& answer = **answered;
    ASSERT_EQ(answer.status, status) << answer.body;
    EXPECT_EQ(answer.content_type, text_of(recorded.at("content_type")));
    if (deviates) {
      ++deviations_;
    } else if (status >= 400) {
      EXPECT_EQ(error_from_json(answer.body)->code, status) << answer.body;
    } else {
      const json::value& wanted = recorded.at("body");
      EXPECT_EQ(answer.body, wanted.is_null() ? "" : go_json(wanted));
    }
  }

  // The recording has of these only the names at both ends, the number and the token.
  void replay_page(const json::object& step) {
    SCOPED_TRACE(text_of(step.at("note")));
    if (page_token_.empty()) {
      for (int i = 0; i < 230; ++i) {
        std::string number = std::to_string(i);
        number.insert(0, 3 - number.size(), '0');
        ASSERT_EQ(put("p" + number + ".service", body("inactive")), 201);
      }
    }
    const std::string query = page_token_.empty() ? "" : "?nextPageToken=" + page_token_;
    const std::vector<std::string> found = names(&page_token_, query);
    const json::array& ends = step.at("names").as_array();
    ASSERT_EQ(static_cast<std::int64_t>(found.size()), step.at("count").as_int64());
    EXPECT_EQ(found.front(), text_of(ends.front()));
    EXPECT_EQ(found.back(), text_of(ends.back()));
    EXPECT_EQ(page_token_, text_of(step.at("nextPageToken")));
  }

  std::string page_token_;
  std::size_t deviations_ = 0;
};

TEST_F(ReplayTest, AnswersAsFleet1_0Did) {
  add_recorded_machine(kFirstMachine, "172.18.1.1", "z1");
  add_recorded_machine("ac7533fb580d4961b8cdf54fd30fcab9", "172.18.1.2", "z2");
  add_recorded_machine("bb6187444b8b4b039e06882e2f0162da", "172.18.1.3", "z3");

  std::ifstream recording(FLEET_SOURCE_DIR "/tests/golden/api-v1-transcript.jsonl");
  ASSERT_TRUE(recording);
  int steps = 0;
  for (std::string line; std::getline(recording, line); ++steps) {
    const json::object step = json::parse(line).as_object();
    if (step.contains("request")) {
      replay_exchange(step);
    } else {
      replay_page(step);
    }
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(steps, 149);
  EXPECT_EQ(deviations_, std::size(kDeviations));
}

}  // namespace
}  // namespace fleet
