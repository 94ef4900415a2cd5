/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/phases.h"

#include <math.h>
#include <stdlib.h>

#include "common/clock.h"
#include "tools/loadtest/memory.h"

struct phases *phases_open(const struct plan_settings *plan, double slow_ms)
{
    const struct plan_phase whole = {plan->rate, plan->duration_ns};
    const struct plan_phase *planned = plan->phases ? plan->phases : &whole;
    struct phases *phases = memory_zeroed(1, sizeof *phases);
    uint64_t from_ns = 0;
    phases->count = plan->phases ? plan->phase_count : 1;
    phases->all = memory_zeroed(phases->count, sizeof *phases->all);
    phases->slow_us = (uint64_t)(slow_ms * (double)US_PER_MS);
    for (unsigned i = 0; i < phases->count; i++) {
        struct phase *phase = &phases->all[i];
        phase->rate = planned[i].rate;
        phase->from_ns = from_ns;
        phase->duration_ns = planned[i].duration_ns;
        from_ns += phase->duration_ns;
    }
    return phases;
}

void phases_close(struct phases *phases)
{
    free(phases->all);
    free(phases);
}

void phases_sent(struct phases *phases, unsigned index)
{
    phases->all[index].sent += 1;
}

void phases_ended(struct phases *phases, unsigned index, const struct outcome *outcome,
                  uint64_t latency_ns)
{
    struct phase *phase = &phases->all[index];
    uint64_t latency_us = latency_ns / NS_PER_US;
    if (outcome->cause != CAUSE_NONE) {
        phase->failed += 1;
        failures_count(&phase->failures, outcome);
        return;
    }
    phase->ok += 1;
    phase->slow += latency_us > phases->slow_us;
    histogram_sum_record(&phase->latency_us, latency_us);
    if (latency_us > phase->max_latency_us)
        phase->max_latency_us = latency_us;
}

bool phase_is_over(const struct phase *phase, uint64_t elapsed_ns)
{
    return elapsed_ns >= phase->from_ns + phase->duration_ns;
}

double phase_from_s(const struct phase *phase)
{
    return (double)phase->from_ns / (double)NS_PER_S;
}

double phase_duration_s(const struct phase *phase)
{
    return (double)phase->duration_ns / (double)NS_PER_S;
}

double phase_latency_ms(const struct phase *phase, double percent)
{
    double largest = (double)phase->max_latency_us / (double)US_PER_MS;
    double value = statistics_percentile_ms(&phase->latency_us, percent);
    return isnan(value) || (value < largest && percent < 100) ? value : largest;
}

double phase_error_rate(const struct phase *phase)
{
    uint64_t all = phase->ok + phase->failed;
    return all > 0 ? (double)phase->failed / (double)all : 0;
}

double phase_planned(const struct phase *phase)
{
    return phase->rate * phase_duration_s(phase);
}
