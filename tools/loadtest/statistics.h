/* SPDX-License-Identifier: MIT */
/*
 * The run's numbers, for the whole and for the second under way. Events count in the second in
 * which they happen: a request that was sent in one second may fail in a later one.
 *
 * A request has one attempt or more. A dropped request was never sent, so it is a failure but no
 * attempt.
 */
#ifndef BULKHEAD_LOADTEST_STATISTICS_H
#define BULKHEAD_LOADTEST_STATISTICS_H

#include <stdint.h>

#include "common/histogram.h"
#include "tools/http/http_message.h"
#include "tools/loadtest/outcome.h"
#include "tools/loadtest/plan.h"

struct failures {
    uint64_t cause[CAUSE_COUNT];   /* CAUSE_HTTP: all statuses together */
    uint64_t status[STATUS_LIMIT]; /* of CAUSE_HTTP */
};

struct tally {
    uint64_t sent; /* requests whose intended time came */
    uint64_t ok, failed;
    uint64_t attempts; /* handed to a connection */
    struct failures attempt_failures;
    struct histogram_sum latency_us; /* of requests that succeeded, from the intended time */
};

/* Requests that look at the server beside the load, and count apart. */
struct probe {
    uint64_t ok, failed;
    struct histogram_sum latency_us; /* of those that succeeded, from the intended time */
    uint64_t max_latency_us;
};

struct statistics {
    struct tally total, second;
    struct probe probe[LOAD_KINDS], probe_second[LOAD_KINDS];
    struct failures probe_failures;
    struct failures request_failures;
    struct histogram_sum kind_latency_us[LOAD_KINDS];
    uint64_t kind_failed[LOAD_KINDS];
    struct histogram_sum refusal_us; /* 429 and 503, from the attempt's start */
    struct histogram_sum lag_us;     /* of the scheduler, one a planned arrival */
    uint64_t max_latency_us, max_lag_us;
};

void statistics_sent(struct statistics *statistics);
void statistics_attempt(struct statistics *statistics);
void statistics_attempt_failed(struct statistics *statistics, const struct outcome *outcome,
                               uint64_t duration_ns);
void statistics_request_ok(struct statistics *statistics, enum load_kind kind, uint64_t latency_ns);
void statistics_request_failed(struct statistics *statistics, enum load_kind kind,
                               const struct outcome *outcome);
void statistics_probe(struct statistics *statistics, enum load_kind kind,
                      const struct outcome *outcome, uint64_t latency_ns);
void statistics_lag(struct statistics *statistics, uint64_t lag_ns);

/* Begin the next second. */
void statistics_next_second(struct statistics *statistics);

/* Milliseconds below which `percent` of the values lie; NaN when there are none. */
double statistics_percentile_ms(const struct histogram_sum *values_us, double percent);

/* What a threshold is held against. Of a kind that was both load and probe, the probes are asked,
 * all of them (statistics_all_probes_ms). NaN when there are none. */
double statistics_kind_latency_ms(const struct statistics *statistics, enum load_kind kind,
                                  double percent);

/* Of the probes that succeeded. */
double statistics_probe_ms(const struct probe *probe, double percent);

/* Of all probes: one that failed counts as slower than any that did not, so this is INFINITY when
 * the rank falls among those. No error rate stands beside a probe's percentile: a server that
 * answers few of them quickly must not pass by those. NaN when there were none. */
double statistics_all_probes_ms(const struct probe *probe, double percent);

/* Of the run's requests that succeeded; no more than the largest, which is known exactly. */
double statistics_latency_ms(const struct statistics *statistics, double percent);

/* failed / (ok + failed), 0 when there are none. */
double statistics_error_rate(const struct tally *tally);

void failures_count(struct failures *failures, const struct outcome *outcome);
void failures_add(struct failures *sum, const struct failures *more);

/* The most frequent of them as reports name it ("timeout", "http_503"); "" when there are none. */
#define FAILURE_NAME 24
void failures_most(const struct failures *failures, char out[FAILURE_NAME]);
/* Failures with a status of this hundred: 4 for 4xx. */
uint64_t failures_of_class(const struct failures *failures, int hundred);

#endif
