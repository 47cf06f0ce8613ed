#include "systemd/journal_log.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

namespace fleet {

namespace {

// Whether standard error is the stream to the journal that systemd set up for this service.
bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat status = {};
  if (stream == nullptr || fstat(STDERR_FILENO, &status) != 0) return false;
  return fmt::format("{}:{}", status.st_dev, status.st_ino) == stream;
}

int priority_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return LOG_DEBUG;
    case LogLevel::info:
      return LOG_INFO;
    case LogLevel::warning:
      return LOG_WARNING;
    case LogLevel::error:
      return LOG_ERR;
  }
  return LOG_INFO;
}

const char* word_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "DEBUG";
    case LogLevel::info:
      return "INFO";
    case LogLevel::warning:
      return "WARN";
    case LogLevel::error:
      return "ERROR";
  }
  return "INFO";
}

std::string text_of(const LogLine& line) {
  return line.unit.empty() ? line.text : fmt::format("{}: {}", line.unit, line.text);
}

// Where that does not work either, there is nobody left to tell.
void write_to_stderr(const LogLine& line) {
  std::fputs(fmt::format("{} {}\n", word_of(line.level), text_of(line)).c_str(), stderr);
}

}  // namespace

JournalLog::JournalLog(LogLevel least) : least_(least), to_journal_(stderr_is_journal()) {}

void JournalLog::write(const LogLine& line) {
  if (line.level < least_) return;
  if (!to_journal_) return write_to_stderr(line);
  std::vector<std::string> fields = {"MESSAGE=" + text_of(line),
                                     fmt::format("PRIORITY={}", priority_of(line.level)),
                                     "SYSLOG_IDENTIFIER=fleetd"};
  if (!line.unit.empty()) fields.push_back("FLEET_UNIT=" + line.unit);
  if (!line.machine.empty()) fields.push_back("FLEET_MACHINE=" + line.machine);
  std::vector<iovec> parts;
  parts.reserve(fields.size());
  for (std::string& field : fields) parts.push_back({field.data(), field.size()});
  if (sd_journal_sendv(parts.data(), static_cast<int>(parts.size())) < 0) write_to_stderr(line);
}

}  // namespace fleet
