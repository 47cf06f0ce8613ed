#include "fleetd/process_metrics.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

namespace fleet {
namespace {

// Fields of /proc/PID/stat as proc(5) numbers them, from 1.
constexpr std::size_t kUserTime = 14;
constexpr std::size_t kSystemTime = 15;
constexpr std::size_t kStartTime = 22;
constexpr std::size_t kVirtualBytes = 23;
constexpr std::size_t kResidentPages = 24;

// The fields after the second one, the name, which may hold blanks and parentheses.
class ProcStat {
 public:
  ProcStat() {
    std::ifstream file("/proc/self/stat");
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return;
    std::istringstream rest(text.substr(name_end + 1));
    for (std::string field; rest >> field;) fields_.push_back(std::move(field));
  }

  std::optional<double> number(std::size_t field) const {
    constexpr std::size_t kFirst = 3;
    if (field - kFirst >= fields_.size()) return std::nullopt;
    return std::strtod(fields_[field - kFirst].c_str(), nullptr);
  }

 private:
  std::vector<std::string> fields_;
};

std::optional<double> boot_time() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("btime ")) return std::strtod(line.c_str() + 6, nullptr);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> open_descriptors() {
  std::error_code error;
  std::filesystem::directory_iterator entries("/proc/self/fd", error);
  if (error) return std::nullopt;
  // One of them is the iterator's own.
  return static_cast<std::uint64_t>(std::distance(entries, {})) - 1;
}

void add(MetricsText& text, std::string_view name, std::string_view type, std::string_view help,
         std::optional<double> value) {
  if (!value) return;
  text.begin(name, type, help);
  text.sample(*value);
}

}  // namespace

void add_process_metrics(MetricsText& text) {
  const ProcStat stat;
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  const auto user = stat.number(kUserTime);
  const auto system = stat.number(kSystemTime);
  const auto started = stat.number(kStartTime);
  const auto resident = stat.number(kResidentPages);
  const auto booted = boot_time();
  const auto open = open_descriptors();
  rlimit descriptors{};
  const bool limited = ::getrlimit(RLIMIT_NOFILE, &descriptors) == 0;
  using Value = std::optional<double>;
  add(text, "process_cpu_seconds_total", "counter", "User and system CPU time spent, in seconds.",
      user && system ? Value((*user + *system) / ticks) : Value());
  add(text, "process_max_fds", "gauge", "Most file descriptors that may be open.",
      limited ? Value(static_cast<double>(descriptors.rlim_cur)) : Value());
  add(text, "process_open_fds", "gauge", "Open file descriptors.",
      open ? Value(static_cast<double>(*open)) : Value());
  add(text, "process_resident_memory_bytes", "gauge", "Resident memory, in bytes.",
      resident ? Value(*resident * page) : Value());
  add(text, "process_start_time_seconds", "gauge", "Unix time at which the process began.",
      started && booted ? Value(*booted + *started / ticks) : Value());
  add(text, "process_virtual_memory_bytes", "gauge", "Virtual memory, in bytes.",
      stat.number(kVirtualBytes));
}

double unix_time() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

}  // namespace fleet
