// Log to the journal, with the unit and the machine as fields of their own.
#pragma once

#include "base/log.h"

namespace fleet {

// Lines below `least` are dropped. When standard error is the journal (JOURNAL_STREAM,
// systemd.exec(5)) a line becomes an entry with PRIORITY, FLEET_UNIT and FLEET_MACHINE; else it is
// text on standard error: `LEVEL [unit] text`.
class JournalLog final : public Log {
 public:
  explicit JournalLog(LogLevel least);
  void set_least(LogLevel least) { least_ = least; }
  void write(const LogLine& line) override;

 private:
  LogLevel least_;
  bool to_journal_;
};

}  // namespace fleet
