/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/summary.h"

#include <math.h>

#include "common/clock.h"
#include "common/exit_codes.h"

#define EXAMPLES 10

typedef unsigned long long number;

static void print_head(const struct result *result, FILE *out)
{
    const struct options *options = result->options;
    double duration_s = (double)options->plan.duration_ns / (double)NS_PER_S;
    const char *arrivals = options->plan.arrivals == ARRIVALS_EVEN ? "evenly spaced" : "poisson";
    number seed = (number)options->plan.seed;
    fprintf(out, "loadtest %s  %s  ", options->url, options->profile);
    switch (options->shape) {
    case SHAPE_CLOSED:
        fprintf(out, "closed loop, %u connections, %g s, seed %llu\n", options->connections,
                duration_s, seed);
        break;
    case SHAPE_RAMP:
        fprintf(out, "%g requests/s more every %g s up to %g, %s, seed %llu\n", options->step_rate,
                options->step_s, options->plan.rate, arrivals, seed);
        break;
    case SHAPE_SPIKE:
        fprintf(out, "%g requests/s, %g times as many for %g s of %g, %s, seed %llu\n",
                options->plan.rate, options->spike_factor, duration_s / 6, duration_s, arrivals,
                seed);
        break;
    default:
        fprintf(out, "%g requests/s %s, %g s, seed %llu\n", options->plan.rate, arrivals,
                duration_s, seed);
    }
}

static void print_latency(FILE *out, const char *name, uint64_t ok, uint64_t failed,
                          const double p50_p95_p99_ms[3])
{
    fprintf(out, "%-8s %10llu %10llu", name, (number)ok, (number)failed);
    if (isnan(p50_p95_p99_ms[0])) {
        fputs("          -          -          -\n", out);
        return;
    }
    fprintf(out, " %10.2f %10.2f %10.2f\n", p50_p95_p99_ms[0], p50_p95_p99_ms[1],
            p50_p95_p99_ms[2]);
}

static void print_kind(const struct result *result, FILE *out, enum load_kind kind)
{
    const struct statistics *statistics = result->statistics;
    const struct histogram_sum *latency_us = &statistics->kind_latency_us[kind];
    if (result->options->plan.weight[kind] > 0)
        print_latency(out, load_kind_name(kind), latency_us->count, statistics->kind_failed[kind],
                      (const double[]){statistics_percentile_ms(latency_us, 50),
                                       statistics_percentile_ms(latency_us, 95),
                                       statistics_percentile_ms(latency_us, 99)});
}

static void print_requests(const struct result *result, FILE *out)
{
    const struct statistics *statistics = result->statistics;
    const struct tally *total = &statistics->total;
    fprintf(out, "\n%-8s %10s %10s %10s %10s %10s\n", "", "ok", "failed", "p50 ms", "p95 ms",
            "p99 ms");
    for (int kind = 0; kind < LOAD_KINDS; kind++)
        print_kind(result, out, (enum load_kind)kind);
    print_latency(out, "all", total->ok, total->failed,
                  (const double[]){statistics_latency_ms(statistics, 50),
                                   statistics_latency_ms(statistics, 95),
                                   statistics_latency_ms(statistics, 99)});
    fprintf(out, "\nrequests  %llu, %.1f/s offered, %.1f/s good, %.3f %% failed",
            (number)total->sent, (double)total->sent / result->sending_s,
            (double)total->ok / result->sending_s, 100 * statistics_error_rate(total));
    if (total->latency_us.count > 0)
        fprintf(out, ", slowest %.1f ms", statistics_latency_ms(statistics, 100));
    if (result->unfinished > 0)
        fprintf(out, ", %llu left without an end", (number)result->unfinished);
    fprintf(out, "\nattempts  %llu, %.3f a request, %llu wasted; %llu connections opened\n",
            (number)total->attempts,
            total->sent > 0 ? (double)total->attempts / (double)total->sent : 0.0,
            (number)(total->attempts - total->ok), (number)result->connections_opened);
    if (statistics->lag_us.count > 0)
        fprintf(out, "lag       p99 %.2f ms, largest %.2f ms; %.0f %% of a processor used\n",
                statistics_percentile_ms(&statistics->lag_us, 99),
                (double)statistics->max_lag_us / (double)US_PER_MS, 100 * result->cpu_share);
}

static void print_failures(FILE *out, const char *what, const struct failures *failures)
{
    bool any = false;
    for (int cause = CAUSE_REFUSED; cause < CAUSE_HTTP; cause++) {
        if (failures->cause[cause] == 0)
            continue;
        fprintf(out, "%s%s %llu", any ? ", " : what, cause_name((enum cause)cause),
                (number)failures->cause[cause]);
        any = true;
    }
    for (int status = 0; status < STATUS_LIMIT; status++) {
        if (failures->status[status] == 0)
            continue;
        fprintf(out, "%s%d %llu", any ? ", " : what, status, (number)failures->status[status]);
        any = true;
    }
    if (any)
        fputc('\n', out);
}

static void print_examples(const struct result *result, FILE *out)
{
    const unsigned worth = FINDING_LOST | FINDING_DUPLICATE | FINDING_CORRUPT;
    unsigned shown = 0;
    for (uint32_t i = 0; i < ledger_count(result->ledger) && shown < EXAMPLES; i++) {
        const struct ledger_entry *entry = ledger_entry(result->ledger, i);
        unsigned found = ledger_classify(entry, result->list_complete) & worth;
        if (!found)
            continue;
        fprintf(out, "          %-9s key %s id %s\n", finding_name(found), entry->key,
                entry->id[0] ? entry->id : "-");
        shown += 1;
    }
}

void summary_audit_failure(const struct result *result, char out[FAILURE_NAME])
{
    struct failures one = {0};
    if (result->audit == AUDIT_INCOMPLETE)
        failures_count(&one, &result->audit_failure);
    failures_most(&one, out);
}

static void print_audit(const struct result *result, FILE *out)
{
    const struct ledger_verdict *verdict = &result->verdict;
    char failure[FAILURE_NAME];
    if (result->audit == AUDIT_SKIPPED)
        return;
    fprintf(out, "audit     %s: %llu acknowledged writes, %llu lost, %llu duplicate, %llu corrupt",
            audit_state_name(result->audit), (number)verdict->acked, (number)verdict->lost,
            (number)verdict->duplicate, (number)verdict->corrupt);
    if (verdict->unread > 0)
        fprintf(out, ", %llu unread", (number)verdict->unread);
    if (verdict->indeterminate > 0)
        fprintf(out, "; %llu indeterminate, of which %llu exist", (number)verdict->indeterminate,
                (number)verdict->indeterminate_existing);
    if (verdict->unexpected > 0)
        fprintf(out, "; %llu refused, and exist", (number)verdict->unexpected);
    summary_audit_failure(result, failure);
    if (failure[0])
        fprintf(out, "; the last that got no answer of use: %s", failure);
    fputc('\n', out);
    print_examples(result, out);
}

void summary_value(enum metric metric, double value, char out[SUMMARY_VALUE])
{
    const char *unit = metric_unit(metric);
    if (isnan(value))
        snprintf(out, SUMMARY_VALUE, "not measured");
    else if (isinf(value))
        snprintf(out, SUMMARY_VALUE, "%s",
                 metric == METRIC_RECOVERY ? "not recovered" : "too many failed"); /* probes */
    else if (metric == METRIC_ERROR_RATE)
        snprintf(out, SUMMARY_VALUE, "%.3g %%", 100 * value);
    else
        snprintf(out, SUMMARY_VALUE,
                 *unit == '/' ? "%.4g%s"
                 : *unit      ? "%.4g %s"
                              : "%g%s",
                 value, unit);
}

void summary_margin(const struct result *result, unsigned i, char out[SUMMARY_VALUE])
{
    const struct threshold *threshold = &result->options->thresholds[i];
    double margin = result->margin[i];
    char text[SUMMARY_VALUE];
    int n;
    out[0] = '\0';
    if (!isfinite(margin) || threshold->comparison == EQUAL)
        return;
    if (threshold->metric == METRIC_ERROR_RATE)
        snprintf(text, sizeof text, "%.2f points", 100 * margin);
    else
        summary_value(threshold->metric, margin, text);
    if (threshold->limit > 0)
        n = snprintf(out, SUMMARY_VALUE, "%s (%.0f %%)", text, 100 * margin / threshold->limit);
    else
        n = snprintf(out, SUMMARY_VALUE, "%s", text);
    if (n < 0 || n >= SUMMARY_VALUE)
        out[0] = '\0';
}

static void print_thresholds(const struct result *result, FILE *out)
{
    if (result->options->threshold_count > 0)
        fprintf(out, "\n%-9s %-18s %14s   %s\n", "", "threshold", "value", "margin");
    for (unsigned i = 0; i < result->options->threshold_count; i++) {
        const struct threshold *threshold = &result->options->thresholds[i];
        char text[THRESHOLD_TEXT], value[SUMMARY_VALUE], margin[SUMMARY_VALUE];
        threshold_text(threshold, text);
        summary_value(threshold->metric, result->value[i], value);
        summary_margin(result, i, margin);
        fprintf(out, "%-9s %-18s %14s   %s\n", result->holds[i] ? "holds" : "BREACHED", text, value,
                margin);
    }
}

const char *summary_meaning(const struct result *result)
{
    switch (result->exit_code) {
    case LOADTEST_OK:
        return result->options->threshold_count > 0 ? "valid, every threshold holds"
                                                    : "valid; no threshold was set";
    case LOADTEST_AUDIT_FAILED:
        return "AUDIT FAILED: the server broke a promise";
    case LOADTEST_INVALID:
        return "INVALID: the numbers do not describe the server";
    case LOADTEST_INTERRUPTED:
        if (!result->load_interrupted)
            return "the audit was interrupted: the load came to its end, the writes were not all "
                   "read back";
        return result->audit == AUDIT_INTERRUPTED
                   ? "interrupted, and the audit too: the numbers are those until then"
                   : "interrupted: the numbers are those until then";
    case LOADTEST_BREACHED:
        return "a threshold was BREACHED";
    case EXIT_TEMPORARY:
        return "the audit is INCOMPLETE: of what it did not read it says nothing";
    default:
        return "unknown";
    }
}

void summary_table(const struct result *result, FILE *out)
{
    print_head(result, out);
    print_requests(result, out);
    summary_profile_table(result, out);
    print_failures(out, "failed    ", &result->statistics->request_failures);
    print_failures(out, "attempts  ", &result->statistics->total.attempt_failures);
    print_failures(out, "probes    ", &result->statistics->probe_failures);
    print_audit(result, out);
    print_thresholds(result, out);
    for (unsigned i = 0; i < result->invalid_count; i++)
        fprintf(out, "INVALID   %s\n", result->invalid[i]);
    fprintf(out, "result    %s (exit %d)\n", summary_meaning(result), result->exit_code);
}
