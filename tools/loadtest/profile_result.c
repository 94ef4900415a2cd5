/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/profile_result.h"

#include <math.h>
#include <stdio.h>

#include "common/clock.h"

void profile_result_open(struct profile_result *result, const struct options *options)
{
    *result = (struct profile_result){
        .phases = phases_open(&options->plan, RAMP_P95_MS),
        .recovery = options->shape == SHAPE_SPIKE ? recovery_open(options->plan.duration_ns) : NULL,
        .recovered_s = (double)NAN,
        .drift = {(double)NAN, (double)NAN, (double)NAN},
    };
}

void profile_result_close(struct profile_result *result)
{
    phases_close(result->phases);
    if (result->recovery)
        recovery_close(result->recovery);
}

void profile_result_note(struct profile_result *result, unsigned phase, uint64_t offset_ns,
                         const struct outcome *outcome, uint64_t latency_ns)
{
    phases_ended(result->phases, phase, outcome, latency_ns);
    if (result->recovery)
        recovery_note(result->recovery, offset_ns, outcome->cause != CAUSE_NONE, latency_ns);
}

static void conclude_spike(struct profile_result *result, uint64_t sending_ns)
{
    uint64_t after_ns = result->phases->all[SPIKE_AFTER].from_ns;
    result->after_spike_s = ((double)sending_ns - (double)after_ns) / (double)NS_PER_S;
    result->recovery_measured = recovery_measured(after_ns, sending_ns);
    result->recovered_s = recovery_time_s(result->recovery, after_ns, sending_ns);
}

void profile_result_conclude(struct profile_result *result, const struct options *options,
                             uint64_t sending_ns)
{
    if (options->shape == SHAPE_RAMP)
        result->ramp = ramp_conclude(result->phases, sending_ns);
    if (options->shape == SHAPE_SPIKE)
        conclude_spike(result, sending_ns);
    if (options->shape == SHAPE_SOAK)
        result->drift = soak_drift(result->phases);
}

static void ramp_line(const struct profile_result *result, char out[PROFILE_LINE])
{
    const struct ramp *ramp = &result->ramp;
    const struct phase *steps = result->phases->all;
    char most[FAILURE_NAME], knee[48];
    snprintf(knee, sizeof knee, ramp->holds > 0 ? "knee %g requests/s" : "no step held",
             ramp->knee_rate);
    if (!ramp->broke) {
        if (ramp->holds > 0)
            snprintf(out, PROFILE_LINE,
                     "no knee up to %g requests/s (--rps and --duration set how far it goes)",
                     ramp->knee_rate);
        else
            snprintf(out, PROFILE_LINE, "no step came to its end");
        return;
    }
    const struct phase *broken = &steps[ramp->holds];
    failures_most(&broken->failures, most);
    if (phase_error_rate(broken) > RAMP_ERROR_RATE)
        snprintf(out, PROFILE_LINE, "%s: at %g, %.1f %% failed (limit %g %%), mostly %s", knee,
                 broken->rate, 100 * phase_error_rate(broken), 100 * RAMP_ERROR_RATE, most);
    else
        /* The share, not p95: that comes from a histogram and may be read as just below. */
        snprintf(out, PROFILE_LINE, "%s: at %g, %.1f %% took longer than %g ms (limit 5 %%)", knee,
                 broken->rate, 100 * (double)broken->slow / (double)broken->ok, RAMP_P95_MS);
}

/* Of what came after sending ended nothing is known. */
static void spike_line(const struct profile_result *result, char out[PROFILE_LINE])
{
    if (result->after_spike_s < 0)
        snprintf(out, PROFILE_LINE, "recovery not measured: the load ended before the spike did");
    else if (!result->recovery_measured)
        snprintf(out, PROFILE_LINE,
                 "recovery not measured: the load ended %.1f s after the spike, and a whole second "
                 "is looked at",
                 result->after_spike_s);
    else if (isnan(result->recovered_s))
        snprintf(out, PROFILE_LINE, "not recovered %.1f s after the spike", result->after_spike_s);
    else
        snprintf(out, PROFILE_LINE, "recovered %.1f s after the spike (1.0 s is the least)",
                 result->recovered_s);
}

void profile_result_line(const struct profile_result *result, const struct options *options,
                         char out[PROFILE_LINE])
{
    const struct drift *drift = &result->drift;
    out[0] = '\0';
    if (options->shape == SHAPE_RAMP)
        ramp_line(result, out);
    else if (options->shape == SHAPE_SPIKE)
        spike_line(result, out);
    else if (options->shape == SHAPE_SOAK && !isnan(drift->slope_ms_per_hour))
        snprintf(out, PROFILE_LINE,
                 "p95 %.1f ms in the first part, %.1f ms in the last: %+.1f ms/h",
                 drift->first_p95_ms, drift->last_p95_ms, drift->slope_ms_per_hour);
}
