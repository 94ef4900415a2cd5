/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/result.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/exit_codes.h"

static void invalid(struct result *result, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void invalid(struct result *result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(result->invalid[result->invalid_count++], INVALID_REASON_SIZE, format, arguments);
    va_end(arguments);
}

static void find_invalid(struct result *result)
{
    const struct statistics *statistics = result->statistics;
    double lag_ms = statistics_percentile_ms(&statistics->lag_us, 99);
    uint64_t limited = statistics->total.attempt_failures.status[429];
    if (lag_ms > LAG_LIMIT_MS)
        invalid(result, "the load tester itself was late: scheduler lag p99 %.1f ms, limit %.0f ms",
                lag_ms, LAG_LIMIT_MS);
    if (result->cpu_share + result->starved_share > CPU_LIMIT && !result->options->closed)
        invalid(result,
                "the load tester itself was saturated: it used %.0f %% of a processor and had to "
                "wait for one %.0f %% of the time",
                100 * result->cpu_share, 100 * result->starved_share);
    if (limited > 0 && !result->options->allow_429)
        invalid(result, "the server limited the rate: %llu answers 429 (see --allow-429)",
                (unsigned long long)limited);
    if (statistics->total.ok + statistics->total.failed == 0)
        invalid(result, "no request came to an end");
}

/* Numbers that not every run has. */
static double measure_apart(const struct result *result, enum metric metric)
{
    const struct statistics *statistics = result->statistics;
    switch (metric) {
    case METRIC_READ_P95:
        return statistics_kind_latency_ms(statistics, LOAD_READ, 95);
    case METRIC_WRITE_P95:
        return statistics_kind_latency_ms(statistics, LOAD_WRITE, 95);
    case METRIC_LOGIN_P95:
        return statistics_kind_latency_ms(statistics, LOAD_LOGIN, 95);
    case METRIC_HEALTH_P99:
        return statistics_kind_latency_ms(statistics, LOAD_HEALTH, 99);
    case METRIC_GOODPUT:
        return (double)statistics->total.ok / result->sending_s;
    case METRIC_KNEE:
        return result->profile->ramp.knee_rate;
    case METRIC_RECOVERY:
        return result->profile->recovery_measured && isnan(result->profile->recovered_s)
                   ? (double)INFINITY
                   : result->profile->recovered_s;
    default:
        return (double)NAN;
    }
}

static double measure(const struct result *result, enum metric metric)
{
    const struct statistics *statistics = result->statistics;
    bool audited = result->audit == AUDIT_COMPLETE;
    switch (metric) {
    case METRIC_P50:
        return statistics_latency_ms(statistics, 50);
    case METRIC_P95:
        return statistics_latency_ms(statistics, 95);
    case METRIC_P99:
        return statistics_latency_ms(statistics, 99);
    case METRIC_MAX:
        return statistics_latency_ms(statistics, 100);
    case METRIC_ERROR_RATE:
        return statistics_error_rate(&statistics->total);
    case METRIC_DROPPED:
        return (double)statistics->total.attempt_failures.cause[CAUSE_DROPPED];
    case METRIC_REFUSED:
        return (double)statistics->total.attempt_failures.cause[CAUSE_REFUSED];
    case METRIC_LOST:
        return audited ? (double)result->verdict.lost : (double)NAN;
    case METRIC_DUPLICATE:
        return audited ? (double)result->verdict.duplicate : (double)NAN;
    default:
        return measure_apart(result, metric);
    }
}

int result_exit_code(const struct result *result)
{
    const struct ledger_verdict *verdict = &result->verdict;
    if (verdict->lost > 0 || verdict->duplicate > 0 || verdict->corrupt > 0)
        return LOADTEST_AUDIT_FAILED;
    if (result->interrupted)
        return LOADTEST_INTERRUPTED;
    if (result->audit == AUDIT_INCOMPLETE)
        return EXIT_TEMPORARY;
    if (result->invalid_count > 0)
        return LOADTEST_INVALID;
    return result->breaches > 0 ? LOADTEST_BREACHED : LOADTEST_OK;
}

void result_conclude(struct result *result)
{
    if (result->audit != AUDIT_SKIPPED)
        result->verdict = ledger_verdict(result->ledger, result->list_complete);
    find_invalid(result);
    for (unsigned i = 0; i < result->options->threshold_count; i++) {
        const struct threshold *threshold = &result->options->thresholds[i];
        result->value[i] = measure(result, threshold->metric);
        result->margin[i] = threshold_margin(threshold, result->value[i]);
        result->holds[i] = threshold_holds(threshold, result->value[i]);
        result->breaches += !result->holds[i];
    }
    result->exit_code = result_exit_code(result);
}
