#include "store/sqlite/sqlite_registry.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"

namespace fleet {
namespace {

// "flet" and the version of the tables below, in the file's header.
constexpr int kApplicationId = 0x666c6574;
constexpr int kVersion = 1;

// Revisions of what is on leases are not written down, but must not be given twice. So a stock of
// revisions is set aside, and a new one when half of it is used; opening begins behind it.
constexpr Revision kStock = 10'000;

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
struct FinishStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, FinishStatement>;

std::string column_text(sqlite3_stmt* statement, int column) {
  const void* bytes = sqlite3_column_blob(statement, column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes),
          static_cast<std::size_t>(sqlite3_column_bytes(statement, column))};
}

void bind(sqlite3_stmt* statement, int index, const std::string& bytes) {
  sqlite3_bind_blob64(statement, index, bytes.data(), bytes.size(), SQLITE_STATIC);
}

}  // namespace

class SqliteRegistry::File final : public RegistryKeeper {
 public:
  explicit File(std::string path) : path_(std::move(path)) {}

  Status open() {
    // SQLite would make it by the umask; and its own words for a path that cannot be are poor.
    const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
      return fail(ErrorCode::failed,
                  fmt::format("cannot open the registry {}: {}", path_, std::strerror(errno)));
    }
    ::close(fd);
    if (Status synced = sync_directory(); !synced) return synced;
    sqlite3* opened = nullptr;
    const int code = sqlite3_open_v2(path_.c_str(), &opened,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, nullptr);
    database_.reset(opened);
    if (code != SQLITE_OK) return failure("open");
    // The lock is held for as long as the file is open: no second fleetd can join in.
    for (const char* setting :
         {"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA synchronous=FULL", "BEGIN IMMEDIATE"}) {
      if (Status done = run(setting); !done) return done;
    }
    if (Status ready = make_or_check(); !ready) return ready;
    if (Status done = run("COMMIT"); !done) return done;
    return run("PRAGMA journal_mode=WAL");
  }

  struct Contents {
    std::vector<KeyValue> values;
    Revision revision = 0;
  };
  Result<Contents> load() {
    Contents contents;
    const auto reserved = number("SELECT revision FROM reserved");
    if (!reserved) return std::unexpected(reserved.error());
    contents.revision = *reserved;
    const auto select = prepare("SELECT key, value, create_revision, mod_revision FROM entry");
    if (!select) return std::unexpected(select.error());
    int code = 0;
    while ((code = sqlite3_step(select->get())) == SQLITE_ROW) {
      contents.values.push_back({.key = column_text(select->get(), 0),
                                 .value = column_text(select->get(), 1),
                                 .create_revision = sqlite3_column_int64(select->get(), 2),
                                 .mod_revision = sqlite3_column_int64(select->get(), 3),
                                 .lease = 0});
    }
    if (code != SQLITE_DONE) return std::unexpected(failure("read").error());
    reserved_ = contents.revision;
    if (Status done = prepare_writes(); !done) return std::unexpected(done.error());
    return contents;
  }

  Status keep(const WatchBatch& change) override {
    const bool reserve = change.revision + kStock / 2 >= reserved_;
    Status done = step(begin_);
    if (!done) return done;
    done = write(change);
    if (done && reserve) {
      sqlite3_bind_int64(reserve_.get(), 1, change.revision + kStock);
      done = step(reserve_);
    }
    if (done) done = step(commit_);
    if (done && reserve) reserved_ = change.revision + kStock;
    // After some failures SQLite has rolled back by itself. If not, and this fails too, the next
    // BEGIN says so.
    if (!done && sqlite3_get_autocommit(database_.get()) == 0) (void)step(rollback_);
    return done;
  }

 private:
  std::unexpected<Error> failure(const char* what) const {
    const int code = sqlite3_extended_errcode(database_.get()) & 0xff;
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
      return fail(
          ErrorCode::conflict,
          fmt::format("the registry {} is in use by another fleetd: stop that first", path_));
    }
    if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) {
      return fail(ErrorCode::invalid,
                  fmt::format("the registry {} is damaged ({}): restore it from a backup, or move "
                              "it away to begin with an empty one; running units are not touched",
                              path_, sqlite3_errmsg(database_.get())));
    }
    return fail(ErrorCode::failed, fmt::format("cannot {} the registry {}: {}", what, path_,
                                               sqlite3_errmsg(database_.get())));
  }

  // So that a power loss cannot take the name of a new file away again.
  Status sync_directory() const {
    const std::size_t slash = path_.rfind('/');
    const std::string directory =
        slash == std::string::npos ? "." : path_.substr(0, std::max<std::size_t>(slash, 1));
    const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = fd >= 0 && ::fsync(fd) == 0;
    const int error = errno;
    if (fd >= 0) ::close(fd);
    if (synced) return {};
    return fail(ErrorCode::failed,
                fmt::format("cannot write the directory {}: {}", directory, std::strerror(error)));
  }

  Status run(const char* sql) {
    if (sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
    return failure("open");
  }

  Result<Statement> prepare(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v3(database_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement,
                           nullptr) != SQLITE_OK) {
      return failure("read");
    }
    return Statement(statement);
  }

  Result<std::int64_t> number(const char* sql) {
    const auto statement = prepare(sql);
    if (!statement) return std::unexpected(statement.error());
    if (sqlite3_step(statement->get()) != SQLITE_ROW) return failure("read");
    return sqlite3_column_int64(statement->get(), 0);
  }

  Status make_or_check() {
    const auto application = number("PRAGMA application_id");
    if (!application) return std::unexpected(application.error());
    const auto version = number("PRAGMA user_version");
    if (!version) return std::unexpected(version.error());
    const auto tables = number("SELECT count(*) FROM sqlite_schema");
    if (!tables) return std::unexpected(tables.error());
    if (*application == 0 && *tables == 0) {
      return run(fmt::format("PRAGMA application_id={};PRAGMA user_version={};"
                             "CREATE TABLE entry(key BLOB PRIMARY KEY, value BLOB NOT NULL,"
                             " create_revision INTEGER NOT NULL, mod_revision INTEGER NOT NULL)"
                             " WITHOUT ROWID;"
                             "CREATE TABLE reserved(revision INTEGER NOT NULL);"
                             "INSERT INTO reserved VALUES(1)",
                             kApplicationId, kVersion)
                     .c_str());
    }
    if (*application != kApplicationId) {
      return fail(ErrorCode::invalid, fmt::format("{} is an SQLite file of something other than "
                                                  "fleet: choose another path",
                                                  path_));
    }
    if (*version != kVersion) {
      return fail(ErrorCode::invalid,
                  fmt::format("the registry {} has format {}, and this fleetd knows format {} "
                              "only: run the fleetd that wrote it, or a newer one",
                              path_, *version, kVersion));
    }
    return {};
  }

  Status prepare_writes() {
    const std::pair<Statement*, const char*> wanted[] = {
        {&begin_, "BEGIN"},
        {&commit_, "COMMIT"},
        {&rollback_, "ROLLBACK"},
        {&put_, "INSERT OR REPLACE INTO entry VALUES(?1, ?2, ?3, ?4)"},
        {&remove_, "DELETE FROM entry WHERE key=?1"},
        {&reserve_, "UPDATE reserved SET revision=?1"}};
    for (const auto& [statement, sql] : wanted) {
      auto prepared = prepare(sql);
      if (!prepared) return std::unexpected(prepared.error());
      *statement = std::move(*prepared);
    }
    return {};
  }

  Status step(const Statement& statement) {
    const int code = sqlite3_step(statement.get());
    Status done;
    if (code != SQLITE_DONE) done = failure("write");
    sqlite3_reset(statement.get());
    return done;
  }

  Status write(const WatchBatch& change) {
    for (const WatchEvent& event : change.events) {
      const KeyValue& value = event.value;
      const bool kept = event.kind == WatchEvent::Kind::put && value.lease == 0;
      const Statement& statement = kept ? put_ : remove_;
      bind(statement.get(), 1, value.key);
      if (kept) {
        bind(statement.get(), 2, value.value);
        sqlite3_bind_int64(statement.get(), 3, value.create_revision);
        sqlite3_bind_int64(statement.get(), 4, value.mod_revision);
      }
      if (Status done = step(statement); !done) return done;
    }
    return {};
  }

  std::string path_;
  Database database_;  // before the statements, which must go first
  Statement begin_, commit_, rollback_, put_, remove_, reserve_;
  Revision reserved_ = 0;
};

SqliteRegistry::SqliteRegistry(EventLoop& loop, std::unique_ptr<File> file)
    : file_(std::move(file)),
      registry_(loop, file_.get(), {limits::kHistoryRevisions, limits::kHistoryBytes}) {}

SqliteRegistry::~SqliteRegistry() = default;

Result<std::unique_ptr<SqliteRegistry>> SqliteRegistry::open(EventLoop& loop,
                                                             const std::string& path) {
  auto file = std::make_unique<File>(path);
  if (Status opened = file->open(); !opened) return std::unexpected(opened.error());
  auto contents = file->load();
  if (!contents) return std::unexpected(contents.error());
  std::unique_ptr<SqliteRegistry> registry(new SqliteRegistry(loop, std::move(file)));
  registry->registry_.restore(std::move(contents->values), contents->revision);
  return registry;
}

MemoryRegistry& SqliteRegistry::registry() {
  return registry_;
}

}  // namespace fleet
