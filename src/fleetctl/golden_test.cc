// Runs the transcripts of tests/golden/fleetctl: fleetctl as a user calls it, against a fake fleetd
// that expects the requests of the transcript and gives its answers. Lines of a transcript:
//
//   # a comment
//   $ fleetctl ARGUMENTS        a call; blanks separate arguments, there is no quoting
//   terminal                    the next call's stdout and stderr are one
//   env NAME=VALUE              in the environment of the next call
//   machine ID                  the machine that fleetctl runs on
//   file NAME                   a file in the directory that fleetctl is called in ...
//   |LINE                       ... and its lines
//   > METHOD TARGET [BODY]      a request that fleetctl must send
//   < STATUS [BODY]             the answer to it
//   < NAME: VALUE               with this header ...
//   < +MS STATUS [BODY]         the same, when so many milliseconds have passed
//   ! COMMAND LINE              a program that fleetctl must run, with its arguments
//   ? CODE [no login]           how it ends; the same, when it is ssh and did not log in;
//   ? missing                   there is no such program;
//   ? stream [CODE]             it leads to the fake fleetd; the same, when it ends at once
//   out|LINE                    what it must print on stdout
//   err|LINE                    and on stderr
//   < never                     or none at all
//   = EXIT-CODE                 ends the call
//
// @SOCKET@ stands for the path of the fake's socket, @HOME@ for the home directory, @SSH@ for ssh
// with the options that it has without further flags, \e for the
// escape character, \r for a carriage return. With FLEET_UPDATE_GOLDEN=1 in the environment the
// out, err and = lines are written anew instead of compared.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "fleetctl/fake_host.h"
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
  std::vector<HttpHeader> headers;
  std::string body;
};

constexpr int kNever = -1;

struct Call {
  std::vector<std::string> args;
  std::map<std::string, std::string> environment;
  bool terminal = false;
  std::string machine;
  std::vector<FakeHost::Expected> programs;
  std::vector<Exchange> exchanges;
  std::vector<std::string> input;  // its lines up to the first of its output
  std::string out;
  std::string err;
  int exit_code = 0;
};

constexpr const char* kSsh =
    "ssh -F none -l core -p 22 -o PreferredAuthentications=publickey -o ConnectTimeout=10 -o "
    "ServerAliveInterval=15 -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=ask -o "
    "'UserKnownHostsFile=\"@HOME@/.fleetctl/known_hosts\"' -o PermitLocalCommand=yes -o "
    "'LocalCommand=kill -USR1 $FLEETCTL_PID'";

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
    server_ = *HttpServer::create(loop_, listener.release(),
                                  [this](HttpRequest request, HttpServer::Reply reply) {
                                    if (auto response = answer(request))
                                      return reply(std::move(*response));
                                    unanswered_.push_back(std::move(reply));
                                  });
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~FakeFleetd() {
    loop_.post([this] {
      unanswered_.clear();
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
  // Nothing: it is not to be answered.
  std::optional<HttpResponse> answer(const HttpRequest& request) {
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
    if (expected_[next_].status == kNever) {
      ++next_;
      return std::nullopt;
    }
    response.status = expected_[next_].status;
    response.body = expected_[next_].body;
    response.headers = expected_[next_].headers;
    if (!response.body.empty()) {
      response.headers.push_back({"Content-Type", "application/json"});
    }
    ++next_;
    return response;
  }

  FakeClock& clock_;
  AsioLoop loop_;
  std::unique_ptr<HttpServer> server_;
  std::vector<HttpServer::Reply> unanswered_;
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
      for (std::string& arg : call.args) replace_all(arg, "@SOCKET@", socket_);
    } else if (line.starts_with("> ")) {
      call.exchanges.push_back({rest, {}, 0, {}, ""});
    } else if (line.starts_with("< ")) {
      ASSERT_FALSE(call.exchanges.empty()) << line;
      answer(call.exchanges.back(), rest);
    } else if (line == "terminal") {
      call.terminal = true;
    } else if (line.starts_with("machine ")) {
      call.machine = line.substr(8);
    } else if (line.starts_with("! ")) {
      call.programs.push_back({rest});
      replace_all(call.programs.back().line, "@SSH@", kSsh);
      replace_all(call.programs.back().line, "@HOME@", home_);
    } else if (line.starts_with("? ")) {
      ASSERT_FALSE(call.programs.empty()) << line;
      program_end(call.programs.back(), rest);
    } else if (line.starts_with("env ")) {
      const std::size_t equals = line.find('=');
      ASSERT_NE(equals, std::string::npos) << line;
      call.environment[line.substr(4, equals - 4)] = line.substr(equals + 1);
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

  void program_end(FakeHost::Expected& program, const std::string& text) const {
    program.missing = text == "missing";
    if (text == "stream") program.stream = socket_;
    program.end.logged_in = !text.ends_with(" no login");
    const std::size_t digit = text.find_first_of("0123456789");
    if (digit != std::string::npos) program.end.exit_code = std::stoi(text.substr(digit));
  }

  static void answer(Exchange& exchange, std::string text) {
    if (text == "never") {
      exchange.status = kNever;
      return;
    }
    if (std::isalpha(static_cast<unsigned char>(text.front())) != 0) {
      const std::size_t colon = text.find(": ");
      ASSERT_NE(colon, std::string::npos) << text;
      exchange.headers.push_back({text.substr(0, colon), text.substr(colon + 2)});
      return;
    }
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
      const auto found = call.environment.find(name);
      if (found != call.environment.end()) return found->second;
      if (name == "FLEETCTL_ENDPOINT") return "unix://" + socket_;
      if (name == "TERM") return "xterm";
      return std::nullopt;
    };
    FakeHost host;
    host.own_home = home_;
    host.terminal = call.terminal;
    if (!call.machine.empty()) host.id = call.machine;
    host.expected.assign(call.programs.begin(), call.programs.end());
    const int exit_code = run_fleetctl(
        call.args, {environment, clock_, host, out, err, call.terminal, call.terminal});
    std::string output = out.str();
    replace_all(output, "\x1b", "\\e");
    std::string errors = err.str();
    replace_all(errors, socket_, "@SOCKET@");
    replace_all(errors, home_, "@HOME@");
    replace_all(errors, "\x1b", "\\e");
    replace_all(errors, "\r", "\\r");
    EXPECT_EQ(fleetd_.complaints(), "") << call.input.front();
    EXPECT_EQ(host.complaints(), "") << call.input.front();
    if (std::getenv("FLEET_UPDATE_GOLDEN") == nullptr) {
      EXPECT_EQ(output, call.out) << ::testing::PrintToString(call.args);
      EXPECT_EQ(errors, call.err) << ::testing::PrintToString(call.args);
      EXPECT_EQ(exit_code, call.exit_code) << ::testing::PrintToString(call.args);
    }
    std::string text;
    for (const std::string& line : call.input) text += line + "\n";
    const auto prefixed = [&text](const std::string& prefix, const std::string& lines) {
      std::istringstream in(lines);
      for (std::string line; std::getline(in, line);) text += prefix + line + "\n";
    };
    prefixed("out|", output);
    prefixed("err|", errors);
    return text + "= " + std::to_string(exit_code) + "\n";
  }

  TempDir dir_;
  std::string socket_ = dir_.file("fleet.sock");
  std::string home_ = dir_.file("home");
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
