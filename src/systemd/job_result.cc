#include "systemd/job_result.h"

namespace fleet {
namespace {

// The results as systemd's own documentation of JobRemoved explains them.
std::string_view explain(std::string_view result) {
  if (result == "canceled") return "its job was canceled before it ended";
  if (result == "timeout") return "its job ran into its time limit";
  if (result == "failed") return "its job failed";
  if (result == "dependency") return "a unit that it depends on failed";
  if (result == "invalid") return "its job is not possible for this unit";
  if (result == "assert") return "an Assert... setting of it was not met";
  if (result == "unsupported") return "this machine does not support units of its type";
  if (result == "collected") return "its job was dropped before it ran";
  if (result == "once") return "it can be started only once";
  return "its job ended";
}

}  // namespace

Status job_status(const JobEnd& end) {
  if (end.result == "done") return {};
  // A unit whose Condition... settings are not met: systemd decided not to run it, as asked.
  if (end.result == "skipped" && end.verb != "stop") return {};
  std::string text = end.verb + " " + end.unit + ": ";
  if (end.result == "canceled" && !end.replaced_by.empty()) {
    text += "replaced by fleet's own newer " + end.replaced_by + " of it";
  } else {
    text += explain(end.result);
  }
  text += " (result " + end.result + ")";
  if (!end.unit_state.empty()) text += ", the unit is " + end.unit_state;
  return fail(ErrorCode::failed, std::move(text));
}

}  // namespace fleet
