#include "tests/contract/memory_world.h"

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <vector>

#include "store/memory/memory_registry.h"
#include "store/memory/memory_store.h"
#include "store/sqlite/sqlite_registry.h"

namespace fleet {
namespace {

// Sessions with a registry in this process.
class LocalWorld : public StoreWorld {
 public:
  LocalWorld(TestLoop& loop, MemoryRegistry& registry) : loop_(loop), registry_(registry) {}

  Store& session() override {
    sessions_.push_back(std::make_unique<MemoryStore>(loop_, registry_, kRequestTimeout));
    sessions_.back()->set_link(link_);
    return *sessions_.back();
  }
  void end_session(Store& session) override {
    std::erase_if(sessions_, [&](const auto& each) { return each.get() == &session; });
  }

  void compact(Revision revision) override { registry_.compact(revision); }
  void freeze() override { connect({.connected = false}); }
  void thaw() override { connect({}); }
  void kill() override { connect({.connected = false}); }
  void restart() override { connect({}); }
  void restart_compacted(const std::string& key) override {
    for (int i = 0; i < 2; ++i) {
      (void)registry_.commit(
          {.compares = {}, .operations = {Put{.key = key, .value = "", .lease = 0}}});
    }
    registry_.compact(registry_.revision());
    restart();
  }

 private:
  void connect(const MemoryLink& link) {
    link_ = link;
    for (const auto& session : sessions_) session->set_link(link);
  }

  TestLoop& loop_;
  MemoryRegistry& registry_;
  MemoryLink link_;
  std::vector<std::unique_ptr<MemoryStore>> sessions_;
};

// A registry that is there before the sessions, and after them.
template <class Registry>
struct Holder {
  Registry held;
};

class MemoryWorld final : Holder<MemoryRegistry>, public LocalWorld {
 public:
  explicit MemoryWorld(TestLoop& loop) : Holder{MemoryRegistry(loop)}, LocalWorld(loop, held) {}
};

// In a file of its own, which goes with it.
struct SqliteFile {
  explicit SqliteFile(TestLoop& loop) {
    std::string path = testing::TempDir() + "fleet-registry-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("cannot make " + path);
    folder = path;
    auto opened = SqliteRegistry::open(loop, folder / "registry.db");
    if (!opened) throw std::runtime_error(opened.error().message);
    registry = std::move(*opened);
  }
  ~SqliteFile() {
    registry.reset();
    std::filesystem::remove_all(folder);
  }
  std::filesystem::path folder;
  std::unique_ptr<SqliteRegistry> registry;
};

class SqliteWorld final : Holder<SqliteFile>, public LocalWorld {
 public:
  explicit SqliteWorld(TestLoop& loop)
      : Holder{SqliteFile(loop)}, LocalWorld(loop, held.registry->registry()) {}
};

}  // namespace

std::unique_ptr<StoreWorld> make_memory_world(TestLoop& loop) {
  return std::make_unique<MemoryWorld>(loop);
}

std::unique_ptr<StoreWorld> make_sqlite_world(TestLoop& loop) {
  return std::make_unique<SqliteWorld>(loop);
}

}  // namespace fleet
