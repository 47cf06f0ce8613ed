// A real etcd of one member on loopback, for tests: data in a temporary directory, ports of its
// own.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

namespace fleet {

// Functions that fail end the test program: without its etcd a test means nothing.
class EtcdProcess {
 public:
  // `options` are further command-line options. Not started yet.
  explicit EtcdProcess(std::string scheme = "http", std::vector<std::string> options = {});
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
  std::string url_;
  std::string peer_url_;
  std::vector<std::string> options_;
  pid_t pid_ = 0;
};

// Returns "scheme://127.0.0.1:port" with a port that nobody listens on.
std::string free_url(const std::string& scheme);

// Runs a program to its end and returns what it wrote; without success the test program ends.
std::string run_program(const std::vector<std::string>& command);

}  // namespace fleet
