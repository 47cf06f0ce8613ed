#include "tests/contract/memory_world.h"

#include <algorithm>
#include <vector>

#include "store/memory/memory_registry.h"
#include "store/memory/memory_store.h"

namespace fleet {
namespace {

class MemoryWorld final : public StoreWorld {
 public:
  explicit MemoryWorld(TestLoop& loop) : loop_(loop), registry_(loop) {}

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
  MemoryRegistry registry_;
  MemoryLink link_;
  std::vector<std::unique_ptr<MemoryStore>> sessions_;
};

}  // namespace

std::unique_ptr<StoreWorld> make_memory_world(TestLoop& loop) {
  return std::make_unique<MemoryWorld>(loop);
}

}  // namespace fleet
