/* SPDX-License-Identifier: MIT */
/* The part of the summary's table that is about the profile. */
#include "tools/loadtest/summary.h"

#include <math.h>

typedef unsigned long long number;

static void print_phase(FILE *out, const char *name, const struct phase *phase)
{
    char most[FAILURE_NAME];
    failures_most(&phase->failures, most);
    fprintf(out, "%-8s %10g %10llu %10.2f", name, phase->rate, (number)phase->sent,
            100 * phase_error_rate(phase));
    if (phase->ok > 0)
        fprintf(out, " %10.2f %10.2f %10.2f", phase_latency_ms(phase, 50),
                phase_latency_ms(phase, 95), phase_latency_ms(phase, 99));
    else
        fputs("          -          -          -", out);
    fprintf(out, "  %s\n", most);
}

static void print_phases(const struct result *result, FILE *out)
{
    const struct phases *phases = result->profile->phases;
    enum shape shape = result->options->shape;
    fprintf(out, "\n%-8s %10s %10s %10s %10s %10s %10s\n",
            shape == SHAPE_RAMP   ? "step"
            : shape == SHAPE_SOAK ? "part"
                                  : "phase",
            "requests/s", "sent", "failed %", "p50 ms", "p95 ms", "p99 ms");
    for (unsigned i = 0; i < phases->count; i++) {
        const struct phase *phase = &phases->all[i];
        char name[16];
        if (phase->sent == 0)
            continue;
        snprintf(name, sizeof name, "%u", i + 1);
        bool over = phase_is_over(phase, result->sending_ns);
        print_phase(out,
                    shape == SHAPE_RAMP    ? step_verdict_name(ramp_judge(phase, over))
                    : shape == SHAPE_SPIKE ? spike_phase_name(i)
                                           : name,
                    phase);
    }
}

static void print_probes(const struct result *result, FILE *out)
{
    for (int kind = 0; kind < LOAD_KINDS; kind++) {
        const struct probe *probe = &result->statistics->probe[kind];
        if (probe->ok + probe->failed == 0)
            continue;
        fprintf(out, "probe     %-6s %llu ok, %llu failed", load_kind_name((enum load_kind)kind),
                (number)probe->ok, (number)probe->failed);
        if (probe->ok > 0)
            fprintf(out, "; p50 %.2f ms, p95 %.2f ms, p99 %.2f ms, slowest %.1f ms",
                    statistics_probe_ms(probe, 50), statistics_probe_ms(probe, 95),
                    statistics_probe_ms(probe, 99), statistics_probe_ms(probe, 100));
        fputc('\n', out);
    }
}

static void print_slow(const struct result *result, FILE *out)
{
    for (int kind = 0; kind < SLOW_KINDS; kind++) {
        const struct slow_counts *counts = &result->profile->slow[kind];
        if (result->options->slow[kind] == 0)
            continue;
        fprintf(out, "held      %-12s %u clients, %llu at once, %llu cut",
                slow_kind_name((enum slow_kind)kind), result->options->slow[kind],
                (number)counts->held_most, (number)counts->cut);
        if (counts->cut > 0)
            fprintf(out, " after %.1f s", counts->life_s);
        for (int status = 100; status < STATUS_LIMIT; status++)
            if (counts->status[status] > 0)
                fprintf(out, ", %llu told %d", (number)counts->status[status], status);
        if (counts->refused > 0)
            fprintf(out, ", %llu refused", (number)counts->refused);
        fputc('\n', out);
    }
}

void summary_profile_table(const struct result *result, FILE *out)
{
    char line[PROFILE_LINE];
    enum shape shape = result->options->shape;
    if (shape == SHAPE_RAMP || shape == SHAPE_SPIKE || shape == SHAPE_SOAK)
        print_phases(result, out);
    print_probes(result, out);
    print_slow(result, out);
    profile_result_line(result->profile, result->options, line);
    if (line[0])
        fprintf(out, "%-9s %s\n", result->options->profile, line);
}
