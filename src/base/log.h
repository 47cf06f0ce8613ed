// Where a process says what it does. The core does not log: it returns what there is to say.
#pragma once

#include <string>
#include <string_view>

namespace fleet {

enum class LogLevel { debug, info, warning, error };

// One line for the log. `unit` and `machine` are empty where the line is about neither; the journal
// gets them as the fields FLEET_UNIT and FLEET_MACHINE.
struct LogLine {
  LogLevel level = LogLevel::info;
  std::string text;
  std::string unit;
  std::string machine;

  bool operator==(const LogLine&) const = default;
};

class Log {
 public:
  virtual ~Log() = default;
  virtual void write(const LogLine& line) = 0;
};

}  // namespace fleet
