// What SqliteRegistry has beyond the Store port, whose rules tests/contract checks: that what was
// acknowledged is there after the process has ended, however it ended.
#include "store/sqlite/sqlite_registry.h"

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/virtual_loop.h"

namespace fleet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A disk that tells, while it lives, what a loss of power would leave of SQLite's files: each as it
// was when it was last synced. What has merely been written is lost.
class Disk {
 public:
  Disk() {
    real_ = sqlite3_vfs_find(nullptr);
    vfs_ = *real_;
    vfs_.zName = "synced-only";
    vfs_.xOpen = [](sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
      const int code = real_->xOpen(real_, name, file, flags, out);
      if (code != SQLITE_OK || name == nullptr) return code;
      sqlite3_io_methods& methods = methods_[file->pMethods];
      methods = *file->pMethods;
      real_sync_ = methods.xSync;
      methods.xSync = [](sqlite3_file* synced, int how) {
        const int done = real_sync_(synced, how);
        std::ifstream in(names_.at(synced), std::ios::binary);
        files_[names_.at(synced)] = {std::istreambuf_iterator<char>(in), {}};
        return done;
      };
      file->pMethods = &methods;
      names_[file] = name;
      return code;
    };
    vfs_.xDelete = [](sqlite3_vfs*, const char* name, int sync) {
      files_.erase(name);
      return real_->xDelete(real_, name, sync);
    };
    files_.clear();
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~Disk() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(real_, 1);
  }
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  // Writes what is left of the files in `from` to `to`.
  static void lose_power(const std::filesystem::path& from, const std::filesystem::path& to) {
    std::filesystem::remove_all(to);
    std::filesystem::create_directory(to);
    for (const auto& [name, bytes] : files_) {
      const std::filesystem::path path(name);
      if (path.parent_path() == from) {
        std::ofstream(to / path.filename(), std::ios::binary) << bytes;
      }
    }
  }

 private:
  // SQLite calls plain functions.
  inline static sqlite3_vfs* real_ = nullptr;
  inline static sqlite3_vfs vfs_{};
  inline static std::map<const sqlite3_io_methods*, sqlite3_io_methods> methods_;
  inline static int (*real_sync_)(sqlite3_file*, int) = nullptr;
  inline static std::map<sqlite3_file*, std::string> names_;
  inline static std::map<std::string, std::string> files_;  // by path, as last synced
};

class SqliteRegistryTest : public testing::Test {
 protected:
  SqliteRegistryTest() {
    std::string folder = testing::TempDir() + "fleet-sqlite-XXXXXX";
    if (mkdtemp(folder.data()) == nullptr) ADD_FAILURE() << "cannot make " << folder;
    folder_ = folder;
    path_ = folder_ / "registry.db";
  }
  ~SqliteRegistryTest() override {
    open_.reset();
    std::filesystem::remove_all(folder_);
  }

  // Closes what is open, as the end of a process does, and opens it anew.
  MemoryRegistry& reopen() {
    open_.reset();
    auto opened = SqliteRegistry::open(loop_, path_);
    EXPECT_TRUE(opened.has_value()) << opened.error().message;
    open_ = std::move(*opened);
    return open_->registry();
  }
  static Result<TransactionResult> put(MemoryRegistry& registry, const std::string& key,
                                       const std::string& value = "", LeaseId lease = 0) {
    return registry.commit(
        {.compares = {}, .operations = {Put{.key = key, .value = value, .lease = lease}}});
  }
  static std::vector<KeyValue> values(const MemoryRegistry& registry) {
    return registry.read({.key = "", .prefix = true}, 0)->values;
  }
  static std::vector<std::string> keys(const MemoryRegistry& registry) {
    std::vector<std::string> found;
    for (const KeyValue& value : values(registry)) found.push_back(value.key);
    return found;
  }
  std::string refusal() {
    open_.reset();
    const auto opened = SqliteRegistry::open(loop_, path_);
    EXPECT_FALSE(opened.has_value());
    return opened ? "" : opened.error().message;
  }
  void run_sql(const std::string& sql) const {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sql;
    sqlite3_close(database);
  }

  VirtualLoop loop_;
  std::filesystem::path folder_;
  std::filesystem::path path_;
  std::unique_ptr<SqliteRegistry> open_;
};

TEST_F(SqliteRegistryTest, KeepsValuesAndTheirRevisions) {
  MemoryRegistry& first = reopen();
  const std::string bytes("a\0b\xff", 4);
  ASSERT_TRUE(put(first, "k\0ey", "1"));
  ASSERT_TRUE(put(first, "other", "2"));
  ASSERT_TRUE(put(first, "k\0ey", bytes));
  ASSERT_TRUE(put(first, "gone"));
  ASSERT_TRUE(first.commit({.compares = {}, .operations = {Delete{{.key = "gone"}}}}));
  const auto before = values(first);
  ASSERT_EQ(before.size(), 2U);
  EXPECT_EQ(values(reopen()), before);
}

TEST_F(SqliteRegistryTest, ForgetsWhatIsOnALease) {
  MemoryRegistry& first = reopen();
  const LeaseId lease = first.grant_lease(std::chrono::seconds(30));
  ASSERT_TRUE(put(first, "leased", "", lease));
  ASSERT_TRUE(put(first, "was free"));
  ASSERT_TRUE(put(first, "was free", "", lease));
  ASSERT_TRUE(put(first, "was leased", "", lease));
  ASSERT_TRUE(put(first, "was leased"));
  EXPECT_THAT(keys(reopen()), ElementsAre("was leased"));
}

TEST_F(SqliteRegistryTest, NeverGivesARevisionTwice) {
  MemoryRegistry& first = reopen();
  const LeaseId lease = first.grant_lease(std::chrono::seconds(30));
  ASSERT_TRUE(put(first, "kept"));
  for (int i = 0; i < 25'000; ++i) ASSERT_TRUE(put(first, "leased", "", lease));
  const Revision last = first.revision();
  MemoryRegistry& second = reopen();
  EXPECT_GE(second.revision(), last);
  // What happened before cannot be watched from: whoever asks must read anew.
  EXPECT_FALSE(second.history({.key = "", .prefix = true}, last).has_value());
  ASSERT_TRUE(put(second, "new"));
  EXPECT_GT(values(second).back().mod_revision, last);
}

TEST_F(SqliteRegistryTest, RemembersALimitedHistory) {
  MemoryRegistry& registry = reopen();
  const LeaseId lease = registry.grant_lease(std::chrono::seconds(30));
  for (int i = 0; i < 10'050; ++i) ASSERT_TRUE(put(registry, "leased", "", lease));
  const Revision last = registry.revision();
  EXPECT_TRUE(registry.history({.key = "leased"}, last - 9'999).has_value());
  EXPECT_FALSE(registry.history({.key = "leased"}, last - 10'000).has_value());
}

TEST_F(SqliteRegistryTest, RemembersNoMoreThanItsMemoryAllows) {
  MemoryRegistry& registry = reopen();
  const LeaseId lease = registry.grant_lease(std::chrono::seconds(30));
  const std::string large(1'000'000, 'x');  // each revision holds it twice: before and after
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(put(registry, "leased", large, lease));
  const Revision last = registry.revision();
  EXPECT_TRUE(registry.history({.key = "leased"}, last - 31).has_value());
  EXPECT_FALSE(registry.history({.key = "leased"}, last - 40).has_value());
}

TEST_F(SqliteRegistryTest, LosesNothingAcknowledgedWhenItsProcessIsKilled) {
  reopen();
  open_.reset();
  for (int round = 0; round < 5; ++round) {
    std::array<int, 2> pipe_ends{};
    ASSERT_EQ(pipe(pipe_ends.data()), 0);
    const pid_t child = fork();
    if (child == 0) {
      VirtualLoop loop;
      const auto opened = SqliteRegistry::open(loop, path_);
      for (int i = 0; opened && i < 1'000'000; ++i) {
        if (!put((*opened)->registry(), std::to_string(round) + "/" + std::to_string(i))) break;
        if (write(pipe_ends[1], &i, sizeof i) != sizeof i) break;
      }
      _exit(1);
    }
    close(pipe_ends[1]);
    int acknowledged = -1;
    while (acknowledged < 40 + round * 13 &&
           read(pipe_ends[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged) {
    }
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    while (read(pipe_ends[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged) {
    }
    close(pipe_ends[0]);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
    MemoryRegistry& registry = reopen();
    for (int i = 0; i <= acknowledged; ++i) {
      const std::string key = std::to_string(round) + "/" + std::to_string(i);
      EXPECT_FALSE(registry.read({.key = key}, 0)->values.empty()) << key;
    }
    open_.reset();
  }
}

TEST_F(SqliteRegistryTest, LosesNothingAcknowledgedWhenThePowerGoes) {
  const Disk disk;
  const std::filesystem::path left = folder_ / "left";
  MemoryRegistry& registry = reopen();
  // Enough for SQLite to move its log into the file at least once (after 1000 pages).
  const std::string large(40'000, 'x');
  for (int i = 0; i < 150; ++i) {
    ASSERT_TRUE(put(registry, "k" + std::to_string(i), large));
    ASSERT_TRUE(put(registry, "last", std::to_string(i)));
    if (i % 10 != 0) continue;
    Disk::lose_power(folder_, left);
    VirtualLoop loop;
    const auto found = SqliteRegistry::open(loop, left / path_.filename());
    ASSERT_TRUE(found) << found.error().message;
    const auto last = (*found)->registry().read({.key = "last"}, 0);
    ASSERT_EQ(last->values.size(), 1U) << i;
    EXPECT_EQ(last->values[0].value, std::to_string(i));
    EXPECT_EQ(values((*found)->registry()), values(registry)) << i;
  }
}

TEST_F(SqliteRegistryTest, IsAWriteAheadLoggedFile) {
  MemoryRegistry& registry = reopen();
  ASSERT_TRUE(put(registry, "a", "b"));
  EXPECT_TRUE(std::filesystem::exists(path_.string() + "-wal"));
  open_.reset();
  EXPECT_FALSE(std::filesystem::exists(path_.string() + "-wal")) << "all is in the one file";
  // https://sqlite.org/fileformat.html: 2 stands for write-ahead logging.
  std::ifstream file(path_, std::ios::binary);
  std::string header(20, ' ');
  file.read(header.data(), 20);
  EXPECT_EQ(header.substr(18), "\x02\x02");
}

TEST_F(SqliteRegistryTest, RefusesATransactionThatTheDiskDoesNotTake) {
  MemoryRegistry& registry = reopen();
  const LeaseId lease = registry.grant_lease(std::chrono::seconds(30));
  ASSERT_TRUE(put(registry, "a", "old"));
  ASSERT_TRUE(put(registry, "leased", "old", lease));
  const auto before = values(registry);
  const Revision revision = registry.revision();
  int heard = 0;
  const auto listener = registry.add_listener([&](const WatchBatch&) { ++heard; });

  // No file may grow past this: writes fail as on a full disk, with EFBIG.
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{.rlim_cur = 4096, .rlim_max = limit.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  const auto refused =
      registry.commit({.compares = {},
                       .operations = {Put{.key = "a", .value = std::string(100'000, 'x')},
                                      Delete{{.key = "leased"}}, Put{.key = "b", .value = ""}}});
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);

  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr(path_.string()));
  EXPECT_EQ(values(registry), before);
  EXPECT_EQ(registry.revision(), revision);
  EXPECT_EQ(heard, 0);
  registry.remove_listener(listener);
  registry.revoke_lease(lease);
  EXPECT_THAT(keys(registry), ElementsAre("a")) << "the lease still knows its key";
  ASSERT_TRUE(put(registry, "b")) << "it goes on once the disk does";
  EXPECT_THAT(keys(reopen()), ElementsAre("a", "b"));
}

TEST_F(SqliteRegistryTest, IsOpenOnlyOnce) {
  reopen();
  const auto second = SqliteRegistry::open(loop_, path_);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, ErrorCode::conflict);
  EXPECT_THAT(second.error().message, HasSubstr("in use by another fleetd"));
}

TEST_F(SqliteRegistryTest, IsForItsOwnerOnly) {
  reopen();
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(SqliteRegistryTest, RefusesWhatIsNoRegistryOfFleet) {
  std::ofstream(path_) << std::string(10'000, 'x');
  EXPECT_THAT(refusal(), HasSubstr("is damaged"));
  std::filesystem::remove(path_);
  run_sql("CREATE TABLE something(x)");
  EXPECT_THAT(refusal(), HasSubstr("something other than fleet"));
  std::filesystem::remove(path_);
  reopen();
  open_.reset();
  run_sql("PRAGMA user_version=2");
  EXPECT_THAT(refusal(), HasSubstr("has format 2"));
  path_ = folder_ / "missing" / "registry.db";
  EXPECT_THAT(refusal(), HasSubstr("No such file or directory"));
}

}  // namespace
}  // namespace fleet
