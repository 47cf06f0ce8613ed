// Real child processes: none may be left, whatever happens.
#include "fleetctl/local_host.h"

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/test_socket.h"

namespace fleet::ctl {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

Argv shell(const std::string& script) {
  return {"sh", "-c", script};
}

class LocalHostTest : public ::testing::Test {
 protected:
  void TearDown() override {
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
    EXPECT_EQ(errno, ECHILD);
  }

  LocalHost host_;
};

TEST_F(LocalHostTest, ReturnsHowAProgramEnded) {
  EXPECT_EQ(*host_.run(shell("exit 0")), (ProgramEnd{0, false}));
  EXPECT_EQ(*host_.run(shell("exit 3")), (ProgramEnd{3, false}));
  EXPECT_EQ(*host_.run(shell("kill -9 $$")), (ProgramEnd{128 + 9, false}));
}

TEST_F(LocalHostTest, HearsOfALogin) {
  EXPECT_EQ(*host_.run(shell(std::string(kTellLogin) + "; exit 255")), (ProgramEnd{255, true}));
  EXPECT_EQ(*host_.run(shell("exit 255")), (ProgramEnd{255, false}));
}

TEST_F(LocalHostTest, GivesSshAPlainShell) {
  EXPECT_EQ(host_.run(shell("[ $SHELL = /bin/sh ]"))->exit_code, 0);
}

TEST_F(LocalHostTest, SaysThatAProgramIsMissing) {
  const auto end = host_.run({"no-such-program-of-fleet"});
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, ErrorCode::not_found);
  EXPECT_THAT(end.error().message, HasSubstr("no-such-program-of-fleet"));
  EXPECT_EQ(host_.run({"/dev/null"}).error().code, ErrorCode::failed);
  EXPECT_EQ(host_.start({"no-such-program-of-fleet"}, seconds(10)).error().code,
            ErrorCode::not_found);
}

TEST_F(LocalHostTest, PassesSignalsOn) {
  EXPECT_EQ(host_.run(shell("kill -TERM $FLEETCTL_PID; exec sleep 100"))->exit_code, 128 + 15);
  EXPECT_EQ(host_.run(shell("kill -INT $FLEETCTL_PID; exec sleep 100"))->exit_code, 128 + 2);
}

TEST_F(LocalHostTest, SeesTheEndWhereItsParentIgnoredSuch) {
  ::signal(SIGCHLD, SIG_IGN);
  EXPECT_EQ(host_.run(shell("exit 3"))->exit_code, 3);
  ::signal(SIGCHLD, SIG_DFL);
}

TEST_F(LocalHostTest, StreamsToAProgramThatLoggedIn) {
  auto program = host_.start(shell(std::string(kTellLogin) + "; exec cat"), seconds(10));
  ASSERT_TRUE(program) << program.error().message;
  testing::TestSocket stream((*program)->take_stream());
  ASSERT_TRUE(stream.send("hello"));
  EXPECT_EQ(stream.read_until("hello"), "hello");
  EXPECT_EQ((*program)->wait(milliseconds(0)), std::nullopt);
  stream.close();
  EXPECT_EQ((*program)->wait(seconds(10)), 0);
}

TEST_F(LocalHostTest, SaysWhyAProgramDidNotLogIn) {
  const auto ended = host_.start(shell("exit 255"), seconds(10));
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::unavailable);
  EXPECT_THAT(ended.error().message, HasSubstr("exit status 255"));
  EXPECT_THAT(host_.start(shell("kill -9 $$"), seconds(10)).error().message, HasSubstr("signal 9"));
  EXPECT_THAT(host_.start({"sleep", "100"}, milliseconds(50)).error().message,
              HasSubstr("did not log in"));
}

TEST_F(LocalHostTest, EndsAProgramThatItHasNoMoreUseFor) {
  auto program = host_.start(shell(std::string(kTellLogin) + "; exec sleep 100"), seconds(10));
  ASSERT_TRUE(program) << program.error().message;
  program->reset();
  // One that does not listen is killed.
  program =
      host_.start(shell("trap '' TERM; " + std::string(kTellLogin) + "; exec cat"), seconds(10));
  ASSERT_TRUE(program) << program.error().message;
  const testing::TestSocket stream((*program)->take_stream());
  program->reset();
}

TEST_F(LocalHostTest, ProgramsDieWithFleetctl) {
  const testing::TempDir dir;
  const std::string file = dir.file("pid");
  const pid_t fleetctl = ::fork();
  if (fleetctl == 0) {
    (void)host_.run(
        shell("echo $$ >" + file + ".new; mv " + file + ".new " + file + "; exec sleep 100"));
    ::_exit(0);
  }
  while (!std::filesystem::exists(file)) std::this_thread::sleep_for(milliseconds(5));
  pid_t program = 0;
  std::ifstream(file) >> program;
  ASSERT_GT(program, 0);
  ::kill(fleetctl, SIGKILL);
  ASSERT_EQ(::waitpid(fleetctl, nullptr, 0), fleetctl);
  // Gone, or a zombie that its new parent has not noticed yet.
  const auto alive = [program] {
    std::ifstream stat("/proc/" + std::to_string(program) + "/stat");
    std::string id, name, state;
    return stat >> id >> name >> state && state != "Z";
  };
  while (alive()) std::this_thread::sleep_for(milliseconds(5));
}

TEST_F(LocalHostTest, KnowsWhereItIs) {
  const testing::TempDir dir;
  std::ofstream(dir.file("machine-id")) << "0e3a9c30ddfb4eae8bdaf53ec6464b74\n";
  EXPECT_EQ(LocalHost(dir.file("machine-id")).machine_id(), "0e3a9c30ddfb4eae8bdaf53ec6464b74");
  EXPECT_EQ(LocalHost(dir.file("missing")).machine_id(), "");
  EXPECT_EQ(*host_.resolve("127.0.0.1"), "127.0.0.1");
  EXPECT_EQ(*host_.resolve("::1"), "::1");
  EXPECT_EQ(host_.resolve("no such host").error().code, ErrorCode::unavailable);
  EXPECT_EQ(host_.home("root"), "/root");
  EXPECT_EQ(host_.home("no-such-user-of-fleet"), "");
}

}  // namespace
}  // namespace fleet::ctl
