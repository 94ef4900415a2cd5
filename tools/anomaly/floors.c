/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/floors.h"

#include <fnmatch.h>

struct floor {
    const char *pattern; /* fnmatch(3) */
    double least_step;
    const char *means;
};

/* The first that matches. */
static const struct floor floors[] = {
    {"deaths_per_s", 0.2, "one in five seconds"},
    {"restarts_per_s", 0.2, "one in five seconds"},
    {"lost_per_s", 0.4, "two in five seconds"},
    {"log_dropped_per_s", 1, "one a second"},
    {"*requests_per_s", 5, "five a second"},
    {"served_per_s", 5, "five a second"},
    {"accepts_per_s", 5, "five a second"},
    {"commits_per_s", 5, "five a second"},
    {"retries_per_s", 5, "five a second"},
    {"*_per_s", 2, "two a second"},
    {"*_share", 0.02, "two of a hundred"},
    {"heartbeat_age_max_ms", 300, "half of what the supervisor waits for twice over"},
    {"*p50_ms", 20, "what a person does not notice"},
    {"*p95_ms", 50, "a quarter of the objective of 200 ms"},
    {"*p99_ms", 100, "half of the objective of 200 ms"},
    {"*_ms", 50, "a quarter of the objective of 200 ms"},
    {"db_up", 0.5, "up or not"},
    {"workers_*", 0.8, "one worker"},
    {"breakers_open", 0.8, "one breaker"},
    {"faults_active", 0.8, "one fault"},
    {"*_bytes", 4194304, "a full write-ahead log"},
    {"cpu_percent", 20, "a fifth of the machine"},
    {"commit_batch_mean", 2, "two operations"},
    {"*_inflight*", 8, "eight requests"},
    {"*_queued_*", 8, "eight requests"},
    {"listen_queue_depth", 8, "eight connections"},
    {"door_parked", 32, "32 connections"},
};
#define FLOORS (sizeof floors / sizeof *floors)

const char *const floors_default_metrics[] = {
    "requests_per_s",   "served_per_s",         "refused_per_s",   "errors_per_s",
    "lost_per_s",       "error_share",          "refused_share",   "p95_ms",
    "read_p95_ms",      "write_p95_ms",         "db_up",           "db_read_p95_ms",
    "db_errors_per_s",  "breakers_open",        "workers_ready",   "workers_degraded",
    "deaths_per_s",     "heartbeat_age_max_ms", "status_500_per_s", "status_503_per_s",
    "status_504_per_s", "listen_drops_per_s",   NULL,
};

double floors_least_step(const char *metric)
{
    for (size_t i = 0; i < FLOORS; i++)
        if (fnmatch(floors[i].pattern, metric, 0) == 0)
            return floors[i].least_step;
    return 0;
}

void floors_print(FILE *out)
{
    for (size_t i = 0; i < FLOORS; i++)
        fprintf(out, "  %-22s %9g  %s\n", floors[i].pattern, floors[i].least_step,
                floors[i].means);
}
