// What only a real systemd shows: traces in the file system, dependencies, time limits, systemd
// that executes itself anew, and a service that asks why it is stopped.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "poll_loop.h"
#include "real_machine.h"
#include "systemd/sdbus_unit_manager.h"
#include "systemd/unit_directory.h"

namespace fleet {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using ::testing::HasSubstr;

const std::string kSleeper = "[Service]\nExecStart=/bin/sleep 1001\n";

class RealSystemd : public ::testing::Test {
 protected:
  ~RealSystemd() override {
    manager_.reset();
    clean_machine();
  }

  static std::string content(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // The outcome of a call, or of none in time.
  Status outcome_of(const std::function<void(UnitManager::Done)>& call) {
    auto outcome = std::make_shared<std::optional<Status>>();
    call([outcome](Status status) { *outcome = std::move(status); });
    if (!loop_.run_until([&] { return outcome->has_value(); }, seconds(30))) {
      return fail(ErrorCode::invalid, "TEST: no outcome in good time");
    }
    return **outcome;
  }
  Status write(const std::string& name, const std::string& text, bool enable = false) {
    return outcome_of([&](auto done) { manager_->write(name, text, enable, done); });
  }
  Status start(const std::string& name) {
    return outcome_of([&](auto done) { manager_->start(name, done); });
  }
  Status remove(const std::string& name) {
    return outcome_of([&](auto done) { manager_->remove(name, done); });
  }

  bool wait(const std::function<bool()>& condition) {
    return loop_.run_until(condition, seconds(30));
  }

  PollLoop loop_;
  std::unique_ptr<UnitManager> manager_ =
      std::make_unique<SdbusUnitManager>(loop_, SdbusUnitManager::Options{kUnits, false, {}});
};

TEST_F(RealSystemd, FilesAndLinksAreWhereSystemdLooksAndGoAgain) {
  const mode_t old = umask(077);
  const Status written =
      write("fleetct-a.service", kSleeper + "[Install]\nWantedBy=fleetct.target\n", true);
  umask(old);
  ASSERT_TRUE(written) << written.error().message;
  const std::string file = std::string(kUnits) + "fleetct-a.service";
  const std::string link = std::string(kLinks) + "fleetct-a.service";
  const std::string wanted = std::string(kLinks) + "fleetct.target.wants/fleetct-a.service";
  EXPECT_EQ(fs::status(file).permissions(), fs::perms(0644));
  EXPECT_EQ(fs::status(kUnits).permissions(), fs::perms(0755));
  EXPECT_EQ(fs::read_symlink(link), file);
  EXPECT_EQ(fs::read_symlink(wanted), file);
  ASSERT_TRUE(remove("fleetct-a.service"));
  EXPECT_FALSE(fs::exists(file));
  EXPECT_FALSE(fs::is_symlink(link));
  EXPECT_FALSE(fs::is_symlink(wanted));
  EXPECT_FALSE(fs::exists(std::string(kLinks) + "fleetct.target.wants"));
}

// As fleetd does in /run/systemd/system: a user who may add names to a directory that is not its
// own, whose time of change the kernel alone sets, by a clock that advances every few milliseconds.
TEST_F(RealSystemd, LinksInADirectoryOfAnotherAreNoticeableInTheEnd) {
  constexpr uid_t kNobody = 65534;
  const std::string own = std::string(kBase) + "/own";
  const std::string links = std::string(kBase) + "/links";
  for (const std::string& folder : {own, links}) fs::create_directories(folder);
  ASSERT_EQ(chown(own.c_str(), kNobody, kNobody), 0);
  ASSERT_EQ(chmod(links.c_str(), 01777), 0);
  const auto usec = [&links] {
    struct stat info {};
    stat(links.c_str(), &info);
    return info.st_mtim.tv_sec * 1'000'000LL + info.st_mtim.tv_nsec / 1'000;
  };
  ASSERT_EQ(seteuid(kNobody), 0);
  UnitDirectory directory(own, links, {}, "boot");
  for (int i = 0; i < 200; ++i) {
    const long long before = usec();
    const Status done =
        i % 2 == 0 ? directory.write("a.service", kSleeper) : directory.remove("a.service");
    EXPECT_TRUE(done) << done.error().message;
    EXPECT_TRUE(loop_.run_until([&] { return directory.noticeable(); }, seconds(1)));
    EXPECT_GT(usec(), before);
  }
  EXPECT_EQ(seteuid(0), 0);
}

TEST_F(RealSystemd, ALinkThatACrashLeftGoes) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  fs::remove(std::string(kUnits) + "fleetct-a.service");
  ASSERT_TRUE(remove("fleetct-a.service"));
  EXPECT_FALSE(fs::is_symlink(std::string(kLinks) + "fleetct-a.service"));
}

TEST_F(RealSystemd, AFailedDependencyIsTheResult) {
  ASSERT_TRUE(write("fleetct-base.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n"));
  ASSERT_TRUE(
      write("fleetct-top.service",
            "[Unit]\nRequires=fleetct-base.service\nAfter=fleetct-base.service\n" + kSleeper));
  const Status started = start("fleetct-top.service");
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::failed);
  EXPECT_THAT(started.error().message, HasSubstr("a unit that it depends on failed"));
}

TEST_F(RealSystemd, AFailureIsExplained) {
  ASSERT_TRUE(
      write("fleetct-exit.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 3'\n"));
  EXPECT_THAT(start("fleetct-exit.service").error().message,
              HasSubstr("failed (failed), exit-code, exit status 3"));
  ASSERT_TRUE(write("fleetct-late.service",
                    "[Service]\nType=notify\nTimeoutStartSec=1\nExecStart=/bin/sleep 1005\n"));
  EXPECT_THAT(start("fleetct-late.service").error().message, HasSubstr("timeout"));
  ASSERT_TRUE(
      write("fleetct-jobtime.service",
            "[Unit]\nJobTimeoutSec=1\n[Service]\nType=notify\nExecStart=/bin/sleep 1006\n"));
  EXPECT_THAT(start("fleetct-jobtime.service").error().message,
              HasSubstr("its job ran into its time limit (result timeout)"));
}

TEST_F(RealSystemd, WhatSystemdIsToldToMaskStaysMasked) {
  fs::create_directories(kLinks);
  fs::create_symlink("/dev/null", std::string(kLinks) + "fleetct-masked.service");
  const Status started = start("fleetct-masked.service");
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("masked"));
  ASSERT_TRUE(remove("fleetct-masked.service"));
  EXPECT_TRUE(fs::is_symlink(std::string(kLinks) + "fleetct-masked.service"));
}

TEST_F(RealSystemd, SystemdThatExecutesItselfAnewIsLikeABrokenConnection) {
  ASSERT_TRUE(write("fleetct-a.service", kSleeper));
  ASSERT_TRUE(start("fleetct-a.service"));
  std::map<std::string, int> reports;
  manager_->set_listener([&](const std::string& name, const UnitStatus&) { ++reports[name]; });
  manager_->observe("fleetct-a.service");
  ASSERT_TRUE(wait([&] { return reports["fleetct-a.service"] > 0; }));
  const std::string process = property("fleetct-a.service", "MainPID");
  reports.clear();
  run_command({"systemctl", "daemon-reexec"});
  EXPECT_TRUE(wait([&] { return reports["fleetct-a.service"] > 0; }));
  EXPECT_EQ(property("fleetct-a.service", "MainPID"), process);
  ASSERT_TRUE(write("fleetct-b.service", kSleeper));
  EXPECT_TRUE(wait([&] { return start("fleetct-b.service").has_value(); }));
}

// A service that is this very program, asking on SIGTERM why it is stopped (see main).
class RealRestart : public RealSystemd {
 protected:
  const std::string name_ = "fleetct-asks.service";
  const std::string answer_ = std::string(kBase) + "/answer";

  void SetUp() override {
    const std::string program = fs::read_symlink("/proc/self/exe");
    ASSERT_TRUE(write(name_, "[Service]\nType=notify\nTimeoutStopSec=20\nExecStart=" + program +
                                 " --answer-on-sigterm " + answer_ + "\n"));
    const Status started = start(name_);
    ASSERT_TRUE(started) << started.error().message;
  }

  std::string answer_after(const std::vector<std::string>& command) {
    fs::remove(answer_);
    run_command(command);
    wait([&] { return fs::exists(answer_); });
    return content(answer_);
  }
};

TEST_F(RealRestart, IsToldFromAStop) {
  EXPECT_EQ(answer_after({"systemctl", "restart", name_}), "restart");
  EXPECT_EQ(answer_after({"systemctl", "try-restart", name_}), "restart");
  EXPECT_EQ(answer_after({"systemctl", "reload-or-restart", name_}), "restart");
  EXPECT_EQ(answer_after({"systemctl", "stop", name_}), "stop");
}

TEST_F(RealRestart, ASignalByHandIsAStop) {
  EXPECT_EQ(answer_after({"kill", "-TERM", property(name_, "MainPID")}), "stop");
}

TEST_F(RealRestart, AConflictingUnitIsAStop) {
  ASSERT_TRUE(write("fleetct-other.service", "[Unit]\nConflicts=" + name_ + "\n" + kSleeper));
  EXPECT_EQ(answer_after({"systemctl", "start", "fleetct-other.service"}), "stop");
}

TEST_F(RealRestart, TheJournalKnowsUnitAndMachineOfALine) {
  const std::vector<std::string> find = {"journalctl",
                                         "-q",
                                         "--no-pager",
                                         "-o",
                                         "cat",
                                         "_PID=" + property(name_, "MainPID"),
                                         "SYSLOG_IDENTIFIER=fleetd",
                                         "PRIORITY=4",
                                         "FLEET_UNIT=fleetct-x.service",
                                         "FLEET_MACHINE=machine1"};
  EXPECT_TRUE(wait([&] { return run_command(find).contains("waits\nfor SIGTERM"); }));
}

}  // namespace
}  // namespace fleet
