// The UnitManager contract over this machine's systemd. To be run as root, on a machine that can
// spare it: units named fleetct... come and go, and systemd reloads. Nothing of it stays.
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "poll_loop.h"
#include "real_machine.h"
#include "systemd/journal_log.h"
#include "systemd/sdbus_unit_manager.h"
#include "systemd/service.h"
#include "unit_manager_contract.h"

extern char** environ;

namespace fleet {

namespace fs = std::filesystem;

std::string run_command(const std::vector<std::string>& arguments) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return "";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int spawned = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string output;
  char buffer[4096];
  ssize_t count = 0;
  while (spawned == 0 && (count = read(ends[0], buffer, sizeof buffer)) > 0) {
    output.append(buffer, static_cast<std::size_t>(count));
  }
  close(ends[0]);
  if (spawned == 0) waitpid(pid, nullptr, 0);
  while (!output.empty() && output.back() == '\n') output.pop_back();
  return output;
}

std::string property(const std::string& name, const std::string& which) {
  return run_command({"systemctl", "show", "-P", which, "--", name});
}

int cut_bus_connections() {
  int cut = 0;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename());
    sockaddr_un peer{};
    socklen_t size = sizeof peer;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) continue;
    if (peer.sun_family != AF_UNIX || std::strcmp(peer.sun_path, kBusSocket) != 0) continue;
    cut += shutdown(fd, SHUT_RDWR) == 0 ? 1 : 0;
  }
  return cut;
}

namespace {

// The names of the units that systemd has in memory.
std::vector<std::string> loaded_units() {
  std::vector<std::string> names;
  std::istringstream lines(run_command(
      {"systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", "*fleetct*"}));
  for (std::string line; std::getline(lines, line);) {
    names.push_back(line.substr(0, line.find(' ')));
  }
  return names;
}

}  // namespace

void clean_machine() {
  if (const std::vector<std::string> units = loaded_units(); !units.empty()) {
    std::vector<std::string> stop = {"systemctl", "stop", "--"};
    std::vector<std::string> reset = {"systemctl", "reset-failed", "--"};
    stop.insert(stop.end(), units.begin(), units.end());
    reset.insert(reset.end(), units.begin(), units.end());
    run_command(stop);
    run_command(reset);
  }
  std::error_code ignored;
  for (const char* directory : {kLinks, kBeforeLinks}) {
    for (const auto& entry : fs::directory_iterator(directory, ignored)) {
      if (entry.path().filename().string().contains("fleetct")) fs::remove_all(entry, ignored);
    }
  }
  fs::remove_all(kBase, ignored);
  fs::remove("/run/fleetct-type", ignored);
  fs::remove("/run/fleetct-type.sock", ignored);
  // What another unit still refers to.
  if (!loaded_units().empty()) run_command({"systemctl", "daemon-reload"});
}

namespace {

class RealWorld final : public UnitManagerWorld {
 public:
  RealWorld() { restart_manager(); }
  ~RealWorld() override {
    manager_.reset();
    clean_machine();
  }

  UnitManager* manager() override { return manager_.get(); }
  void restart_manager() override {
    manager_.reset();
    manager_ = std::make_unique<SdbusUnitManager>(
        loop_, SdbusUnitManager::Options{.units_directory = kUnits, .links_directory = ""});
  }
  void end_manager() override { manager_.reset(); }

  bool run_until(const std::function<bool()>& condition) override {
    return loop_.run_until(condition, std::chrono::seconds(30));
  }
  void settle() override { loop_.run_for(std::chrono::milliseconds(300)); }

  void start_by_hand(const std::string& name) override {
    run_command({"systemctl", "start", "--no-block", "--", name});
  }
  void stop_by_hand(const std::string& name) override {
    run_command({"systemctl", "stop", "--no-block", "--", name});
  }
  void crash(const std::string& name) override {
    const pid_t pid = std::stoi("0" + property(name, "MainPID"));
    if (pid > 1) kill(pid, SIGKILL);
  }
  void put_file(const std::string& file_name, const std::string& text) override {
    std::ofstream(std::string(kUnits) + file_name) << text;
  }
  std::string put_file_before(const std::string& name, const std::string& text) override {
    const std::string path = kBeforeLinks + name;
    std::ofstream(path) << text;
    return path;
  }
  void take_file_before(const std::string& name) override {
    fs::remove(kBeforeLinks + name);
    run_command({"systemctl", "daemon-reload"});
  }
  void cut_connection() override { EXPECT_GE(cut_bus_connections(), 1); }

  std::string command_of(const std::string& name) override {
    const std::string pid = property(name, "MainPID");
    std::string command;
    // A simple service has started before its process has become the program.
    loop_.run_until(
        [&] {
          std::ifstream file("/proc/" + pid + "/cmdline");
          command.assign(std::istreambuf_iterator<char>(file), {});
          return command.starts_with("/bin/sleep");
        },
        std::chrono::seconds(5));
    for (char& c : command) c = c == '\0' ? ' ' : c;
    while (command.ends_with(' ')) command.pop_back();
    return command;
  }
  std::string process_of(const std::string& name) override {
    return property(name, "InvocationID");
  }
  bool enabled(const std::string& name, const std::string& target) override {
    return fs::is_symlink(std::string(kLinks) + target + ".wants/" + name);
  }
  bool has_file(const std::string& name) override {
    return fs::exists(std::string(kUnits) + name) || fs::is_symlink(std::string(kLinks) + name);
  }

 private:
  PollLoop loop_;
  std::unique_ptr<UnitManager> manager_;
};

std::unique_ptr<UnitManagerWorld> make_real_world() {
  return std::make_unique<RealWorld>();
}

INSTANTIATE_TEST_SUITE_P(Real, UnitManagerContract, ::testing::Values(make_real_world));

}  // namespace
}  // namespace fleet

namespace {

volatile std::sig_atomic_t terminated = 0;

// The service of real_systemd_test.cc: logs a line, runs until SIGTERM, then asks systemd what for,
// and writes the answer to a file.
int answer_on_sigterm(const std::string& path) {
  fleet::JournalLog log(fleet::LogLevel::info);
  log.write({fleet::LogLevel::warning, "waits\nfor SIGTERM", "fleetct-x.service", "machine1"});
  std::signal(SIGTERM, [](int) { terminated = 1; });
  fleet::PollLoop loop;
  fleet::notify_ready("waits");
  while (!loop.run_until([] { return terminated != 0; }, std::chrono::milliseconds(50))) {
  }
  std::string answer;
  fleet::restart_pending(
      loop, /*user=*/false, std::chrono::seconds(10),
      [&answer](const fleet::Result<bool>& restart) {
        answer = !restart ? restart.error().message : *restart ? "restart" : "stop";
      });
  loop.run_until([&] { return !answer.empty(); }, std::chrono::seconds(15));
  std::ofstream(path + ".new") << answer;
  std::filesystem::rename(path + ".new", path);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--answer-on-sigterm") return answer_on_sigterm(argv[2]);
  ::testing::InitGoogleTest(&argc, argv);
  if (geteuid() != 0 || access(fleet::kBusSocket, F_OK) != 0) {
    std::fprintf(stderr,
                 "unit_manager_contract_real: wants to be run as root on a machine with systemd "
                 "and D-Bus (%s)\n",
                 fleet::kBusSocket);
    return 1;
  }
  fleet::clean_machine();  // what a run that was killed left behind
  return RUN_ALL_TESTS();
}
