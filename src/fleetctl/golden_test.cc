// Runs the transcripts of tests/golden/fleetctl: fleetctl as a user calls it, against a fake fleetd
// that expects the requests of the transcript and gives its answers. Lines of a transcript:
//
//   # a comment
//   $ fleetctl ARGUMENTS        a call; blanks separate arguments, there is no quoting
//   file NAME                   a file in the directory that fleetctl is called in ...
//   |LINE                       ... and its lines
//   > METHOD TARGET [BODY]      a request that fleetctl must send
//   < STATUS [BODY]             the answer to it
//   < +MS STATUS [BODY]         the same, when so many milliseconds have passed
//   out|LINE                    what it must print on stdout
//   err|LINE                    and on stderr
//   = EXIT-CODE                 ends the call
//
// @SOCKET@ stands for the path of the fake's socket. With FLEET_UPDATE_GOLDEN=1 in the environment
// the out, err and = lines are written anew instead of compared.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "fleetctl/run.h"
#include "net/asio_loop.h"
#include "net/http_server.h"
#include "net/test_socket.h"

namespace fleet::ctl {
namespace {

using testing::TempDir;
using testing::TestSocket;

struct Exchange {
  std::string request;  // METHOD TARGET [BODY]
  std::chrono::milliseconds after{};
  int status = 0;
  std::string body;
};

struct Call {
  std::vector<std::string> args;
  std::vector<Exchange> exchanges;
  std::vector<std::string> input;  // its lines up to the first of its output
  std::string out;
  std::string err;
  int exit_code = 0;
};

// Time passes only in the fake fleetd.
class FakeClock final : public Clock {
 public:
  Time now() const override { return Time(std::chrono::nanoseconds(now_.load())); }
  void sleep(std::chrono::milliseconds duration) override {
    now_ += std::chrono::nanoseconds(duration).count();
  }

 private:
  std::atomic<std::int64_t> now_ = 3'600'000'000'000;
};

class FakeFleetd {
 public:
  FakeFleetd(const std::string& path, FakeClock& clock) : clock_(clock) {
    TestSocket listener = TestSocket::listen_unix(path);
    server_ = *HttpServer::create(
        loop_, listener.release(),
        [this](HttpRequest request, HttpServer::Reply reply) { reply(answer(request)); });
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~FakeFleetd() {
    loop_.post([this] {
      server_.reset();
      loop_.stop();
    });
    thread_.join();
  }
  FakeFleetd(const FakeFleetd&) = delete;
  FakeFleetd& operator=(const FakeFleetd&) = delete;

  void expect(std::vector<Exchange> exchanges) {
    const std::lock_guard lock(mutex_);
    expected_ = std::move(exchanges);
    next_ = 0;
    surprises_.clear();
  }
  std::string complaints() {
    const std::lock_guard lock(mutex_);
    std::string text = surprises_;
    for (; next_ < expected_.size(); ++next_) {
      text += "not sent: " + expected_[next_].request + "\n";
    }
    return text;
  }

 private:
  HttpResponse answer(const HttpRequest& request) {
    const std::lock_guard lock(mutex_);
    std::string text = request.method + " " + request.target;
    if (!request.body.empty()) text += " " + request.body;
    HttpResponse response;
    if (next_ >= expected_.size() || expected_[next_].request != text) {
      surprises_ += "sent: " + text + "\n";
      response.status = 599;
      return response;
    }
    clock_.sleep(expected_[next_].after);
    response.status = expected_[next_].status;
    response.body = expected_[next_].body;
    if (!response.body.empty()) response.headers = {{"Content-Type", "application/json"}};
    ++next_;
    return response;
  }

  FakeClock& clock_;
  AsioLoop loop_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
  std::mutex mutex_;
  std::vector<Exchange> expected_;
  std::size_t next_ = 0;
  std::string surprises_;
};

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

class Golden : public ::testing::TestWithParam<std::filesystem::path> {
 protected:
  void SetUp() override {
    before_ = std::filesystem::current_path();
    std::filesystem::create_directory(dir_.file("cwd"));
    std::filesystem::current_path(dir_.file("cwd"));
  }
  void TearDown() override { std::filesystem::current_path(before_); }

  // Takes one line of a call that is not its end.
  void take(Call& call, const std::string& line) {
    const std::string rest = line.size() > 2 ? line.substr(2) : "";
    if (line.starts_with("$ ")) {
      call.args = words_of(rest);
      ASSERT_EQ(call.args.front(), "fleetctl") << line;
      call.args.erase(call.args.begin());
    } else if (line.starts_with("> ")) {
      call.exchanges.push_back({rest, {}, 0, ""});
    } else if (line.starts_with("< ")) {
      ASSERT_FALSE(call.exchanges.empty()) << line;
      answer(call.exchanges.back(), rest);
    } else if (line.starts_with("file ")) {
      const std::filesystem::path name = line.substr(5);
      if (name.has_parent_path()) std::filesystem::create_directories(name.parent_path());
      file_ = std::ofstream(name);
    } else if (line.starts_with("|")) {
      file_ << line.substr(1) << "\n" << std::flush;
    } else if (line.starts_with("out|")) {
      call.out += line.substr(4) + "\n";
    } else if (line.starts_with("err|")) {
      call.err += line.substr(4) + "\n";
    } else {
      ASSERT_TRUE(line.empty() || line.starts_with("#")) << "what is this line? " << line;
    }
    if (!line.starts_with("out|") && !line.starts_with("err|")) call.input.push_back(line);
  }

  static void answer(Exchange& exchange, std::string text) {
    if (text.starts_with('+')) {
      exchange.after = std::chrono::milliseconds(std::stoi(text));
      text.erase(0, text.find(' ') + 1);
    }
    exchange.status = std::stoi(text);
    if (text.size() > 4) exchange.body = text.substr(4);
  }

  std::string run(const Call& call) {
    fleetd_.expect(call.exchanges);
    std::ostringstream out;
    std::ostringstream err;

    const Environment environment = [&](const std::string& name) -> std::optional<std::string> {
      if (name == "FLEETCTL_ENDPOINT") return "unix://" + socket_;
      return std::nullopt;
    };
    const int exit_code = run_fleetctl(call.args, environment, clock_, out, err);
    std::string errors = err.str();
    replace_all(errors, socket_, "@SOCKET@");
    EXPECT_EQ(fleetd_.complaints(), "") << call.input.front();
    if (std::getenv("FLEET_UPDATE_GOLDEN") == nullptr) {
      EXPECT_EQ(out.str(), call.out) << ::testing::PrintToString(call.args);
      EXPECT_EQ(errors, call.err) << ::testing::PrintToString(call.args);
      EXPECT_EQ(exit_code, call.exit_code) << ::testing::PrintToString(call.args);
    }
    std::string text;
    for (const std::string& line : call.input) text += line + "\n";
    const auto prefixed = [&text](const std::string& prefix, const std::string& lines) {
      std::istringstream in(lines);
      for (std::string line; std::getline(in, line);) text += prefix + line + "\n";
    };
    prefixed("out|", out.str());
    prefixed("err|", errors);
    return text + "= " + std::to_string(exit_code) + "\n";
  }

  TempDir dir_;
  std::string socket_ = dir_.file("fleet.sock");
  FakeClock clock_;
  FakeFleetd fleetd_{socket_, clock_};
  std::filesystem::path before_;
  std::ofstream file_;
};

TEST_P(Golden, Transcript) {
  std::string written;
  {
    std::ifstream in(GetParam());
    Call call;
    for (std::string line; std::getline(in, line);) {
      if (!line.starts_with("= ")) {
        ASSERT_NO_FATAL_FAILURE(take(call, line));
        continue;
      }
      call.exit_code = std::stoi(line.substr(2));
      written += run(call);
      call = {};
    }
    EXPECT_TRUE(call.args.empty()) << "the last call has no end";
  }
  if (std::getenv("FLEET_UPDATE_GOLDEN") != nullptr) std::ofstream(GetParam()) << written;
}

std::vector<std::filesystem::path> transcripts() {
  std::vector<std::filesystem::path> paths;
  const std::filesystem::path folder = FLEET_SOURCE_DIR "/tests/golden/fleetctl";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".txt") paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

INSTANTIATE_TEST_SUITE_P(Fleetctl, Golden, ::testing::ValuesIn(transcripts()),
                         [](const auto& test) {
                           std::string name = test.param.stem().string();
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace fleet::ctl
