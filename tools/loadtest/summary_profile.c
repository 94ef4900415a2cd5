/* SPDX-License-Identifier: MIT */
/* The part of the summary's JSON that is about the profile. */
#include "tools/loadtest/summary.h"

#include <math.h>
#include <stdio.h>

#include "common/clock.h"

static void phase_json(struct json_out *json, const struct phase *phase, const char *verdict,
                       double sent_s)
{
    char most[FAILURE_NAME];
    failures_most(&phase->failures, most);
    json_object_begin(json);
    json_key_double(json, "rps", phase->rate);
    json_key_double(json, "from_s", phase_from_s(phase));
    json_key_double(json, "duration_s", phase_duration_s(phase));
    json_key_uint(json, "sent", phase->sent);
    json_key_uint(json, "ok", phase->ok);
    json_key_uint(json, "failed", phase->failed);
    json_key_double(json, "error_rate", phase_error_rate(phase));
    json_key_double(json, "goodput_rps", (double)phase->ok / sent_s);
    json_key_double(json, "p50_ms", phase_latency_ms(phase, 50));
    json_key_double(json, "p95_ms", phase_latency_ms(phase, 95));
    json_key_double(json, "p99_ms", phase_latency_ms(phase, 99));
    json_key_double(json, "max_ms", phase_latency_ms(phase, 100));
    json_key_string(json, "most_frequent_error", most[0] ? most : NULL);
    if (verdict)
        json_key_string(json, "verdict", verdict);
    json_object_end(json);
}

/* Phases that were begun. */
static void phases_json(struct json_out *json, const struct result *result)
{
    const struct phases *phases = result->profile->phases;
    enum shape shape = result->options->shape;
    json_key(json, "phases");
    json_array_begin(json);
    for (unsigned i = 0; i < phases->count; i++) {
        const struct phase *phase = &phases->all[i];
        double sent_s = fmin(phase_duration_s(phase), result->sending_s - phase_from_s(phase));
        const char *verdict = NULL;
        if (result->sending_ns <= phase->from_ns)
            break;
        if (shape == SHAPE_RAMP)
            verdict =
                step_verdict_name(ramp_judge(phase, phase_is_over(phase, result->sending_ns)));
        else if (shape == SHAPE_SPIKE)
            verdict = spike_phase_name(i);
        phase_json(json, phase, verdict, sent_s);
    }
    json_array_end(json);
}

static void probes_json(struct json_out *json, const struct result *result)
{
    json_key(json, "probes");
    json_object_begin(json);
    for (int kind = 0; kind < LOAD_KINDS; kind++) {
        const struct probe *probe = &result->statistics->probe[kind];
        enum load_kind load = (enum load_kind)kind;
        if (!(result->options->probe_rate[kind] > 0))
            continue;
        json_key(json, load_kind_name(load));
        json_object_begin(json);
        json_key_double(json, "rps", result->options->probe_rate[kind]);
        json_key_uint(json, "ok", probe->ok);
        json_key_uint(json, "failed", probe->failed);
        json_key_double(json, "p50_ms", statistics_probe_ms(probe, 50));
        json_key_double(json, "p95_ms", statistics_probe_ms(probe, 95));
        json_key_double(json, "p99_ms", statistics_probe_ms(probe, 99));
        json_key_double(json, "max_ms", statistics_probe_ms(probe, 100));
        json_object_end(json);
    }
    json_object_end(json);
}

static void slow_json(struct json_out *json, const struct result *result)
{
    json_key(json, "slow_clients");
    json_object_begin(json);
    for (int kind = 0; kind < SLOW_KINDS; kind++) {
        const struct slow_counts *counts = &result->profile->slow[kind];
        if (result->options->slow[kind] == 0)
            continue;
        json_key(json, slow_kind_name((enum slow_kind)kind));
        json_object_begin(json);
        json_key_uint(json, "clients", result->options->slow[kind]);
        json_key_uint(json, "opened", counts->opened);
        json_key_uint(json, "refused", counts->refused);
        json_key_uint(json, "held_most", counts->held_most);
        json_key_uint(json, "held_at_end", counts->held);
        json_key_uint(json, "cut", counts->cut);
        json_key_double(json, "life_s", counts->life_s);
        json_key_uint(json, "answered", counts->answered);
        json_key(json, "answers");
        json_object_begin(json);
        for (int status = 100; status < STATUS_LIMIT; status++) {
            char key[FAILURE_NAME];
            snprintf(key, sizeof key, "http_%03d", status);
            if (counts->status[status] > 0)
                json_key_uint(json, key, counts->status[status]);
        }
        json_object_end(json);
        json_object_end(json);
    }
    json_object_end(json);
}

void summary_profile_json(struct json_out *json, const struct result *result)
{
    const struct profile_result *profile = result->profile;
    enum shape shape = result->options->shape;
    char line[PROFILE_LINE];
    profile_result_line(profile, result->options, line);
    json_key(json, "profile_result");
    json_object_begin(json);
    json_key_string(json, "text", line[0] ? line : NULL);
    if (shape == SHAPE_RAMP) {
        json_key_double(json, "knee_rps",
                        profile->ramp.holds > 0 ? profile->ramp.knee_rate : (double)NAN);
        json_key_bool(json, "broke", profile->ramp.broke);
        json_key_double(json, "p95_limit_ms", RAMP_P95_MS);
        json_key_double(json, "error_rate_limit", RAMP_ERROR_RATE);
    }
    if (shape == SHAPE_SPIKE) {
        json_key_double(json, "factor", result->options->spike_factor);
        json_key_bool(json, "recovery_measured", profile->recovery_measured);
        json_key_double(json, "recovered_s", profile->recovered_s);
    }
    if (shape == SHAPE_SOAK) {
        json_key_double(json, "p95_first_ms", profile->drift.first_p95_ms);
        json_key_double(json, "p95_last_ms", profile->drift.last_p95_ms);
        json_key_double(json, "p95_drift_ms_per_hour", profile->drift.slope_ms_per_hour);
    }
    if (shape != SHAPE_CLOSED)
        phases_json(json, result);
    probes_json(json, result);
    slow_json(json, result);
    json_object_end(json);
}
