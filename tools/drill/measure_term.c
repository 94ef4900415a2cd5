/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tools/drill/measure_parts.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- the exposition ------------------------------------------------------------------------ */

/* Upper edges of the exposition's buckets in ms; the last is beyond all. */
static const double edge_ms[SELECTOR_BUCKETS] = {1,   2,   5,    10,   20,   50,    100,  200,
                                                 300, 500, 1000, 2000, 5000, 10000, 10000};

/* Buckets are cumulative; within one the values are taken to lie evenly. */
static double percentile_ms(const double *from, const double *to, double percent)
{
    double total = to[SELECTOR_BUCKETS - 1] - from[SELECTOR_BUCKETS - 1];
    double wanted = total * percent / 100, below = 0;
    if (total <= 0)
        return (double)NAN;
    for (unsigned i = 0; i < SELECTOR_BUCKETS; i++) {
        double count = to[i] - from[i];
        double low = i ? edge_ms[i - 1] : 0;
        if (count >= wanted && count > below)
            return low + (edge_ms[i] - low) * (wanted - below) / (count - below);
        below = count;
    }
    return edge_ms[SELECTOR_BUCKETS - 1];
}

static double metric(const struct measure *measure, const struct node *term)
{
    const struct evidence *evidence = measure->evidence;
    size_t at = evidence_value_at(&evidence->spec->selectors, term->selector);
    if (evidence->sample_count == 0)
        return (double)NAN;
    size_t first = measure_sample_at(evidence, measure->from_ns);
    size_t last = measure_sample_at(evidence, measure->to_ns);
    const double *from = &evidence->sample[first].value[at];
    const double *to = &evidence->sample[last].value[at];
    double extreme = *from;
    switch (term->reading) {
    case READ_DELTA:
        return *to - *from;
    case READ_LAST:
        return *to;
    case READ_P50:
        return percentile_ms(from, to, 50);
    case READ_P95:
        return percentile_ms(from, to, 95);
    case READ_P99:
        return percentile_ms(from, to, 99);
    case READ_MAX:
    case READ_MIN:
        break;
    }
    for (size_t i = first; i <= last; i++) {
        double value = evidence->sample[i].value[at];
        extreme = term->reading == READ_MAX ? fmax(extreme, value) : fmin(extreme, value);
    }
    return extreme;
}

/* ---- /health ------------------------------------------------------------------------------- */

static double health(const struct measure *measure, const char *name)
{
    static const struct {
        const char *name;
        double percent;
    } percents[] = {{"p50_ms", 50}, {"p95_ms", 95}, {"p99_ms", 99}, {"max_ms", 100}};
    static const struct {
        const char *name;
        int result;
    } counts[] = {{"sent", -1},
                  {"degraded", LOOK_DEGRADED},
                  {"failing", LOOK_FAILING},
                  {"failed", LOOK_LOST},
                  {"refused", LOOK_REFUSED}};
    for (size_t i = 0; i < COUNT_OF(percents); i++)
        if (strcmp(percents[i].name, name) == 0)
            return measure_health_ms(measure->evidence, measure->from_ns, measure->to_ns,
                                     percents[i].percent);
    for (size_t i = 0; i < COUNT_OF(counts); i++)
        if (strcmp(counts[i].name, name) == 0)
            return measure_count_looks(measure->evidence, measure->from_ns, measure->to_ns,
                                       counts[i].result);
    return (double)NAN;
}

/* ---- loadtest's own words ------------------------------------------------------------------ */

/* A number, or the length of a list, or whether it is true, at a.b.c. */
static double summary(const json_t *json, const char *path)
{
    char key[64];
    while (json && *path) {
        size_t length = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)length, path);
        json = json_object_get(json, key);
        path += length + (path[length] == '.');
    }
    if (json_is_number(json))
        return json_number_value(json);
    if (json_is_boolean(json))
        return json_is_true(json);
    return json_is_array(json) ? (double)json_array_size(json) : (double)NAN;
}

static double rows(const struct measure *measure, const char *name)
{
    const struct evidence *evidence = measure->evidence;
    double ok = 0, failed = 0, sent = 0, worst = 0;
    size_t count = json_array_size(evidence->rows), used = 0;
    double *p95 = calloc(count + 1, sizeof *p95);
    for (size_t i = 0; p95 && i < count; i++) {
        const json_t *row = json_array_get(evidence->rows, i);
        uint64_t t_ns = evidence->load_ns + i * NS_PER_S;
        if (t_ns < measure->from_ns || t_ns + NS_PER_S > measure->to_ns)
            continue;
        ok += json_number_value(json_object_get(row, "ok"));
        failed += json_number_value(json_object_get(row, "failed"));
        sent += json_number_value(json_object_get(row, "sent"));
        p95[used] = json_number_value(json_object_get(row, "p95_ms"));
        worst = fmax(worst, p95[used++]);
    }
    double median = p95 ? measure_pick(p95, used, 50) : (double)NAN;
    free(p95);
    if (strcmp(name, "seconds") == 0)
        return (double)used;
    if (used == 0)
        return (double)NAN;
    return strcmp(name, "ok") == 0       ? ok
           : strcmp(name, "failed") == 0 ? failed
           : strcmp(name, "sent") == 0   ? sent
           : strcmp(name, "failed_share") == 0
               ? (ok + failed > 0 ? failed / (ok + failed) : (double)NAN)
           : strcmp(name, "p95_ms") == 0        ? worst
           : strcmp(name, "p95_median_ms") == 0 ? median
                                                : (double)NAN;
}

/* ---- the rest ------------------------------------------------------------------------------ */

static double board(const struct measure *measure, const char *name)
{
    const struct evidence *evidence = measure->evidence;
    double ready = INFINITY, quarantined = 0, breakers = 0, degraded = 0;
    if (evidence->sample_count == 0)
        return (double)NAN;
    for (size_t i = measure_sample_at(evidence, measure->from_ns);
         i <= measure_sample_at(evidence, measure->to_ns); i++) {
        const struct sample *sample = &evidence->sample[i];
        ready = fmin(ready, sample->ready);
        quarantined = fmax(quarantined, sample->quarantined);
        breakers = fmax(breakers, sample->breakers);
        degraded = fmax(degraded, sample->degraded);
    }
    return strcmp(name, "min_ready") == 0         ? ready
           : strcmp(name, "max_quarantined") == 0 ? quarantined
           : strcmp(name, "max_breakers") == 0    ? breakers
           : strcmp(name, "max_degraded") == 0    ? degraded
                                                  : (double)NAN;
}

static double events(const struct measure *measure, const char *name)
{
    double count = 0;
    for (size_t i = 0; i < measure->evidence->event_count; i++) {
        const struct event *event = &measure->evidence->event[i];
        uint64_t t_ns = evidence_mono_ns(measure->evidence, event->wall_us) + NS_PER_MS;
        count += t_ns >= measure->from_ns && t_ns <= measure->to_ns &&
                 strcmp(event_name(event->type), name) == 0;
    }
    return count;
}

static double detect(const struct measure *measure, const char *name)
{
    const struct evidence *evidence = measure->evidence;
    uint64_t since_ns = evidence->fault_ns;
    if (strcmp(name, "degraded_s") == 0)
        return measure_first_degraded(evidence, since_ns);
    if (strcmp(name, "verdict_s") == 0)
        return measure_first_verdict(evidence, since_ns);
    if (strcmp(name, "breaker_s") == 0)
        return measure_first_event(evidence, since_ns, "breaker_open");
    if (strcmp(name, "first_failure_s") == 0)
        return measure_first_failure(evidence, since_ns);
    char event[48];
    size_t length = strlen(name) > 2 ? strlen(name) - 2 : 0;
    snprintf(event, sizeof event, "%.*s", (int)length, name);
    return measure_first_event(evidence, since_ns, event);
}

/* "2.worker_ready_s" */
static double step(const struct measure *measure, const char *name)
{
    const struct evidence *evidence = measure->evidence;
    char *rest, event[48];
    unsigned long number = strtoul(name, &rest, 10);
    size_t length = strlen(rest);
    if (*rest != '.' || length < 4)
        return (double)NAN;
    snprintf(event, sizeof event, "%.*s", (int)(length - 3), rest + 1);
    for (size_t i = 0; i < evidence->deed_count; i++)
        if (evidence->deed[i].step == number)
            return measure_first_event(evidence, evidence->deed[i].t_ns, event);
    return (double)NAN;
}

/* The longest time from a death to the next process of its slot being ready. */
static double respawn_max(const struct measure *measure)
{
    const struct evidence *evidence = measure->evidence;
    double longest = (double)NAN;
    for (size_t i = 0; i < evidence->event_count; i++) {
        const struct event *death = &evidence->event[i];
        uint64_t t_ns = evidence_mono_ns(evidence, death->wall_us) + NS_PER_MS;
        if (death->type != EVENT_WORKER_DIED || t_ns < measure->from_ns || t_ns > measure->to_ns)
            continue;
        size_t next = i + 1;
        while (next < evidence->event_count && (evidence->event[next].type != EVENT_WORKER_READY ||
                                                evidence->event[next].slot != death->slot))
            next++;
        if (next == evidence->event_count)
            return (double)INFINITY;
        longest = fmax(longest, (double)(evidence->event[next].wall_us - death->wall_us) / 1e6);
    }
    return longest;
}

static double drill(const struct measure *measure, const char *name)
{
    const struct evidence *evidence = measure->evidence;
    if (strcmp(name, "recover_s") == 0)
        return measure->recover_s;
    if (strcmp(name, "error_share") == 0)
        return measure_error_share(evidence, measure->from_ns, measure->to_ns);
    if (strcmp(name, "leakage_points") == 0)
        return measure->leakage_points;
    if (strcmp(name, "respawn_max_s") == 0)
        return respawn_max(measure);
    if (strcmp(name, "orphans_gone_s") == 0)
        return evidence->orphans_gone_ns
                   ? measure_seconds(evidence->supervisor_died_ns, evidence->orphans_gone_ns)
                   : (double)NAN;
    if (strcmp(name, "counters_back") == 0)
        return (double)evidence->counters_back;
    if (strcmp(name, "seconds") == 0)
        return measure_seconds(measure->from_ns, measure->to_ns);
    return (double)NAN;
}

double measure_term(void *argument, const struct node *term)
{
    const struct measure *measure = argument;
    if (term->kind == NODE_METRIC)
        return metric(measure, term);
    const char *name = strchr(term->path, '.') + 1;
    switch (*term->path) {
    case 'h':
        return health(measure, name);
    case 'l':
        return summary(measure->evidence->summary[term->path[4] == '2'], name);
    case 'r':
        return rows(measure, name);
    case 'b':
        return board(measure, name);
    case 'e':
        return events(measure, name);
    case 's':
        return step(measure, name);
    default:
        return strncmp(term->path, "detect", 6) == 0 ? detect(measure, name) : drill(measure, name);
    }
}
