/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/floors.h"

#include <fnmatch.h>

struct floor {
    const char *pattern; /* fnmatch(3) */
    struct detector_metric metric;
    const char *means;
};

#define ONCE true

/* A count of one in five seconds is a mean of 0.2 only when each second is one: looks are a little
 * more or less than a second apart. As there are no halves of a death, the step may well be less.
 */

/* The first that matches. */
static const struct floor floors[] = {
    {"deaths_per_s", {0.15, ONCE}, "one in five seconds"},
    {"restarts_per_s", {0.15, ONCE}, "one in five seconds"},
    {"lost_per_s", {0.3, ONCE}, "two in five seconds"},
    {"heartbeat_age_max_ms", {150, ONCE}, "750 ms in five seconds"},
    {"*errors_per_s", {2, ONCE}, "ten in five seconds"},
    {"status_5*_per_s", {2, ONCE}, "ten in five seconds"},
    {"*requests_per_s", {5, false}, "five a second"},
    {"served_per_s", {5, false}, "five a second"},
    {"accepts_per_s", {5, false}, "five a second"},
    {"commits_per_s", {5, false}, "five a second"},
    {"retries_per_s", {5, false}, "five a second"},
    {"*_per_s", {2, false}, "two a second"},
    {"*_share", {0.02, false}, "two of a hundred"},
    {"*p50_ms", {50, false}, "a quarter of the objective of 200 ms"},
    {"*p99_ms", {200, false}, "the objective"},
    {"*_ms", {100, false}, "half of the objective of 200 ms"},
    {"db_up", {0.5, false}, "up or not"},
    {"workers_*", {0.8, false}, "one worker"},
    {"breakers_open", {0.8, false}, "one breaker"},
    {"faults_active", {0.8, false}, "one fault"},
    {"*_bytes", {4194304, false}, "4 MiB, a write-ahead log that is not emptied"},
    {"cpu_percent", {20, false}, "a fifth of the machine"},
    {"commit_batch_mean", {2, false}, "two operations"},
    {"*_inflight*", {8, false}, "eight requests"},
    {"*_queued_*", {8, false}, "eight requests"},
    {"listen_queue_depth", {8, false}, "eight connections"},
    {"door_parked", {32, false}, "32 connections"},
};
#define FLOORS (sizeof floors / sizeof *floors)

const char *const floors_default_metrics[] = {
    "requests_per_s",
    "served_per_s",
    "refused_per_s",
    "errors_per_s",
    "lost_per_s",
    "error_share",
    "refused_share",
    "p95_ms",
    "read_p95_ms",
    "write_p95_ms",
    "db_up",
    "db_read_p95_ms",
    "db_errors_per_s",
    "breakers_open",
    "workers_ready",
    "workers_degraded",
    "deaths_per_s",
    "heartbeat_age_max_ms",
    "status_500_per_s",
    "status_503_per_s",
    "status_504_per_s",
    "listen_drops_per_s",
    NULL,
};

struct detector_metric floors_of(const char *metric)
{
    for (size_t i = 0; i < FLOORS; i++)
        if (fnmatch(floors[i].pattern, metric, 0) == 0)
            return floors[i].metric;
    return (struct detector_metric){0, false};
}

void floors_print(FILE *out)
{
    for (size_t i = 0; i < FLOORS; i++)
        fprintf(out, "  %-22s %9.8g  %s%s\n", floors[i].pattern, floors[i].metric.least_step,
                floors[i].means, floors[i].metric.once ? " (once is enough)" : "");
}
