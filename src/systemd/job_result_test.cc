#include "systemd/job_result.h"

#include <gtest/gtest.h>

namespace fleet {
namespace {

JobEnd end_of(std::string verb, std::string result) {
  return {std::move(verb), "a.service", std::move(result), "", ""};
}

TEST(JobResult, DoneIsSuccess) {
  for (const char* verb : {"start", "stop", "restart"}) {
    EXPECT_TRUE(job_status(end_of(verb, "done")));
  }
}

TEST(JobResult, SkippedIsSuccessOfAStart) {
  EXPECT_TRUE(job_status(end_of("start", "skipped")));
  EXPECT_TRUE(job_status(end_of("restart", "skipped")));
  EXPECT_FALSE(job_status(end_of("stop", "skipped")));
}

TEST(JobResult, OtherResultsAreSaidWithTheUnitsState) {
  JobEnd end = end_of("start", "failed");
  end.unit_state = "failed (failed), exit-code, exit status 1";
  const Status failed = job_status(end);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::failed);
  EXPECT_EQ(failed.error().message,
            "start a.service: its job failed (result failed), the unit is failed (failed), "
            "exit-code, exit status 1");
  EXPECT_EQ(job_status(end_of("start", "dependency")).error().message,
            "start a.service: a unit that it depends on failed (result dependency)");
  EXPECT_EQ(job_status(end_of("stop", "unheard-of")).error().message,
            "stop a.service: its job ended (result unheard-of)");
}

TEST(JobResult, WhoReplacedAJobIsSaid) {
  JobEnd end = end_of("start", "canceled");
  EXPECT_EQ(job_status(end).error().message,
            "start a.service: its job was canceled before it ended (result canceled)");
  end.replaced_by = "stop";
  EXPECT_EQ(job_status(end).error().message,
            "start a.service: replaced by fleet's own newer stop of it (result canceled)");
}

}  // namespace
}  // namespace fleet
