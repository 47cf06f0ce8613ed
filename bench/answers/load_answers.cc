// An open-loop load on an HTTP API: requests are due at a fixed rate, whatever the answers take,
// and each answer's time counts from when its request was due. So a server that falls behind shows.
//
//   load-answers ADDRESS PORT RATE SECONDS PATH...     the paths are asked in turn
//
// Prints one line of JSON: the percentiles in milliseconds.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kConnections = 64;

struct Connection {
  int socket = -1;
  bool busy = false;
  Clock::time_point due;
  std::string answer;
};

// The length of the whole answer at the front of `text`; 0 while that is not known.
std::size_t answer_length(std::string_view text) {
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string_view::npos) return 0;
  constexpr std::string_view kLength = "Content-Length: ";
  const std::size_t field = text.find(kLength);
  std::size_t body = 0;
  if (field < end) {
    std::from_chars(text.data() + field + kLength.size(), text.data() + end, body);
  }
  return end + 4 + body;
}

int connect_to(const char* address, int port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  inet_pton(AF_INET, address, &to.sin_addr);
  const int opened = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(opened, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(opened, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) return opened;
  close(opened);
  return -1;
}

class Load {
 public:
  Load(std::string host, std::vector<std::string> paths)
      : host_(std::move(host)), paths_(std::move(paths)) {}

  bool open(const char* address, int port) {
    for (Connection& connection : connections_) {
      connection.socket = connect_to(address, port);
      if (connection.socket < 0) return false;
    }
    return true;
  }

  void run(int rate, int seconds) {
    const Clock::time_point begin = Clock::now();
    const int total = rate * seconds;
    const Clock::time_point end = begin + std::chrono::seconds(seconds + 10);
    int asked = 0;
    while (static_cast<int>(times_.size()) + failed_ < total && Clock::now() < end) {
      const auto due_at = [&](int i) {
        return begin + i * std::chrono::nanoseconds(1'000'000'000) / rate;
      };
      for (; asked < total && due_at(asked) <= Clock::now(); ++asked) due_.push_back(due_at(asked));
      for (Connection& connection : connections_) {
        if (!connection.busy && !due_.empty()) ask(connection);
      }
      wait_for_answers();
    }
    report(total);
  }

 private:
  void ask(Connection& connection) {
    connection.busy = true;
    connection.due = due_.front();
    due_.pop_front();
    const std::string request = fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n",
                                            paths_[next_path_++ % paths_.size()], host_);
    if (write(connection.socket, request.data(), request.size()) < 0) ++failed_;
  }

  void wait_for_answers() {
    std::vector<pollfd> polled;
    for (const Connection& connection : connections_) {
      polled.push_back({connection.busy ? connection.socket : -1, POLLIN, 0});
    }
    const timespec briefly{0, 200'000};
    if (ppoll(polled.data(), polled.size(), &briefly, nullptr) <= 0) return;
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      if (polled[i].revents != 0) take(connections_[i]);
    }
  }

  void take(Connection& connection) {
    char buffer[64 * 1024];
    const ssize_t bytes = read(connection.socket, buffer, sizeof buffer);
    if (bytes > 0) connection.answer.append(buffer, static_cast<std::size_t>(bytes));
    const std::size_t length = answer_length(connection.answer);
    if (bytes > 0 && (length == 0 || connection.answer.size() < length)) return;
    if (bytes <= 0 || !connection.answer.starts_with("HTTP/1.1 200")) ++failed_;
    if (bytes > 0) {
      times_.push_back(
          std::chrono::duration<double, std::milli>(Clock::now() - connection.due).count());
    }
    connection.answer.clear();
    connection.busy = bytes <= 0;  // what is closed is not used again
  }

  void report(int total) {
    std::ranges::sort(times_);
    const auto at = [this](double share) {
      if (times_.empty()) return 0.0;
      return times_[static_cast<std::size_t>(share * static_cast<double>(times_.size() - 1))];
    };
    fmt::print(
        R"({{"requests":{},"answered":{},"failed":{},"p50_ms":{:.3f},"p99_ms":{:.3f},"max_ms":{:.3f}}})"
        "\n",
        total, times_.size(), failed_, at(0.5), at(0.99), at(1));
  }

  std::string host_;
  std::vector<std::string> paths_;
  std::vector<Connection> connections_ = std::vector<Connection>(kConnections);
  std::deque<Clock::time_point> due_;
  std::size_t next_path_ = 0;
  std::vector<double> times_;
  int failed_ = 0;
};

int number_of(std::string_view digits) {
  int number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6 || number_of(argv[3]) < 1 || number_of(argv[4]) < 1) {
    fmt::print(stderr, "usage: load-answers ADDRESS PORT RATE SECONDS PATH...\n");
    return 2;
  }
  Load load(argv[1], {argv + 5, argv + argc});
  if (!load.open(argv[1], number_of(argv[2]))) {
    fmt::print(stderr, "load-answers: cannot connect to {} port {}\n", argv[1], argv[2]);
    return 1;
  }
  load.run(number_of(argv[3]), number_of(argv[4]));
  return 0;
}
