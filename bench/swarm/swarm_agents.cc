// Many machines in one process: each has the real node without an engine, a session of its own with
// a real etcd, and a systemd in memory. See bench-swarm, which runs it.
//
//   swarm-agents ETCD-URL FIRST COUNT TTL SECONDS
//
// Says "ready" once all machines have joined; ends after so many seconds, or when its stdin does.
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>

#include "net/asio_loop.h"
#include "node/node.h"
#include "store/etcd/etcd_store.h"
#include "systemd/fake_unit_manager.h"

namespace fleet {
namespace {

using namespace std::chrono_literals;

class ErrorsOnly final : public Log {
 public:
  void write(const LogLine& line) override {
    if (line.level == LogLevel::error) fmt::print(stderr, "{}: {}\n", line.machine, line.text);
  }
};

struct SwarmMachine {
  SwarmMachine(EventLoop& loop, Log& log, const EtcdOptions& etcd, int number,
               std::chrono::seconds ttl)
      : store(EtcdStore::make(loop, etcd).value()), systemd(loop), units(loop, systemd) {
    NodeOptions options;
    options.machine_id = fmt::format("{:08x}{:024x}", static_cast<unsigned>(number) * 2654435761U,
                                     number);  // spread over all IDs
    options.boot_id = "swarm";
    options.public_ip = fmt::format("10.0.{}.{}", number / 250, number % 250);
    options.metadata = {{"zone", fmt::format("z{}", number % 20)}};
    options.version = "bench";
    options.disable_engine = true;
    options.agent_ttl = ttl;
    node = std::make_unique<Node>(loop, *store, units, log, std::move(options));
    node->start();
  }

  std::unique_ptr<EtcdStore> store;
  FakeSystemd systemd;
  FakeUnitManager units;
  std::unique_ptr<Node> node;
};

int number_of(const char* text) {
  const std::string_view digits = text;
  int number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

void raise_file_limit() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

int run(char** arguments) {
  raise_file_limit();
  AsioLoop loop;
  ErrorsOnly log;
  EtcdOptions etcd;
  etcd.endpoints = {arguments[1]};
  const int first = number_of(arguments[2]);
  const int count = number_of(arguments[3]);
  const std::chrono::seconds ttl(number_of(arguments[4]));
  std::vector<std::unique_ptr<SwarmMachine>> machines;
  // A few at a time, as machines do not all boot in one instant.
  const std::function<void()> boot = [&] {
    for (int i = 0; i < 10 && std::ssize(machines) < count; ++i) {
      const int number = first + static_cast<int>(machines.size());
      machines.push_back(std::make_unique<SwarmMachine>(loop, log, etcd, number, ttl));
    }
    if (std::ssize(machines) < count) loop.call_after(20ms, boot);
  };
  boot();
  bool said = false;
  const std::function<void()> look = [&] {
    bool all = std::ssize(machines) == count;
    for (const auto& machine : machines) all = all && machine->node->is_registered();
    if (!all) {
      loop.call_after(20ms, look);
      return;
    }
    said = true;
    fmt::print("ready\n");
    std::fflush(stdout);
  };
  look();
  loop.watch_fd(STDIN_FILENO, POLLIN, [&](short) { loop.stop(); });
  loop.call_after(std::chrono::seconds(number_of(arguments[5])), [&] { loop.stop(); });
  loop.watch_signal(SIGTERM, [&] { loop.stop(); });
  loop.run();
  return said ? 0 : 1;
}

}  // namespace
}  // namespace fleet

int main(int argc, char** argv) {
  if (argc != 6) {
    fmt::print(stderr, "usage: swarm-agents ETCD-URL FIRST COUNT TTL SECONDS\n");
    return 2;
  }
  return fleet::run(argv);
}
