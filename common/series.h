/* SPDX-License-Identifier: MIT */
/*
 * What is remembered of each second: the HISTORY rows of metrics.def. A value is made of two looks
 * at the region, or of the later one alone:
 *
 *   RATE(count)              how much a count grew, a second
 *   SHARE(count, of)         how much one count grew as a share of what another grew; null when
 *                            the other did not
 *   PERCENTILE(times, p)     of what was timed between the looks, in ms; null when nothing was
 *   MEAN(times)              the mean of the plain numbers recorded between; null when none were
 *   LEVEL, MOST, LEAST(level) as it is at the later look; over several looks their mean, the
 *                            greatest or the least
 *
 * Because looks are running totals, ten seconds are as exact as one: rates, shares and percentiles
 * of 10 s come from looks 10 s apart, not from ten values. Null is NAN here.
 *
 * Pure but for series_look, which reads the region and the clock it is given. It trusts no number
 * of the region: a count that went back (a slot was scribbled on) makes null, not a spike.
 */
#ifndef BULKHEAD_SERIES_H
#define BULKHEAD_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/histogram.h"
#include "common/region.h"

/* The names of metrics.def in RATE and SHARE, PERCENTILE and MEAN, LEVEL and its like. */
#define SERIES_COUNT_LIST(X)                                                                       \
    X(REQUESTS)                                                                                    \
    X(SERVED) X(REFUSED) X(ERRORS) X(LOST) X(OFFERED) X(AUTH_REQUESTS) X(AUTH_ERRORS)              \
        X(AUTH_REFUSED) X(READ_REQUESTS) X(READ_ERRORS) X(READ_REFUSED) X(WRITE_REQUESTS)          \
            X(WRITE_ERRORS) X(WRITE_REFUSED) X(HEALTH_REQUESTS) X(HEALTH_ERRORS) X(HEALTH_REFUSED) \
                X(REFUSED_FULL) X(REFUSED_WAITED) X(REFUSED_DEADLINE) X(REFUSED_DATABASE)          \
                    X(REFUSED_OVERLOADED) X(REFUSED_CIRCUIT_OPEN) X(REFUSED_RETRY_BUDGET)          \
                        X(REFUSED_OTHER) X(RATE_LIMITED) X(DEADLINE_EXCEEDED) X(RETRIES)           \
                            X(ANSWERS_429) X(ANSWERS_500) X(ANSWERS_503) X(ANSWERS_504)            \
                                X(LISTEN_DROPS) X(ACCEPTS) X(COMMITS) X(DB_ERRORS) X(DEATHS)       \
                                    X(RESTARTS) X(LOG_DROPPED) X(FAULT_HITS) X(SLO_REQUESTS)       \
                                        X(SLO_FAILED) X(SLO_TIMED) X(SLO_SLOW)

#define SERIES_TIMES_LIST(X)                                                            \
    X(DATA)                                                                             \
    X(AUTH) X(READ) X(WRITE) X(HEALTH) X(DOOR_WAIT) X(DB_READ) X(DB_WRITE) X(LOCK_WAIT) \
        X(COMMIT_BATCH)

#define SERIES_LEVEL_LIST(X)                                                                  \
    X(LISTEN_QUEUE)                                                                           \
    X(DOOR_PARKED) X(HTTP_INFLIGHT) X(AUTH_INFLIGHT) X(READ_INFLIGHT) X(WRITE_INFLIGHT)       \
        X(AUTH_QUEUED) X(READ_QUEUED) X(WRITE_QUEUED) X(DB_UP) X(WAL_BYTES) X(BREAKERS_OPEN)  \
            X(WORKERS_READY) X(WORKERS_DEGRADED) X(WORKERS_RESTARTING) X(WORKERS_QUARANTINED) \
                X(HEARTBEAT_AGE_MS) X(CPU_PERCENT) X(FAULTS_ACTIVE)

#define X(id) COUNT_OF_##id,
enum series_count { SERIES_COUNT_LIST(X) SERIES_COUNTS };
#undef X
#define X(id) TIMES_OF_##id,
enum series_times { SERIES_TIMES_LIST(X) SERIES_TIMES };
#undef X
#define X(id) LEVEL_OF_##id,
enum series_level { SERIES_LEVEL_LIST(X) SERIES_LEVELS };
#undef X

#undef HISTORY
#define SLOT_COUNTER(id, name, d1, d2, spread, help)
#define SLOT_GAUGE(id, name, d1, spread, help)
#define SLOT_HISTOGRAM(id, name, d1, scale, help)
#define BOARD_COUNTER(id, name, d1, d2, help)
#define DERIVED(id, name, type, labels, help)
#define HISTORY(name, unit, value, help) SERIES_##name,
enum series_id {
#include "common/metrics.def"
    SERIES_NUMBER
};
#undef HISTORY
#undef SLOT_COUNTER
#undef SLOT_GAUGE
#undef SLOT_HISTOGRAM
#undef BOARD_COUNTER
#undef DERIVED

/* A request of classes auth, read and write slower than this is slow (SLO_SLOW). */
#define SERIES_SLOW_US 200000

enum series_how {
    SERIES_RATE,
    SERIES_SHARE,
    SERIES_PERCENTILE,
    SERIES_MEAN,
    SERIES_LEVEL,
    SERIES_MOST,
    SERIES_LEAST,
};

/* One HISTORY row. */
struct series {
    const char *name, *unit, *help;
    enum series_how how;
    unsigned source, other; /* other: the count a share is of, or the percentage */
};

extern const struct series series[SERIES_NUMBER];

/* One look at the region: running totals, and levels (NAN: nothing to say). 60 KB: not for a
 * stack. */
struct series_look {
    uint64_t boot_id[2]; /* of the supervisor's run: totals of two runs have nothing in common */
    uint64_t at_ns;      /* monotonic */
    uint64_t count[SERIES_COUNTS];
    double level[SERIES_LEVELS];
    struct histogram_sum times[SERIES_TIMES];
};

/* Look. board is a copy just read. */
void series_look(struct series_look *look, const struct region *region, const struct board *board,
                 uint64_t now_ns);

/* The values of what happened between two looks. False, and all null, when they are of different
 * runs of the supervisor, or no time lies between. */
bool series_between(const struct series_look *before, const struct series_look *after,
                    double values[SERIES_NUMBER]);

/* Levels of several looks, for values over more than one second. All zero: of none yet. */
struct series_levels {
    unsigned count[SERIES_NUMBER];
    double sum[SERIES_NUMBER], most[SERIES_NUMBER], least[SERIES_NUMBER];
};

/* Remember the levels among values; then put what they come to into other values. */
void series_levels_add(struct series_levels *levels, const double values[SERIES_NUMBER]);
void series_levels_put(const struct series_levels *levels, double values[SERIES_NUMBER]);

/* The series of a name, SERIES_NUMBER when there is none. */
enum series_id series_find(const char *name, size_t length);

/* All series as a Markdown table: name, unit, meaning. */
void series_describe(FILE *out);

#endif
