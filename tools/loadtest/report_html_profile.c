/* SPDX-License-Identifier: MIT */
/* The tables of the report that are about the profile: phases, probes, slow clients. */
#include "tools/loadtest/report_html.h"

#include <math.h>

#define CELL 32

static void number(char out[CELL], const char *format, double value)
{
    if (isnan(value))
        snprintf(out, CELL, "-");
    else
        snprintf(out, CELL, format, value);
}

static void phase_row(FILE *out, const char *const *columns, const char *name,
                      const struct phase *phase, enum tone tone)
{
    char rate[CELL], sent[CELL], failed[CELL], p50[CELL], p95[CELL], p99[CELL];
    char most[FAILURE_NAME];
    number(rate, "%g", phase->rate);
    number(sent, "%.0f", (double)phase->sent);
    number(failed, "%.2f %%", 100 * phase_error_rate(phase));
    number(p50, "%.2f", phase_latency_ms(phase, 50));
    number(p95, "%.2f", phase_latency_ms(phase, 95));
    number(p99, "%.2f", phase_latency_ms(phase, 99));
    failures_most(&phase->failures, most);
    document_row(out, tone, columns,
                 (const char *const[]){name, rate, sent, failed, p50, p95, p99, most, NULL});
}

static void phases(FILE *out, const struct result *result)
{
    static const char *const columns[] = {"",     "#requests/s", "#sent",  "#failed", "#p50 ms",
                                          "#p95", "#p99",        "mostly", NULL};
    const struct phases *all = result->profile->phases;
    enum shape shape = result->options->shape;
    document_table_begin(out, columns);
    for (unsigned i = 0; i < all->count; i++) {
        const struct phase *phase = &all->all[i];
        char name[CELL];
        enum tone tone = TONE_PLAIN;
        if (phase->sent == 0)
            continue;
        snprintf(name, sizeof name, "part %u", i + 1);
        if (shape == SHAPE_SPIKE)
            snprintf(name, sizeof name, "%s", spike_phase_name(i));
        if (shape == SHAPE_RAMP) {
            bool over = phase_is_over(phase, result->sending_ns);
            enum step_verdict verdict = ramp_judge(phase, over);
            snprintf(name, sizeof name, "%s", step_verdict_name(verdict));
            tone = verdict == STEP_HOLDS     ? TONE_GOOD
                   : verdict == STEP_PENDING ? TONE_PLAIN
                                             : TONE_BAD;
        }
        phase_row(out, columns, name, phase, tone);
    }
    document_table_end(out);
}

static void probes(FILE *out, const struct result *result)
{
    static const char *const columns[] = {"probe", "#ok",  "#failed",  "#p50 ms",
                                          "#p95",  "#p99", "#slowest", NULL};
    bool any = false;
    for (int kind = 0; kind < LOAD_KINDS; kind++) {
        const struct probe *probe = &result->statistics->probe[kind];
        char ok[CELL], failed[CELL], p50[CELL], p95[CELL], p99[CELL], most[CELL];
        if (!(result->options->probe_rate[kind] > 0))
            continue;
        if (!any)
            document_table_begin(out, columns);
        any = true;
        number(ok, "%.0f", (double)probe->ok);
        number(failed, "%.0f", (double)probe->failed);
        number(p50, "%.2f", statistics_probe_ms(probe, 50));
        number(p95, "%.2f", statistics_probe_ms(probe, 95));
        number(p99, "%.2f", statistics_probe_ms(probe, 99));
        number(most, "%.2f", statistics_probe_ms(probe, 100));
        document_row(out, probe->failed > 0 ? TONE_DOUBTFUL : TONE_PLAIN, columns,
                     (const char *const[]){load_kind_name((enum load_kind)kind), ok, failed, p50,
                                           p95, p99, most, NULL});
    }
    if (any)
        document_table_end(out);
}

static void slow_clients(FILE *out, const struct result *result)
{
    static const char *const columns[] = {"slow clients", "#clients", "#held at once", "#cut",
                                          "#after s",     "#told",    "#refused",      NULL};
    bool any = false;
    for (int kind = 0; kind < SLOW_KINDS; kind++) {
        const struct slow_counts *counts = &result->profile->slow[kind];
        char clients[CELL], held[CELL], cut[CELL], life[CELL], told[CELL], refused[CELL];
        if (result->options->slow[kind] == 0)
            continue;
        if (!any)
            document_table_begin(out, columns);
        any = true;
        number(clients, "%.0f", (double)result->options->slow[kind]);
        number(held, "%.0f", (double)counts->held_most);
        number(cut, "%.0f", (double)counts->cut);
        number(life, "%.1f", counts->life_s);
        number(told, "%.0f", (double)counts->answered);
        number(refused, "%.0f", (double)counts->refused);
        document_row(out, TONE_PLAIN, columns,
                     (const char *const[]){slow_kind_name((enum slow_kind)kind), clients, held, cut,
                                           life, told, refused, NULL});
    }
    if (any)
        document_table_end(out);
}

void report_html_profile(FILE *out, const struct result *result)
{
    char line[PROFILE_LINE], heading[64];
    enum shape shape = result->options->shape;
    const struct options *options = result->options;
    bool beside =
        options->probe_rate[LOAD_READ] > 0 || options->probe_rate[LOAD_HEALTH] > 0 ||
        options->slow[SLOW_IDLE] + options->slow[SLOW_HEADERS] + options->slow[SLOW_BODIES] > 0;
    bool phased = shape == SHAPE_RAMP || shape == SHAPE_SPIKE || shape == SHAPE_SOAK;
    if (!beside && !phased)
        return;
    profile_result_line(result->profile, options, line);
    snprintf(heading, sizeof heading, "Profile %s", options->profile);
    document_section(out, heading, NULL);
    if (line[0])
        document_paragraph(out, TONE_PLAIN, line);
    if (phased)
        phases(out, result);
    probes(out, result);
    slow_clients(out, result);
}
