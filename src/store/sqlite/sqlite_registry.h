// The registry of a cluster of one, embedded in fleetd: a MemoryRegistry that an SQLite file keeps.
// Sessions with it are MemoryStores.
//
// A transaction is on the disk when it is answered (write-ahead log, synchronous=FULL:
// https://sqlite.org/pragma.html#pragma_synchronous): neither a crash nor a power loss takes it
// back. What is on a lease belongs to the process and is not kept: a lease of a process that has
// ended has nobody to renew it.
#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "base/event_loop.h"
#include "store/memory/memory_registry.h"

namespace fleet {

class SqliteRegistry final {
 public:
  // Opens the file, or makes it, with mode 0600 in a directory that exists. `loop` must outlive
  // the registry. Fails: conflict (another process has it open), invalid (not a registry of fleet,
  // of a version that this one does not know, or damaged), failed (the disk).
  static Result<std::unique_ptr<SqliteRegistry>> open(EventLoop& loop, const std::string& path);

  ~SqliteRegistry();
  SqliteRegistry(const SqliteRegistry&) = delete;
  SqliteRegistry& operator=(const SqliteRegistry&) = delete;

  MemoryRegistry& registry();

 private:
  class File;
  SqliteRegistry(EventLoop& loop, std::unique_ptr<File> file);

  std::unique_ptr<File> file_;
  MemoryRegistry registry_;
};

}  // namespace fleet
