// A real etcd of one member on loopback, for tests: data in a temporary directory, ports of its
// own.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

namespace fleet {

// Functions that fail end the test program: without its etcd a test means nothing.
class EtcdProcess {
 public:
  struct Setup {
    std::string scheme = "http";
    std::vector<std::string> options = {};  // further ones of the command line
    // Of a cluster; else it is the only member.
    std::string name = "test";
    std::string peer_url = {};
    std::string initial_cluster = {};
  };

  explicit EtcdProcess(Setup setup);  // not started yet
  // Ends it and removes its data.
  ~EtcdProcess();
  EtcdProcess(const EtcdProcess&) = delete;
  EtcdProcess& operator=(const EtcdProcess&) = delete;

  const std::string& url() const { return url_; }
  const std::filesystem::path& directory() const { return directory_; }

  // Starts it, where clients expect it or, with `url`, elsewhere.
  void start() { start(url_); }
  void start(const std::string& url);
  void kill();
  void freeze();
  void thaw();

 private:
  std::filesystem::path directory_;
  Setup setup_;
  std::string url_;
  pid_t pid_ = 0;
};

// Makes a cluster of `size` members, not started yet.
std::vector<std::unique_ptr<EtcdProcess>> make_etcd_cluster(int size);

// Returns "scheme://127.0.0.1:port" with a port that nobody listens on.
std::string free_url(const std::string& scheme);

// Runs a program to its end and returns what it wrote; without success the test program ends.
std::string run_program(const std::vector<std::string>& command);

}  // namespace fleet
