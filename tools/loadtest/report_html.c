/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/report_html.h"

#include <math.h>
#include <string.h>

#include "common/clock.h"
#include "tools/loadtest/summary.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

#define CELL     64
#define EXAMPLES 20

typedef unsigned long long number;

static enum tone tone_of(const struct result *result)
{
    switch (result->exit_code) {
    case LOADTEST_OK:
        return TONE_GOOD;
    case LOADTEST_AUDIT_FAILED:
    case LOADTEST_BREACHED:
        return TONE_BAD;
    default:
        return TONE_DOUBTFUL;
    }
}

static void add(char *out, size_t size, const char *text)
{
    size_t length = strlen(out);
    snprintf(out + length, size - length, "%s%s", length > 0 ? "; " : "", text);
}

/* "p95<200: 12.3 ms, 187.7 ms (94 %) to spare; ..." */
static void verdict(FILE *out, const struct result *result)
{
    char detail[2048] = "", line[PROFILE_LINE];
    profile_result_line(result->profile, result->options, line);
    if (line[0])
        add(detail, sizeof detail, line);
    for (unsigned i = 0; i < result->options->threshold_count; i++) {
        char text[THRESHOLD_TEXT], value[SUMMARY_VALUE], margin[SUMMARY_VALUE], all[192];
        threshold_text(&result->options->thresholds[i], text);
        summary_value(result->options->thresholds[i].metric, result->value[i], value);
        summary_margin(result, i, margin);
        snprintf(all, sizeof all, "%s: %s%s%s%s", text, value, margin[0] ? ", margin " : "", margin,
                 result->holds[i] ? "" : " BREACHED");
        add(detail, sizeof detail, all);
    }
    for (unsigned i = 0; i < result->invalid_count; i++)
        add(detail, sizeof detail, result->invalid[i]);
    document_verdict(out, tone_of(result), summary_meaning(result), detail);
}

static void milliseconds(char out[CELL], double value)
{
    if (isnan(value))
        snprintf(out, CELL, "-");
    else
        snprintf(out, CELL, "%.2f ms", value);
}

static void main_facts(FILE *out, const struct result *result)
{
    const struct statistics *statistics = result->statistics;
    const struct tally *total = &statistics->total;
    static const double percents[] = {50, 95, 99, 100};
    static const char *const names[] = {"p50", "p95", "p99", "slowest"};
    uint64_t dropped = total->attempt_failures.cause[CAUSE_DROPPED];
    char text[CELL];
    document_facts_begin(out);
    document_fact(out, TONE_PLAIN, "offered", "%.1f/s", (double)total->sent / result->sending_s);
    document_fact(out, TONE_PLAIN, "goodput", "%.1f/s", (double)total->ok / result->sending_s);
    document_fact(out, total->failed > 0 ? TONE_DOUBTFUL : TONE_GOOD, "failed",
                  "%.3f %% (%llu of %llu)", 100 * statistics_error_rate(total),
                  (number)total->failed, (number)total->ok + (number)total->failed);
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        milliseconds(text, statistics_latency_ms(statistics, percents[i]));
        document_fact(out, TONE_PLAIN, names[i], "%s", text);
    }
    document_fact(out, dropped > 0 ? TONE_DOUBTFUL : TONE_GOOD, "dropped", "%llu", (number)dropped);
    document_fact(out, TONE_PLAIN, "attempts a request", "%.3f",
                  total->sent > 0 ? (double)total->attempts / (double)total->sent : 0.0);
    milliseconds(text, statistics_percentile_ms(&statistics->lag_us, 99));
    document_fact(out, TONE_PLAIN, "the tester's own lag, p99", "%s", text);
    document_fact(out, TONE_PLAIN, "the tester's processor", "%.0f %% used",
                  100 * result->cpu_share);
    document_facts_end(out);
}

static void thresholds(FILE *out, const struct result *result)
{
    static const char *const columns[] = {"threshold", "#value", "#margin (of the limit)", "",
                                          NULL};
    if (result->options->threshold_count == 0)
        return;
    document_section(out, "Thresholds", NULL);
    document_table_begin(out, columns);
    for (unsigned i = 0; i < result->options->threshold_count; i++) {
        char text[THRESHOLD_TEXT], value[SUMMARY_VALUE], margin[SUMMARY_VALUE];
        threshold_text(&result->options->thresholds[i], text);
        summary_value(result->options->thresholds[i].metric, result->value[i], value);
        summary_margin(result, i, margin);
        document_row(out, result->holds[i] ? TONE_GOOD : TONE_BAD, columns,
                     (const char *const[]){text, value, margin,
                                           result->holds[i] ? "holds" : "BREACHED", NULL});
    }
    document_table_end(out);
}

static void by_kind(FILE *out, const struct result *result)
{
    static const char *const columns[] = {"kind", "#ok",  "#failed", "#p50 ms",
                                          "#p95", "#p99", NULL};
    const struct statistics *statistics = result->statistics;
    document_section(out, "By kind of request", NULL);
    document_table_begin(out, columns);
    for (int kind = 0; kind < LOAD_KINDS; kind++) {
        const struct histogram_sum *latency_us = &statistics->kind_latency_us[kind];
        char cells[5][CELL];
        static const double percents[] = {50, 95, 99};
        if (result->options->plan.weight[kind] == 0)
            continue;
        snprintf(cells[0], CELL, "%llu", (number)latency_us->count);
        snprintf(cells[1], CELL, "%llu", (number)statistics->kind_failed[kind]);
        for (size_t i = 0; i < 3; i++) {
            double value = statistics_percentile_ms(latency_us, percents[i]);
            snprintf(cells[2 + i], CELL, isnan(value) ? "-" : "%.2f", value);
        }
        document_row(out, TONE_PLAIN, columns,
                     (const char *const[]){load_kind_name((enum load_kind)kind), cells[0], cells[1],
                                           cells[2], cells[3], cells[4], NULL});
    }
    document_table_end(out);
}

static void findings(FILE *out, const struct result *result)
{
    static const char *const columns[] = {"finding", "key", "id", NULL};
    const unsigned worth = FINDING_LOST | FINDING_DUPLICATE | FINDING_CORRUPT | FINDING_UNEXPECTED;
    unsigned shown = 0;
    for (uint32_t i = 0; i < ledger_count(result->ledger) && shown < EXAMPLES; i++) {
        const struct ledger_entry *entry = ledger_entry(result->ledger, i);
        unsigned found = ledger_classify(entry, result->list_complete) & worth;
        if (!found)
            continue;
        if (shown++ == 0)
            document_table_begin(out, columns);
        document_row(out, TONE_BAD, columns,
                     (const char *const[]){finding_name(found), entry->key,
                                           entry->id[0] ? entry->id : "-", NULL});
    }
    if (shown > 0)
        document_table_end(out);
}

#define WORDS                                                                            \
    ": LOST was acknowledged and cannot be read, DUPLICATE exists twice, CORRUPT reads " \
    "differently. INDETERMINATE got no answer, and may exist or not."

static const char *audit_words(enum audit_state state)
{
    switch (state) {
    case AUDIT_COMPLETE:
        return "Every write that was acknowledged was read back" WORDS;
    case AUDIT_INCOMPLETE:
        return "Not every write could be read back" WORDS;
    case AUDIT_INTERRUPTED:
        return "The audit was interrupted before every write was asked for" WORDS;
    default:
        return "No write was asked for again: nothing is known of them.";
    }
}

static void audit(FILE *out, const struct result *result)
{
    const struct ledger_verdict *verdict_of = &result->verdict;
    char failure[FAILURE_NAME];
    document_section(out, "Audit", audit_words(result->audit));
    document_facts_begin(out);
    document_fact(out, result->audit == AUDIT_COMPLETE ? TONE_GOOD : TONE_DOUBTFUL, "audit", "%s",
                  audit_state_name(result->audit));
    summary_audit_failure(result, failure);
    if (failure[0])
        document_fact(out, TONE_DOUBTFUL, "last without an answer", "%s", failure);
    if (result->audit != AUDIT_SKIPPED) {
        const struct {
            const char *name;
            uint64_t count;
            bool fault;
        } rows[] = {{"acknowledged", verdict_of->acked, false},
                    {"lost", verdict_of->lost, true},
                    {"duplicate", verdict_of->duplicate, true},
                    {"corrupt", verdict_of->corrupt, true},
                    {"indeterminate", verdict_of->indeterminate, false},
                    {"refused, yet exist", verdict_of->unexpected, true},
                    {"unread", verdict_of->unread, true}};
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            document_fact(out,
                          !rows[i].fault      ? TONE_PLAIN
                          : rows[i].count > 0 ? TONE_BAD
                                              : TONE_GOOD,
                          rows[i].name, "%llu", (number)rows[i].count);
    }
    document_facts_end(out);
    findings(out, result);
}

static void settings(FILE *out, const struct result *result)
{
    const struct options *options = result->options;
    char mix[128] = "";
    for (int kind = 0; kind < LOAD_KINDS; kind++) {
        size_t length = strlen(mix);
        if (options->plan.weight[kind] > 0)
            snprintf(mix + length, sizeof mix - length, "%s%s=%u", length > 0 ? "," : "",
                     load_kind_name((enum load_kind)kind), options->plan.weight[kind]);
    }
    document_section(out, "Settings", NULL);
    document_facts_begin(out);
    document_fact(out, TONE_PLAIN, "server", "%s", options->url);
    document_fact(out, TONE_PLAIN, "profile", "%s", options->profile);
    if (!options->closed)
        document_fact(out, TONE_PLAIN, "rate", "%g/s", options->plan.rate);
    document_fact(out, TONE_PLAIN, "duration", "%.1f s", result->sending_s);
    document_fact(out, TONE_PLAIN, "mix", "%s", mix);
    document_fact(out, TONE_PLAIN, "arrivals", "%s",
                  options->closed                           ? "closed loop"
                  : options->plan.arrivals == ARRIVALS_EVEN ? "even"
                                                            : "poisson");
    document_fact(out, TONE_PLAIN, "connections", "%u, %llu opened", options->connections,
                  (number)result->connections_opened);
    document_fact(out, TONE_PLAIN, "timeout", "%g s",
                  (double)options->timeout_ns / (double)NS_PER_S);
    document_fact(out, TONE_PLAIN, "retry", "%s", retry_name(options->retry.kind));
    document_fact(out, TONE_PLAIN, "accounts", "%u", result->users);
    document_fact(out, TONE_PLAIN, "seed", "%llu", (number)options->plan.seed);
    document_facts_end(out);
}

void report_html(FILE *out, const struct result *result, const struct timeline *timeline,
                 const struct report_events *events)
{
    char title[CELL], subtitle[256], started[CLOCK_RFC3339_SIZE];
    clock_rfc3339(started, result->start_wall_us);
    started[10] = ' '; /* instead of the T: this is for people */
    snprintf(title, sizeof title, "Load test: %s", result->options->profile);
    snprintf(subtitle, sizeof subtitle, "%.128s, %.19s UTC, %.0f s", result->options->url, started,
             result->elapsed_s);
    document_begin(out, title, subtitle);
    verdict(out, result);
    main_facts(out, result);
    thresholds(out, result);
    report_html_profile(out, result);
    report_html_course(out, result, timeline, events);
    report_events_write(out, events);
    by_kind(out, result);
    audit(out, result);
    settings(out, result);
    document_end(out, "Made by loadtest " VERSION ". Latency counts from the time a request was "
                      "intended for, so a stall delays everything that was due in it.");
}
