#include "systemd/unit_directory.h"

#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fleet {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class UnitDirectoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "fleet-units-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
  }
  void TearDown() override { fs::remove_all(base_); }

  UnitDirectory open(const std::string& boot = "boot1") {
    return {base_ + "/run/fleet/units/",
            base_ + "/run/systemd/system",
            {base_ + "/etc/other", base_ + "/etc/systemd/system"},
            boot};
  }

  std::string units(const std::string& name) { return base_ + "/run/fleet/units/" + name; }
  std::string links(const std::string& name) { return base_ + "/run/systemd/system/" + name; }

  static std::string content(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  static timespec changed(const std::string& path) {
    struct stat info {};
    stat(path.c_str(), &info);
    return info.st_mtim;
  }

  // As systemd compares them.
  static long long in_usec(const timespec& time) {
    return time.tv_sec * 1'000'000LL + time.tv_nsec / 1'000;
  }

  std::string base_;
};

TEST_F(UnitDirectoryTest, MakesTheDirectoriesWhateverTheUmask) {
  const mode_t old = umask(077);
  UnitDirectory directory = open();
  EXPECT_TRUE(directory.list());
  EXPECT_TRUE(directory.write("a.service", "text"));
  umask(old);
  EXPECT_EQ(fs::status(base_ + "/run/fleet/units").permissions(), fs::perms(0755));
  EXPECT_EQ(fs::status(units("a.service")).permissions(), fs::perms(0644));
  EXPECT_EQ(content(units("a.service")), "text");
  EXPECT_EQ(fs::read_symlink(links("a.service")), units("a.service"));
}

TEST_F(UnitDirectoryTest, EveryWriteIsALaterChange) {
  UnitDirectory directory = open();
  timespec last{};
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(directory.write("a.service", std::to_string(i)));
    const timespec now = changed(units("a.service"));
    ASSERT_GT(in_usec(now), in_usec(last));
    last = now;
  }
}

TEST_F(UnitDirectoryTest, WhatIsLinkedOrRemovedInAnOwnDirectoryIsNoticeableAtOnce) {
  UnitDirectory directory = open();
  timespec last{};
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(i % 2 == 0 ? directory.write("a.service", "text") : directory.remove("a.service"));
    ASSERT_TRUE(directory.noticeable());
    const timespec now = changed(base_ + "/run/systemd/system");
    ASSERT_GT(in_usec(now), in_usec(last));
    last = now;
  }
}

TEST_F(UnitDirectoryTest, AWriteIsALaterChangeAlsoAfterTheClockWentBack) {
  ASSERT_TRUE(open().write("a.service", "of an earlier fleetd, whose clock was ahead"));
  const timespec ahead[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT},
                             {.tv_sec = time(nullptr) + 3600, .tv_nsec = 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, units("a.service").c_str(), ahead, 0), 0);
  const timespec before = changed(units("a.service"));
  ASSERT_TRUE(open().write("a.service", "new"));
  EXPECT_GT(in_usec(changed(units("a.service"))), in_usec(before));
}

TEST_F(UnitDirectoryTest, TheSameTextIsNoChange) {
  UnitDirectory directory = open();
  ASSERT_TRUE(directory.write("a.service", "text"));
  const timespec before = changed(units("a.service"));
  fs::remove(links("a.service"));
  ASSERT_TRUE(directory.write("a.service", "text"));
  EXPECT_EQ(changed(units("a.service")).tv_nsec, before.tv_nsec);
  EXPECT_TRUE(fs::is_symlink(links("a.service")));
}

TEST_F(UnitDirectoryTest, ReplacesAnotherLinkButNothingElse) {
  UnitDirectory directory = open();
  fs::create_directories(base_ + "/run/systemd/system");
  fs::create_symlink("/elsewhere", links("a.service"));
  EXPECT_TRUE(directory.write("a.service", "text"));
  EXPECT_EQ(fs::read_symlink(links("a.service")), units("a.service"));

  std::ofstream(links("b.service")) << "by hand";
  const Status written = directory.write("b.service", "text");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::failed);
  EXPECT_THAT(written.error().message, HasSubstr(links("b.service")));
  EXPECT_TRUE(directory.remove("b.service"));
  EXPECT_EQ(content(links("b.service")), "by hand");
}

TEST_F(UnitDirectoryTest, ClearsHalfWrittenFilesAway) {
  UnitDirectory directory = open();
  ASSERT_TRUE(directory.write("a.service", "text"));
  std::ofstream(units(".fleet-new-1-2")) << "half";
  fs::create_directory(units("folder.service"));
  const auto listed = directory.list();
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 1U);
  EXPECT_EQ(listed->front().name, "a.service");
  EXPECT_FALSE(fs::exists(units(".fleet-new-1-2")));
}

// One file must not keep fleet from all others.
TEST_F(UnitDirectoryTest, AFileThatCannotBeReadIsListedWithoutItsText) {
  UnitDirectory directory = open();
  ASSERT_TRUE(directory.write("a.service", "text"));
  fs::create_symlink("/proc/self/mem", units("b.service"));  // a file whose first byte is an error
  const auto listed = directory.list();
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 2U);
  EXPECT_EQ(listed->front().text, "text");
  EXPECT_EQ(listed->back().text, "");
}

// Or else what runs would be taken for something else, or for not begun, and be stopped.
TEST_F(UnitDirectoryTest, ForWantOfDescriptorsNothingIsListed) {
  UnitDirectory directory = open();
  ASSERT_TRUE(directory.write("a.service", "text"));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int free = dup(STDERR_FILENO);  // the number that the directory itself gets
  close(free);
  const rlimit none_more{static_cast<rlim_t>(free) + 1, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none_more), 0);
  const auto listed = directory.list();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code, ErrorCode::unavailable) << listed.error().message;
  EXPECT_EQ(directory.list()->front().text, "text");
}

// They are gone after a reboot, where the files are on a disk, and systemd takes those of others
// away with a unit whose Also= names them.
TEST_F(UnitDirectoryTest, PutsLostLinksBack) {
  UnitDirectory directory = open();
  ASSERT_TRUE(directory.write("a.service", "text"));
  ASSERT_TRUE(directory.write("b.service", "text"));
  fs::remove(links("a.service"));
  ASSERT_TRUE(directory.put_links_back());
  EXPECT_EQ(fs::read_symlink(links("a.service")), units("a.service"));
  fs::remove(links("b.service"));
  EXPECT_EQ(directory.list()->size(), 2U);
  EXPECT_EQ(fs::read_symlink(links("b.service")), units("b.service"));
  fs::remove_all(units(""));
  EXPECT_TRUE(directory.put_links_back()) << "there is none to link";
}

TEST_F(UnitDirectoryTest, NotesEndWithTheBootAlsoOnADisk) {
  UnitDirectory directory = open();
  ASSERT_TRUE(directory.write("a.service", "text"));
  ASSERT_TRUE(directory.set_note("a.service", "launched"));
  EXPECT_EQ(open().list()->front().note, "launched");
  EXPECT_EQ(open("boot2").list()->front().note, "");
}

TEST_F(UnitDirectoryTest, RemovesAllTraces) {
  UnitDirectory directory = open();
  ASSERT_TRUE(directory.write("a.service", "text"));
  ASSERT_TRUE(directory.set_note("a.service", "launched"));
  EXPECT_TRUE(directory.has_traces("a.service"));
  ASSERT_TRUE(directory.remove("a.service"));
  EXPECT_FALSE(directory.has_traces("a.service"));
  EXPECT_FALSE(fs::is_symlink(links("a.service")));
  EXPECT_FALSE(fs::exists(units(".notes/a.service")));
  EXPECT_TRUE(directory.remove("a.service"));
  EXPECT_EQ(directory.set_note("a.service", "n").error().code, ErrorCode::not_found);
}

TEST_F(UnitDirectoryTest, FailuresAreSaid) {
  std::ofstream(base_ + "/run") << "a file in the way";
  UnitDirectory directory = open();
  const auto listed = directory.list();
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code, ErrorCode::failed);
  EXPECT_THAT(listed.error().message, HasSubstr("/run"));
  EXPECT_FALSE(directory.write("a.service", "text"));
  EXPECT_TRUE(directory.remove("a.service"));
  EXPECT_FALSE(directory.write(std::string(300, 'x') + ".service", "text"));
}

TEST_F(UnitDirectoryTest, NamesTheFileThatSystemdReadsInsteadOfOurs) {
  UnitDirectory directory = open();
  ASSERT_TRUE(directory.write("a.service", "x"));
  EXPECT_EQ(directory.other_file("a.service", ""), "");
  EXPECT_EQ(directory.other_file("a.service", links("a.service")), "");
  EXPECT_EQ(directory.other_file("a.service", units("a.service")), "");
  EXPECT_EQ(directory.other_file("a.service", "/usr/lib/a.service"), "/usr/lib/a.service");
  EXPECT_EQ(directory.other_file("b.service", "/usr/lib/b.service"), "") << "we have none";
  fs::create_directories(base_ + "/etc/systemd/system");
  const std::string other = base_ + "/etc/systemd/system/a.service";
  std::ofstream(other) << "y";
  EXPECT_EQ(directory.other_file("a.service", ""), other);
  EXPECT_EQ(directory.other_file("a.service", links("a.service")), "") << "it says what it read";
  fs::remove(other);
  fs::create_symlink(units("a.service"), other);  // as systemctl link does
  EXPECT_EQ(directory.other_file("a.service", ""), "");
  EXPECT_EQ(directory.other_file("a.service", other), "");
}

}  // namespace
}  // namespace fleet
