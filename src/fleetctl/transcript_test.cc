// Replays what was recorded from fleet 1.0's fleetctl (tests/golden/fleetctl-transcript.jsonl),
// every line of it, and compares exit code, stdout and stderr. What answers is a cluster of three
// machines in this process: the real node, engine, agent and API on a virtual clock.
#include <filesystem>
#include <fstream>
#include <sstream>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "fleetctl/fake_host.h"
#include "fleetctl/run.h"
#include "net/test_socket.h"
#include "tests/sim/cluster.h"

namespace fleet::ctl {
namespace {

namespace json = boost::json;
using fleet::testing::TempDir;

struct Outcome {
  int exit_code = 0;
  std::string out;
  std::string err;

  bool operator==(const Outcome&) const = default;
  friend void PrintTo(const Outcome& outcome, std::ostream* to) {
    *to << "exit " << outcome.exit_code << "\n--- stdout\n"
        << outcome.out << "--- stderr\n"
        << outcome.err;
  }
};

class ClusterClock final : public Clock {
 public:
  explicit ClusterClock(Cluster& cluster) : cluster_(cluster) {}
  Time now() const override { return cluster_.loop.now(); }
  void sleep(std::chrono::milliseconds duration) override { cluster_.run(duration); }

 private:
  Cluster& cluster_;
};

// Asks the fleetd of one machine, while the cluster's time passes.
class ClusterHttp final : public HttpClient {
 public:
  ClusterHttp(Cluster& cluster, std::string machine)
      : cluster_(cluster), machine_(std::move(machine)) {}

  Result<HttpResponse> send(const HttpRequest& request,
                            std::chrono::milliseconds timeout) override {
    const auto answer = std::make_shared<std::optional<HttpResponse>>();
    const Time end = cluster_.loop.now() + timeout;
    cluster_.at(machine_).node->handle(
        {request.method, request.target, request.header_values("Content-Type"), request.body,
         "unix uid 0"},
        [answer](const ApiResponse& response) {
          *answer = HttpResponse{response.status, {}, response.body};
        });
    cluster_.loop.run_until_true([&] { return answer->has_value(); }, timeout);
    if (*answer) return **answer;
    cluster_.loop.run_until(end);
    return fail(ErrorCode::unavailable, "no answer");
  }

 private:
  Cluster& cluster_;
  std::string machine_;
};

Outcome no_command(const std::string& word) {
  return {2, "",
          fmt::format("Error: unknown command \"{0}\" for \"fleetctl\"\nRun 'fleetctl --help' for "
                      "usage.\ncannot execute cmdFleet: unknown command \"{0}\" for \"fleetctl\"\n",
                      word)};
}

// Where fleetctl differs from 1.0 on purpose: the line of the recording, why (with the row of the
// behaviour document's section 8), and what it does instead. @HELP@ is the text of `fleetctl help`.
struct Deviation {
  int line;
  std::string_view why;
  Outcome ours;
};

std::vector<Deviation> deviations() {
  return {
      {10,
       "section 8, row 39: -l works",
       {0,
        "MACHINE\t\t\t\t\tIP\t\tMETADATA\n"
        "0e3a9c30ddfb4eae8bdaf53ec6464b74\t172.18.1.1\taz=z1\n"
        "ac7533fb580d4961b8cdf54fd30fcab9\t172.18.1.2\taz=z2,disk=ssd\n"
        "bb6187444b8b4b039e06882e2f0162da\t172.18.1.3\taz=z3,disk=ssd\n",
        ""}},
      {45, "section 8, row 43: said once", {0, "Triggered unit hello.service start\n", ""}},
      {54,
       "the error names file and line",
       {1, "",
        "Error creating units: failed getting Unit(bad.service) from file: bad.service: line 1: "
        "unable to find end of section: \"]\" is missing\n"}},
      {55,
       "checked before it is sent, in words for people",
       {1, "",
        "Error creating units: failed creating unit bad2.service: its file has no options in "
        "it\n"}},
      {57,
       "checked before it is sent, in words for people",
       {1, "",
        "Error creating units: failed creating unit empty.service: its file has no options in "
        "it\n"}},
      {70,
       "says what it waits for",
       {1, "Unit app@4.service inactive\n",
        "Waiting for unit app@4.service: no machine may run it\n"
        "  0e3a9c30.../172.18.1.1: conflicts with app@1.service, which runs there\n"
        "  ac7533fb.../172.18.1.2: conflicts with app@2.service, which runs there\n"
        "  bb618744.../172.18.1.3: conflicts with app@3.service, which runs there\n"
        "Error waiting for units: timed out waiting for unit app@4.service to report state "
        "launched\n"
        "Error waiting for unit states, exit status: timed out waiting for unit app@4.service to "
        "report state launched\n"}},
      {72,
       "the API's own words, and what to do",
       {1, "",
        "Error starting units: unit app@.service is a template, which can only be inactive: "
        "launch an instance of it (HTTP 400)\n"}},
      {75,
       "section 8, row 58: the machine is never missing",
       {0,
        "Unit side@1.service inactive\nUnit side@2.service inactive\n"
        "Unit side@1.service launched on 0e3a9c30.../172.18.1.1\n"
        "Unit side@2.service launched on ac7533fb.../172.18.1.2\n",
        ""}},
      {81,
       "section 8, row 27: a change acts at once",
       {0,
        "UNIT\t\tMACHINE\t\t\tACTIVE\t\tSUB\n"
        "app@1.service\t0e3a9c30.../172.18.1.1\tactive\t\trunning\n"
        "app@2.service\tac7533fb.../172.18.1.2\tactive\t\trunning\n"
        "app@3.service\tbb618744.../172.18.1.3\tactive\t\trunning\n"
        "glob.service\t0e3a9c30.../172.18.1.1\tinactive\tdead\n"
        "glob.service\tac7533fb.../172.18.1.2\tinactive\tdead\n"
        "glob.service\tbb618744.../172.18.1.3\tinactive\tdead\n"
        "side@1.service\t0e3a9c30.../172.18.1.1\tactive\t\trunning\n"
        "side@2.service\tac7533fb.../172.18.1.2\tactive\t\trunning\n",
        ""}},
      {85,
       "says what it waits for",
       {1, "Unit nowhere.service inactive\n",
        "Waiting for unit nowhere.service: no machine may run it\n"
        "  0e3a9c30.../172.18.1.1: has metadata az=z1 (wanted: az=nowhere)\n"
        "  ac7533fb.../172.18.1.2: has metadata az=z2 (wanted: az=nowhere)\n"
        "  bb618744.../172.18.1.3: has metadata az=z3 (wanted: az=nowhere)\n"
        "Error waiting for units: timed out waiting for unit nowhere.service to report state "
        "launched\n"
        "Error waiting for unit states, exit status: timed out waiting for unit nowhere.service "
        "to report state launched\n"}},
      {87,
       "section 8, row 44: a oneshot that ends well is a success",
       {0,
        "Unit oneshot.service inactive\n"
        "Unit oneshot.service launched on bb618744.../172.18.1.3\n",
        ""}},
      {88,
       "section 8, row 44: it says what failed, and when it does",
       {1, "Unit fails.service inactive\nUnit fails.service launched on 0e3a9c30.../172.18.1.1\n",
        "Error waiting for units: unit fails.service failed on 0e3a9c30.../172.18.1.1: systemd "
        "says failed (failed); \"fleetctl status fails.service\" shows more\n"}},
      {94,
       "content and state are replaced in one write: the unit never is inactive",
       {0, "Unit ssd.service launched on ac7533fb.../172.18.1.2\n", ""}},
      {100,
       "section 8, rows 41 and 43: it restarts, and says so once",
       {0, "Unit ssd.service launched on ac7533fb.../172.18.1.2\n",
        "Unit(ssd.service) was restarted.\n"}},
      {106,
       "section 8, row 49: of a global unit it tells what the cluster knows",
       {0,
        "glob.service\n"
        "     Hash: c8249a246e4a4c730c7a72660cf9cd501b7f76dc\n"
        "  Desired: launched\n"
        "  Current: launched\n"
        "    Where: global, running on 3 of 3 machines\n"
        "  systemd: active (running) on 0e3a9c30.../172.18.1.1\n"
        "  systemd: active (running) on ac7533fb.../172.18.1.2\n"
        "  systemd: active (running) on bb618744.../172.18.1.3\n\n"
        "It runs on several machines; on one of them: fleetctl ssh --machine MACHINE systemctl "
        "status glob.service\n",
        ""}},
      {107, "section 8, row 38", no_command("bogus")},
      {108, "another version", {0, "fleetctl version 2.0.0\n", ""}},
      {109, "another version", {0, "fleetctl version 2.0.0\n", ""}},
      {110, "one text for all ways to ask for help", {0, "@HELP@", ""}},
      {111,
       "one text for all ways to ask for help; the line on stderr is ended",
       {0, "@HELP@", "Unknown help topic [`bogus`].\n"}},
      {112,
       "section 8, row 27: what was destroyed is gone at once, and what it blocked runs",
       {0,
        "UNIT\t\tMACHINE\t\t\tACTIVE\t\tSUB\n"
        "app@3.service\tbb618744.../172.18.1.3\tactive\t\trunning\n"
        "app@4.service\t0e3a9c30.../172.18.1.1\tactive\t\trunning\n"
        "fails.service\t0e3a9c30.../172.18.1.1\tfailed\t\tfailed\n"
        "glob.service\t0e3a9c30.../172.18.1.1\tactive\t\trunning\n"
        "glob.service\tac7533fb.../172.18.1.2\tactive\t\trunning\n"
        "glob.service\tbb618744.../172.18.1.3\tactive\t\trunning\n"
        "oneshot.service\tbb618744.../172.18.1.3\tinactive\tdead\n"
        "ssd.service\tac7533fb.../172.18.1.2\tactive\t\trunning\n",
        ""}},
      {113,
       "section 8, row 38",
       {2, "", "Error: unknown flag: --bogus\n\ncannot execute cmdFleet: unknown flag: --bogus\n"}},
      {114,
       "not Go's words, and what to do",
       {1, "",
        "Error retrieving list of active machines from fleet API (cannot connect to "
        "http://127.0.0.1:1: Connection refused; is fleetd running there, and does its "
        "fleet.socket listen on that address? --endpoint or FLEETCTL_ENDPOINT names another one)\n"
        "Possible issues:\n"
        "  etcd is unhealthy and/or lost quorum\n"
        "  connection cannot be established to any etcd servers\n"}},
      {115,
       "not Go's words, and what to do",
       {1, "",
        "Error retrieving list of active machines from fleet API (cannot connect to /nosuch.sock: "
        "No such file or directory; is fleetd running on this machine (systemctl status "
        "fleet.socket fleet.service)? --endpoint or FLEETCTL_ENDPOINT names another one)\n"
        "Possible issues:\n"
        "  etcd is unhealthy and/or lost quorum\n"
        "  connection cannot be established to any etcd servers\n"}},
      {116,
       "found before anything is asked",
       {1, "",
        "Unable to initialize client: invalid endpoint \"bogus://x\": unsupported protocol scheme "
        "\"bogus\" (write http://HOST[:PORT], https://HOST[:PORT] or unix:///PATH)\n"}},
      {121,
       "section 8, row 27: app@4.service has been started long ago",
       {0,
        "app@.service\tad33b09\tinactive\tinactive\t-\n"
        "app@3.service\tad33b09\tlaunched\tlaunched\tbb618744.../172.18.1.3\n"
        "app@4.service\tad33b09\tlaunched\tlaunched\t0e3a9c30.../172.18.1.1\n"
        "cont.service\tb928165\tinactive\tinactive\t-\n"
        "fails.service\t1fa41b0\tlaunched\tlaunched\t0e3a9c30.../172.18.1.1\n"
        "glob.service\tc8249a2\tlaunched\t-\t\tglobal\n"
        "hello2.service\tf2c9561\tlaunched\tlaunched\tac7533fb.../172.18.1.2\n"
        "nowhere.service\t652e558\tlaunched\tinactive\t-\n"
        "oneshot.service\tb563664\tlaunched\tlaunched\tbb618744.../172.18.1.3\n"
        "side@2.service\t1b380e0\tlaunched\tinactive\t-\n"
        "ssd.service\t8a2e413\tlaunched\tlaunched\tac7533fb.../172.18.1.2\n",
        ""}},
  };
}

constexpr const char* kSleeper = "[Service]\nExecStart=/bin/sleep 100000\n";

// The files of the directory in which it was recorded; their hashes are in the recording.
const std::map<std::string, std::string> kFiles{
    {"app@.service", std::string(kSleeper) + "\n[X-Fleet]\nConflicts=app@*.service\n"},
    {"bad.service", "[Service\nExecStart=/bin/true\n"},
    {"bad2.service", "ExecStart=/bin/true\n"},
    {"cont.service",
     "[Service]\nExecStart=/bin/sh -c \"\\\n  sleep 1000\"\nEnvironment=\"A=1\" B=2\n"},
    {"empty.service", ""},
    {"fails.service", "[Service]\nExecStart=/bin/false\n"},
    {"glob.service", std::string(kSleeper) + "\n[X-Fleet]\nGlobal=true\n"},
    {"hello.service", std::string("[Unit]\nDescription=Hello World\n\n") + kSleeper},
    {"hello2.service", kSleeper},
    {"nowhere.service", std::string(kSleeper) + "\n[X-Fleet]\nMachineMetadata=az=nowhere\n"},
    {"oneshot.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n"},
    {"side@.service", std::string("[Unit]\nBindsTo=app@%i.service\nAfter=app@%i.service\n\n") +
                          kSleeper + "\n[X-Fleet]\nMachineOf=app@%i.service\n"},
    {"ssd.service", std::string(kSleeper) + "\n[X-Fleet]\nMachineMetadata=az=z2\n"},
    {"sub/hello2.service", kSleeper},
};

// What the person who recorded it wrote into ssd.service before this line.
constexpr int kNewContentFrom = 92;
constexpr const char* kNewContent =
    "[Service]\nExecStart=/bin/sleep 100000\nEnvironment=V=2\n\n[X-Fleet]\nMachineMetadata=az=z2\n";

// The content of glob.service is not in the recording, only its hash.
std::string text_of(const json::value& recorded) {
  std::string text(recorded.as_string());
  if (const std::size_t at = text.find("b0c6c01"); at != std::string::npos) {
    text.replace(at, 7, hash_of(*parse_unit_file(kFiles.at("glob.service"))), 0, 7);
  }
  return text;
}

class TranscriptTest : public ::testing::Test {
 protected:
  void SetUp() override {
    add("0e3a9c30ddfb4eae8bdaf53ec6464b74", "172.18.1.1", {{"az", "z1"}});
    add("ac7533fb580d4961b8cdf54fd30fcab9", "172.18.1.2", {{"az", "z2"}, {"disk", "ssd"}});
    add("bb6187444b8b4b039e06882e2f0162da", "172.18.1.3", {{"az", "z3"}, {"disk", "ssd"}});
    cluster_.start();
    before_ = std::filesystem::current_path();
    std::filesystem::create_directory(dir_.file("cwd"));
    std::filesystem::current_path(dir_.file("cwd"));
    std::filesystem::create_directory("sub");
    for (const auto& [name, text] : kFiles) std::ofstream(name) << text;
  }
  void TearDown() override { std::filesystem::current_path(before_); }

  void add(const std::string& id, const std::string& ip,
           std::map<std::string, std::string> metadata) {
    cluster_.add(id, std::move(metadata)).public_ip = ip;
  }

  Outcome run(const std::vector<std::string>& args) {
    std::ostringstream out;
    std::ostringstream err;
    const Environment no_environment = [](const std::string&) { return std::nullopt; };
    const auto connect = [this](const Endpoint& endpoint, const TlsOptions& tls) {
      if (endpoint.url() != "unix:///var/run/fleet.sock") return HttpClient::create(endpoint, tls);
      return Result<std::unique_ptr<HttpClient>>(
          std::make_unique<ClusterHttp>(cluster_, cluster_.machines.begin()->first));
    };
    const int exit_code =
        run_fleetctl(args, {no_environment, clock_, host_, out, err, false, false, connect});
    cluster_.run(std::chrono::seconds(1));
    return {exit_code, out.str(), err.str()};
  }

  TempDir dir_;
  Cluster cluster_{0};
  ClusterClock clock_{cluster_};
  FakeHost host_;
  std::filesystem::path before_;
};

TEST_F(TranscriptTest, Replay) {
  std::map<int, Deviation> deviates;
  for (Deviation& deviation : deviations()) {
    if (deviation.ours.out == "@HELP@") deviation.ours.out = run({"help"}).out;
    deviates.emplace(deviation.line, std::move(deviation));
  }
  std::ifstream in(FLEET_SOURCE_DIR "/tests/golden/fleetctl-transcript.jsonl");
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    const json::object step = json::parse(line).as_object();
    std::vector<std::string> args;
    for (const json::value& arg : step.at("argv").as_array()) args.emplace_back(arg.as_string());
    SCOPED_TRACE(fmt::format("line {}: fleetctl {}", ++number, fmt::join(args, " ")));
    if (number == kNewContentFrom) std::ofstream("ssd.service") << kNewContent;
    Outcome wanted{static_cast<int>(step.at("exit").as_int64()), text_of(step.at("stdout")),
                   text_of(step.at("stderr"))};
    if (const auto found = deviates.find(number); found != deviates.end()) {
      const Deviation& deviation = found->second;
      EXPECT_NE(deviation.ours, wanted) << "is no deviation: " << deviation.why;
      wanted = deviation.ours;
      deviates.erase(found);
    }
    EXPECT_EQ(run(args), wanted);
  }
  EXPECT_EQ(number, 121);
  EXPECT_TRUE(deviates.empty()) << "no such line: " << deviates.begin()->first;
}

}  // namespace
}  // namespace fleet::ctl
