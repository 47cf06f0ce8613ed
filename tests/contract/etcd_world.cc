#include "tests/contract/etcd_world.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/etcd/etcd_store.h"
#include "tests/contract/etcd_process.h"

namespace fleet {
namespace {

class EtcdWorld final : public StoreWorld {
 public:
  explicit EtcdWorld(TestLoop& loop) : loop_(loop) {
    etcd_.start();
    wait_until_ready(etcd_.url());
  }

  Store& session() override {
    sessions_.push_back(connect(loop_, etcd_.url()));
    return *sessions_.back();
  }
  void end_session(Store& session) override {
    std::erase_if(sessions_, [&](const auto& each) { return each.get() == &session; });
  }

  void compact(Revision revision) override { compact(etcd_.url(), revision); }
  void freeze() override { etcd_.freeze(); }
  void thaw() override { etcd_.thaw(); }
  void kill() override { etcd_.kill(); }
  void restart() override {
    etcd_.start();
    wait_until_ready(etcd_.url());
  }
  void restart_compacted(const std::string& key) override {
    const std::string elsewhere = free_url("http");
    etcd_.start(elsewhere);
    wait_until_ready(elsewhere);
    TestLoop loop;
    const auto store = connect(loop, elsewhere);
    Revision last = 0;
    for (int i = 0; i < 2; ++i) {
      std::optional<Result<TransactionResult>> result;
      store->commit({.compares = {}, .operations = {Put{.key = key, .value = "", .lease = 0}}},
                    [&](auto outcome) { result = std::move(outcome); });
      ASSERT_TRUE(loop.run_until([&] { return result.has_value(); }) && result->has_value());
      last = (*result)->revision;
    }
    compact(elsewhere, last);
    etcd_.kill();
    restart();
  }

 private:
  static std::unique_ptr<Store> connect(TestLoop& loop, const std::string& url) {
    EtcdOptions options;
    options.endpoints = {url};
    options.request_timeout = kRequestTimeout;
    auto store = EtcdStore::make(loop, options);
    EXPECT_TRUE(store.has_value());
    return std::move(*store);
  }

  static void compact(const std::string& url, Revision revision) {
    run_program({"etcdctl", "--endpoints=" + url, "compact", std::to_string(revision)});
  }

  // On a loop of its own, for the sessions under test must see nothing of it.
  static void wait_until_ready(const std::string& url) {
    TestLoop loop;
    const auto store = connect(loop, url);
    bool ready = false;
    const std::function<void()> ask = [&] {
      store->read(one("ready?"), 0, [&](const Result<ReadResult>& result) {
        ready = result.has_value();
        if (!ready) loop.call_after(std::chrono::milliseconds(10), ask);
      });
    };
    ask();
    ASSERT_TRUE(loop.run_until([&] { return ready; })) << "etcd does not start";
  }

  TestLoop& loop_;
  EtcdProcess etcd_{EtcdProcess::Setup{}};
  std::vector<std::unique_ptr<Store>> sessions_;  // end before etcd
};

}  // namespace

std::unique_ptr<StoreWorld> make_etcd_world(TestLoop& loop) {
  return std::make_unique<EtcdWorld>(loop);
}

}  // namespace fleet
