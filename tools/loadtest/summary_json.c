/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/summary.h"

#include <math.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/json_out.h"
#include "tools/loadtest/report.h"

#define EXAMPLES 20 /* of findings; the rest is a number */

static void settings(struct json_out *json, const struct result *result)
{
    const struct options *options = result->options;
    char started[CLOCK_RFC3339_SIZE];
    clock_rfc3339(started, result->start_wall_us);
    json_key_string(json, "url", options->url);
    json_key_string(json, "profile", options->profile);
    json_key_string(json, "arrivals",
                    options->closed                           ? "closed"
                    : options->plan.arrivals == ARRIVALS_EVEN ? "even"
                                                              : "poisson");
    json_key_double(json, "rps", options->closed ? (double)NAN : options->plan.rate);
    json_key_double(json, "duration_s", (double)options->plan.duration_ns / (double)NS_PER_S);
    json_key(json, "mix");
    json_object_begin(json);
    for (int kind = 0; kind < LOAD_KINDS; kind++)
        json_key_uint(json, load_kind_name((enum load_kind)kind), options->plan.weight[kind]);
    json_object_end(json);
    json_key_uint(json, "seed", options->plan.seed);
    json_key_uint(json, "users", result->users);
    json_key_uint(json, "connections", options->connections);
    json_key_double(json, "timeout_ms", (double)options->timeout_ns / (double)NS_PER_MS);
    json_key_string(json, "retry", retry_name(options->retry.kind));
    json_key_uint(json, "max_attempts",
                  options->retry.kind == RETRY_NONE ? 1 : options->retry.attempts);
    json_key_string(json, "started", started);
    json_key_double(json, "sending_s", result->sending_s);
    json_key_double(json, "elapsed_s", result->elapsed_s);
}

static void percentiles(struct json_out *json, const struct histogram_sum *values_us)
{
    json_key_double(json, "p50_ms", statistics_percentile_ms(values_us, 50));
    json_key_double(json, "p95_ms", statistics_percentile_ms(values_us, 95));
    json_key_double(json, "p99_ms", statistics_percentile_ms(values_us, 99));
}

static void requests(struct json_out *json, const struct result *result)
{
    const struct statistics *statistics = result->statistics;
    const struct tally *total = &statistics->total;
    json_key(json, "requests");
    json_object_begin(json);
    json_key_uint(json, "sent", total->sent);
    json_key_uint(json, "ok", total->ok);
    json_key_uint(json, "failed", total->failed);
    json_key_uint(json, "unfinished", result->unfinished);
    json_key_double(json, "error_rate", statistics_error_rate(total));
    json_key_double(json, "offered_rps", (double)total->sent / result->sending_s);
    json_key_double(json, "goodput_rps", (double)total->ok / result->sending_s);
    json_object_end(json);

    json_key(json, "by_kind");
    json_object_begin(json);
    for (int kind = 0; kind < LOAD_KINDS; kind++) {
        json_key(json, load_kind_name((enum load_kind)kind));
        json_object_begin(json);
        json_key_uint(json, "ok", statistics->kind_latency_us[kind].count);
        json_key_uint(json, "failed", statistics->kind_failed[kind]);
        percentiles(json, &statistics->kind_latency_us[kind]);
        json_object_end(json);
    }
    json_object_end(json);

    json_key(json, "attempts");
    json_object_begin(json);
    json_key_uint(json, "total", total->attempts);
    json_key_uint(json, "wasted", total->attempts - total->ok);
    json_key_double(json, "amplification", (double)total->attempts / (double)total->sent);
    json_object_end(json);
}

static void latencies(struct json_out *json, const struct result *result)
{
    const struct statistics *statistics = result->statistics;
    const struct histogram_sum *latency_us = &statistics->total.latency_us;
    json_key(json, "latency_ms");
    json_object_begin(json);
    json_key_double(json, "p50", statistics_latency_ms(statistics, 50));
    json_key_double(json, "p95", statistics_latency_ms(statistics, 95));
    json_key_double(json, "p99", statistics_latency_ms(statistics, 99));
    json_key_double(json, "p999", statistics_latency_ms(statistics, 99.9));
    json_key_double(json, "max", statistics_latency_ms(statistics, 100));
    json_key_double(json, "mean",
                    (double)latency_us->sum / (double)latency_us->count / (double)US_PER_MS);
    json_object_end(json);

    json_key(json, "refusals");
    json_object_begin(json);
    json_key_uint(json, "count", statistics->refusal_us.count);
    percentiles(json, &statistics->refusal_us);
    json_object_end(json);

    json_key(json, "scheduler_lag_ms");
    json_object_begin(json);
    json_key_double(json, "p99", statistics_percentile_ms(&statistics->lag_us, 99));
    json_key_double(json, "max",
                    statistics->lag_us.count > 0
                        ? (double)statistics->max_lag_us / (double)US_PER_MS
                        : (double)NAN);
    json_object_end(json);
}

static void findings(struct json_out *json, const struct result *result)
{
    const unsigned worth = FINDING_LOST | FINDING_DUPLICATE | FINDING_CORRUPT | FINDING_UNEXPECTED;
    unsigned shown = 0;
    json_key(json, "examples");
    json_array_begin(json);
    for (uint32_t i = 0; i < ledger_count(result->ledger) && shown < EXAMPLES; i++) {
        const struct ledger_entry *entry = ledger_entry(result->ledger, i);
        unsigned found = ledger_classify(entry, result->list_complete) & worth;
        if (!found)
            continue;
        json_object_begin(json);
        json_key_string(json, "finding", finding_name(found));
        json_key_string(json, "key", entry->key);
        json_key_string(json, "id", entry->id[0] ? entry->id : NULL);
        json_object_end(json);
        shown += 1;
    }
    json_array_end(json);
}

static void audit(struct json_out *json, const struct result *result)
{
    const struct ledger_verdict *verdict = &result->verdict;
    json_key(json, "audit");
    json_object_begin(json);
    json_key_string(json, "state", audit_state_name(result->audit));
    if (result->audit != AUDIT_SKIPPED) {
        char failure[FAILURE_NAME];
        summary_audit_failure(result, failure);
        json_key_string(json, "failure", failure[0] ? failure : NULL);
        json_key_uint(json, "creates", verdict->creates);
        json_key_uint(json, "acked", verdict->acked);
        json_key_uint(json, "lost", verdict->lost);
        json_key_uint(json, "duplicate", verdict->duplicate);
        json_key_uint(json, "corrupt", verdict->corrupt);
        json_key_uint(json, "indeterminate", verdict->indeterminate);
        json_key_uint(json, "indeterminate_existing", verdict->indeterminate_existing);
        json_key_uint(json, "unexpected", verdict->unexpected);
        json_key_uint(json, "unread", verdict->unread);
        findings(json, result);
    }
    json_object_end(json);
}

static void verdict_of(struct json_out *json, const struct result *result)
{
    json_key(json, "thresholds");
    json_array_begin(json);
    for (unsigned i = 0; i < result->options->threshold_count; i++) {
        char text[THRESHOLD_TEXT];
        threshold_text(&result->options->thresholds[i], text);
        json_object_begin(json);
        json_key_string(json, "threshold", text);
        json_key_double(json, "value", result->value[i]);
        json_key_double(json, "limit", result->options->thresholds[i].limit);
        json_key_double(json, "margin", result->margin[i]);
        json_key_bool(json, "holds", result->holds[i]);
        json_object_end(json);
    }
    json_array_end(json);
    json_key_bool(json, "valid", result->invalid_count == 0);
    json_key(json, "invalid");
    json_array_begin(json);
    for (unsigned i = 0; i < result->invalid_count; i++)
        json_text(json, result->invalid[i]);
    json_array_end(json);
    json_key_bool(json, "interrupted", result->interrupted);
    json_key_int(json, "exit_code", result->exit_code);
}

void summary_json(const struct result *result, char *out, size_t size)
{
    struct json_out json;
    json_out_init(&json, out, size);
    json_object_begin(&json);
    settings(&json, result);
    requests(&json, result);
    latencies(&json, result);
    json_key(&json, "errors");
    json_object_begin(&json);
    json_key(&json, "attempts");
    report_failures(&json, &result->statistics->total.attempt_failures);
    json_key(&json, "requests");
    report_failures(&json, &result->statistics->request_failures);
    json_key(&json, "probes");
    report_failures(&json, &result->statistics->probe_failures);
    json_object_end(&json);
    json_key_double(&json, "tester_cpu_share", result->cpu_share);
    json_key_double(&json, "tester_starved_share", result->starved_share);
    json_key_uint(&json, "connections_opened", result->connections_opened);
    summary_profile_json(&json, result);
    audit(&json, result);
    verdict_of(&json, result);
    json_object_end(&json);
    CHECK(!json.overflow);
}
