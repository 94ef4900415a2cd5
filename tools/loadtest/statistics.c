/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/statistics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"

void failures_count(struct failures *failures, const struct outcome *outcome)
{
    failures->cause[outcome->cause] += 1;
    if (outcome->cause == CAUSE_HTTP && outcome->status < STATUS_LIMIT)
        failures->status[outcome->status] += 1;
}

void statistics_sent(struct statistics *statistics)
{
    statistics->total.sent += 1;
    statistics->second.sent += 1;
}

void statistics_attempt(struct statistics *statistics)
{
    statistics->total.attempts += 1;
    statistics->second.attempts += 1;
}

void statistics_attempt_failed(struct statistics *statistics, const struct outcome *outcome,
                               uint64_t duration_ns)
{
    failures_count(&statistics->total.attempt_failures, outcome);
    failures_count(&statistics->second.attempt_failures, outcome);
    if (outcome->cause == CAUSE_HTTP && (outcome->status == 429 || outcome->status == 503))
        histogram_sum_record(&statistics->refusal_us, duration_ns / NS_PER_US);
}

void statistics_request_ok(struct statistics *statistics, enum load_kind kind, uint64_t latency_ns)
{
    uint64_t latency_us = latency_ns / NS_PER_US;
    statistics->total.ok += 1;
    statistics->second.ok += 1;
    histogram_sum_record(&statistics->total.latency_us, latency_us);
    histogram_sum_record(&statistics->second.latency_us, latency_us);
    histogram_sum_record(&statistics->kind_latency_us[kind], latency_us);
    if (latency_us > statistics->max_latency_us)
        statistics->max_latency_us = latency_us;
}

void statistics_request_failed(struct statistics *statistics, enum load_kind kind,
                               const struct outcome *outcome)
{
    statistics->total.failed += 1;
    statistics->second.failed += 1;
    statistics->kind_failed[kind] += 1;
    failures_count(&statistics->request_failures, outcome);
}

static void count_probe(struct probe *probe, const struct outcome *outcome, uint64_t latency_us)
{
    if (outcome->cause != CAUSE_NONE) {
        probe->failed += 1;
        return;
    }
    probe->ok += 1;
    histogram_sum_record(&probe->latency_us, latency_us);
    if (latency_us > probe->max_latency_us)
        probe->max_latency_us = latency_us;
}

void statistics_probe(struct statistics *statistics, enum load_kind kind,
                      const struct outcome *outcome, uint64_t latency_ns)
{
    count_probe(&statistics->probe[kind], outcome, latency_ns / NS_PER_US);
    count_probe(&statistics->probe_second[kind], outcome, latency_ns / NS_PER_US);
    if (outcome->cause != CAUSE_NONE)
        failures_count(&statistics->probe_failures, outcome);
}

void statistics_lag(struct statistics *statistics, uint64_t lag_ns)
{
    uint64_t lag_us = lag_ns / NS_PER_US;
    histogram_sum_record(&statistics->lag_us, lag_us);
    if (lag_us > statistics->max_lag_us)
        statistics->max_lag_us = lag_us;
}

void statistics_next_second(struct statistics *statistics)
{
    memset(&statistics->second, 0, sizeof statistics->second);
    memset(statistics->probe_second, 0, sizeof statistics->probe_second);
}

double statistics_percentile_ms(const struct histogram_sum *values_us, double percent)
{
    if (values_us->count == 0)
        return (double)NAN;
    return (double)histogram_percentile(values_us, percent) / (double)US_PER_MS;
}

/* A histogram knows values by their bucket's middle, the largest is known exactly. */
static double percentile_ms(const struct histogram_sum *values_us, double percent,
                            uint64_t largest_us)
{
    double largest = (double)largest_us / (double)US_PER_MS;
    double value = statistics_percentile_ms(values_us, percent);
    return value > largest || (percent >= 100 && !isnan(value)) ? largest : value;
}

double statistics_probe_ms(const struct probe *probe, double percent)
{
    return percentile_ms(&probe->latency_us, percent, probe->max_latency_us);
}

double statistics_all_probes_ms(const struct probe *probe, double percent)
{
    uint64_t all = probe->ok + probe->failed;
    if (all == 0)
        return (double)NAN;
    double rank = ceil(percent / 100 * (double)all);
    if (rank > (double)probe->ok)
        return (double)INFINITY;
    /* Half a rank less: what lands on a whole one may be rounded up to the next. */
    return statistics_probe_ms(probe, 100 * (rank - 0.5) / (double)probe->ok);
}

double statistics_kind_latency_ms(const struct statistics *statistics, enum load_kind kind,
                                  double percent)
{
    const struct probe *probe = &statistics->probe[kind];
    if (probe->ok + probe->failed == 0)
        return statistics_percentile_ms(&statistics->kind_latency_us[kind], percent);
    return statistics_all_probes_ms(probe, percent);
}

double statistics_latency_ms(const struct statistics *statistics, double percent)
{
    return percentile_ms(&statistics->total.latency_us, percent, statistics->max_latency_us);
}

double statistics_error_rate(const struct tally *tally)
{
    uint64_t all = tally->ok + tally->failed;
    return all > 0 ? (double)tally->failed / (double)all : 0;
}

void failures_add(struct failures *sum, const struct failures *more)
{
    for (int cause = 0; cause < CAUSE_COUNT; cause++)
        sum->cause[cause] += more->cause[cause];
    for (int status = 0; status < STATUS_LIMIT; status++)
        sum->status[status] += more->status[status];
}

void failures_most(const struct failures *failures, char out[FAILURE_NAME])
{
    uint64_t most = 0;
    out[0] = '\0';
    for (int cause = CAUSE_REFUSED; cause < CAUSE_HTTP; cause++) {
        if (failures->cause[cause] <= most)
            continue;
        most = failures->cause[cause];
        snprintf(out, FAILURE_NAME, "%s", cause_name((enum cause)cause));
    }
    for (int status = 0; status < STATUS_LIMIT; status++) {
        if (failures->status[status] <= most)
            continue;
        most = failures->status[status];
        snprintf(out, FAILURE_NAME, "http_%03d", status);
    }
}

uint64_t failures_of_class(const struct failures *failures, int hundred)
{
    uint64_t sum = 0;
    for (int status = hundred * 100; status < hundred * 100 + 100; status++)
        sum += failures->status[status];
    return sum;
}
