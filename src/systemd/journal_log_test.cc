#include "systemd/journal_log.h"

#include <cstdlib>

#include <gtest/gtest.h>

namespace fleet {
namespace {

TEST(JournalLog, WritesLinesToStandardErrorThatIsNoJournal) {
  setenv("JOURNAL_STREAM", "1:2", 1);  // inherited, but of another stream
  testing::internal::CaptureStderr();
  {
    JournalLog log(LogLevel::info);
    log.write({LogLevel::debug, "not shown", "", ""});
    log.write({LogLevel::info, "starts", "", "m1"});
    log.write({LogLevel::warning, "fails", "a.service", ""});
    log.write({LogLevel::error, "100% {broken}", "", ""});
    log.set_least(LogLevel::debug);
    log.write({LogLevel::debug, "shown", "", ""});
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "INFO starts\nWARN a.service: fails\nERROR 100% {broken}\nDEBUG shown\n");
  unsetenv("JOURNAL_STREAM");
}

}  // namespace
}  // namespace fleet
