#include "tests/contract/etcd_process.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fleet {
namespace {

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", what.c_str(), std::strerror(errno));
  std::abort();
}

// Starts `command` with its output going to `output`. It does not outlive this thread.
pid_t spawn(const std::vector<std::string>& command, int output) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));  // NOLINT: execvp's signature
  }
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) give_up("fork");
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  execvp(arguments[0], arguments.data());
  _exit(127);
}

bool port_is_free(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) give_up("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return free;
}

}  // namespace

std::string free_url(const std::string& scheme) {
  // Below the ports that the kernel gives to outgoing connections, so that none of them takes the
  // port while etcd is down.
  static unsigned next = static_cast<unsigned>(getpid()) * 37;
  for (int tries = 0; tries < 10'000; ++tries) {
    const auto port = static_cast<std::uint16_t>(20'000 + next++ % 12'000);
    if (port_is_free(port)) return scheme + "://127.0.0.1:" + std::to_string(port);
  }
  give_up("no free port");
}

std::string run_program(const std::vector<std::string>& command) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) give_up("pipe2");
  const pid_t pid = spawn(command, ends[1]);
  close(ends[1]);
  std::string output;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = read(ends[0], buffer.data(), buffer.size())) > 0;) {
    output.append(buffer.data(), static_cast<std::size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  if (status != 0) give_up(command[0] + " failed: " + output);
  return output;
}

std::vector<std::unique_ptr<EtcdProcess>> make_etcd_cluster(int size) {
  std::vector<EtcdProcess::Setup> setups(static_cast<std::size_t>(size));
  std::string members;
  for (EtcdProcess::Setup& setup : setups) {
    setup.name = "test" + std::to_string(&setup - setups.data());
    setup.peer_url = free_url("http");
    members += (members.empty() ? "" : ",") + setup.name + "=" + setup.peer_url;
  }
  std::vector<std::unique_ptr<EtcdProcess>> cluster;
  for (EtcdProcess::Setup& setup : setups) {
    setup.initial_cluster = members;
    // Between members a delay of the machine that tests run on must not be taken for a death.
    setup.options = {"--heartbeat-interval=100", "--election-timeout=1000"};
    cluster.push_back(std::make_unique<EtcdProcess>(setup));
  }
  return cluster;
}

EtcdProcess::EtcdProcess(Setup setup) : setup_(std::move(setup)), url_(free_url(setup_.scheme)) {
  if (setup_.peer_url.empty()) setup_.peer_url = free_url("http");
  if (setup_.initial_cluster.empty()) setup_.initial_cluster = setup_.name + "=" + setup_.peer_url;
  std::string name = (std::filesystem::temp_directory_path() / "fleet-etcd-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) give_up("cannot make " + name);
  directory_ = name;
}

EtcdProcess::~EtcdProcess() {
  kill();
  std::filesystem::remove_all(directory_);
}

void EtcdProcess::start(const std::string& url) {
  // Quick elections make quick tests; a lease lives at least 1.5 elections, rounded up to 1 s.
  std::vector<std::string> command = {"etcd",
                                      "--name=" + setup_.name,
                                      "--data-dir=" + (directory_ / "data").string(),
                                      "--listen-client-urls=" + url,
                                      "--advertise-client-urls=" + url,
                                      "--listen-peer-urls=" + setup_.peer_url,
                                      "--initial-advertise-peer-urls=" + setup_.peer_url,
                                      "--initial-cluster=" + setup_.initial_cluster,
                                      "--heartbeat-interval=20",
                                      "--election-timeout=200"};
  command.insert(command.end(), setup_.options.begin(), setup_.options.end());
  const int log =
      open((directory_ / "log").c_str(), O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
  if (log < 0) give_up("cannot open a log for etcd");
  pid_ = spawn(command, log);
  close(log);
}

void EtcdProcess::kill() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

void EtcdProcess::freeze() {
  ::kill(pid_, SIGSTOP);
  waitpid(pid_, nullptr, WUNTRACED);  // until all of its threads stand still
}

void EtcdProcess::thaw() {
  ::kill(pid_, SIGCONT);
}

}  // namespace fleet
