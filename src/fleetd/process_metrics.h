// What /metrics tells of the process itself, from /proc.
#pragma once

#include "api/metrics_text.h"

namespace fleet {

// Adds the standard process_* metrics
// (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics). One that cannot
// be read is left out.
void add_process_metrics(MetricsText& text);

// The wall clock: seconds since 1970.
double unix_time();

}  // namespace fleet
