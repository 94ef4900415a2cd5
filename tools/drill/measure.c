/* SPDX-License-Identifier: MIT */
#include "tools/drill/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tools/drill/measure_parts.h"

#define GOOD_SHARE      0.01
#define WINDOW_NS       NS_PER_S
#define SAMPLE_SLACK_NS (NS_PER_S / 20)

double measure_seconds(uint64_t from_ns, uint64_t to_ns)
{
    return ((double)to_ns - (double)from_ns) / (double)NS_PER_S;
}

size_t measure_sample_at(const struct evidence *evidence, uint64_t t_ns)
{
    size_t low = 0, high = evidence->sample_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (evidence->sample[middle].t_ns <= t_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? low - 1 : 0;
}

/* ---- samples ------------------------------------------------------------------------------- */

static bool is_data(unsigned class)
{
    return class == CLASS_AUTH || class == CLASS_READ || class == CLASS_WRITE;
}

/* Data requests and failures between two samples. */
static double between(const struct sample *from, const struct sample *to, double *failures)
{
    double answers = 0, lost = (double)(to->lost - from->lost);
    *failures = lost;
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        answers += is_data(i) ? (double)(to->answers[i] - from->answers[i]) : 0;
        *failures += is_data(i) ? (double)(to->failures[i] - from->failures[i]) : 0;
    }
    return answers + lost;
}

double measure_requests(const struct evidence *evidence, uint64_t from_ns, uint64_t to_ns)
{
    double failures;
    if (evidence->sample_count == 0)
        return 0;
    return between(&evidence->sample[measure_sample_at(evidence, from_ns)],
                   &evidence->sample[measure_sample_at(evidence, to_ns)], &failures);
}

double measure_error_share(const struct evidence *evidence, uint64_t from_ns, uint64_t to_ns)
{
    double failures = 0, requests = 0;
    if (evidence->sample_count > 0)
        requests = between(&evidence->sample[measure_sample_at(evidence, from_ns)],
                           &evidence->sample[measure_sample_at(evidence, to_ns)], &failures);
    return requests > 0 ? failures / requests : (double)NAN;
}

double measure_recovery(const struct evidence *evidence, uint64_t since_ns)
{
    double before_s = measure_seconds(evidence->before_ns, evidence->fault_ns);
    double usual = measure_requests(evidence, evidence->before_ns, evidence->fault_ns) / before_s;
    for (size_t end = 0; end < evidence->sample_count; end++) {
        uint64_t end_ns = evidence->sample[end].t_ns;
        if (end_ns < since_ns + WINDOW_NS - SAMPLE_SLACK_NS)
            continue;
        size_t begin = measure_sample_at(evidence, end_ns - WINDOW_NS + SAMPLE_SLACK_NS);
        if (evidence->sample[begin].t_ns + SAMPLE_SLACK_NS * 5 < since_ns)
            continue;
        double failures, wanted = usual / 2;
        double requests = between(&evidence->sample[begin], &evidence->sample[end], &failures);
        if (requests >= wanted && requests > 0 && failures < requests * GOOD_SHARE)
            return measure_seconds(since_ns, end_ns);
    }
    return (double)NAN;
}

/* ---- the first time of things -------------------------------------------------------------- */

double measure_first_degraded(const struct evidence *evidence, uint64_t since_ns)
{
    for (size_t i = 0; i < evidence->look_count; i++) {
        const struct look *look = &evidence->look[i];
        uint64_t answered_ns = look->sent_ns + look->took_ns;
        if (answered_ns >= since_ns &&
            (look->result == LOOK_DEGRADED || look->result == LOOK_FAILING))
            return measure_seconds(since_ns, answered_ns);
    }
    return (double)NAN;
}

double measure_first_verdict(const struct evidence *evidence, uint64_t since_ns)
{
    for (size_t i = 0; i < evidence->sample_count; i++)
        if (evidence->sample[i].t_ns >= since_ns && evidence->sample[i].db_state != DB_STATE_UP)
            return measure_seconds(since_ns, evidence->sample[i].t_ns);
    return (double)NAN;
}

double measure_first_event(const struct evidence *evidence, uint64_t since_ns, const char *name)
{
    for (size_t i = 0; i < evidence->event_count; i++) {
        const struct event *event = &evidence->event[i];
        uint64_t t_ns = evidence_mono_ns(evidence, event->wall_us);
        /* Two clocks: what the fault caused may seem to be a moment before it. */
        if (t_ns + NS_PER_MS >= since_ns && strcmp(event_name(event->type), name) == 0)
            return fmax(measure_seconds(since_ns, t_ns), 0);
    }
    return (double)NAN;
}

double measure_first_failure(const struct evidence *evidence, uint64_t since_ns)
{
    size_t first = measure_sample_at(evidence, since_ns);
    for (size_t i = first + 1; i < evidence->sample_count; i++) {
        double failures;
        between(&evidence->sample[first], &evidence->sample[i], &failures);
        if (failures > 0)
            return measure_seconds(since_ns, evidence->sample[i].t_ns);
    }
    return (double)NAN;
}

/* ---- /health ------------------------------------------------------------------------------- */

static bool in(const struct look *look, uint64_t from_ns, uint64_t to_ns)
{
    return look->sent_ns >= from_ns && look->sent_ns < to_ns;
}

double measure_count_looks(const struct evidence *evidence, uint64_t from_ns, uint64_t to_ns,
                           int result)
{
    double count = 0;
    for (size_t i = 0; i < evidence->look_count; i++)
        count += in(&evidence->look[i], from_ns, to_ns) &&
                 (result < 0 || evidence->look[i].result == (enum look_result)result);
    return count;
}

double measure_health_failed_share(const struct evidence *evidence, uint64_t from_ns,
                                   uint64_t to_ns)
{
    double sent = measure_count_looks(evidence, from_ns, to_ns, -1);
    double failed = measure_count_looks(evidence, from_ns, to_ns, LOOK_LOST) +
                    measure_count_looks(evidence, from_ns, to_ns, LOOK_REFUSED);
    return sent > 0 ? failed / sent : (double)NAN;
}

static int by_size(const void *a, const void *b)
{
    const double *first = a, *second = b;
    return *first < *second ? -1 : *first > *second;
}

/* The element below which `percent` of the sorted ones lie. Sorts. */
double measure_pick(double *values, size_t count, double percent)
{
    if (count == 0)
        return (double)NAN;
    qsort(values, count, sizeof *values, by_size);
    size_t rank = (size_t)ceil(percent / 100 * (double)count);
    return values[rank > 0 ? rank - 1 : 0];
}

double measure_health_ms(const struct evidence *evidence, uint64_t from_ns, uint64_t to_ns,
                         double percent)
{
    double *values = calloc(evidence->look_count + 1, sizeof *values);
    size_t count = 0;
    for (size_t i = 0; values && i < evidence->look_count; i++) {
        const struct look *look = &evidence->look[i];
        double least_ns = look->result > LOOK_FAILING ? (double)LOOK_GIVE_UP_NS : 0;
        if (in(look, from_ns, to_ns))
            values[count++] = fmax((double)look->took_ns, least_ns) / (double)NS_PER_MS;
    }
    double result = values ? measure_pick(values, count, percent) : (double)NAN;
    free(values);
    return result;
}
