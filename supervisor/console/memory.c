/* SPDX-License-Identifier: MIT */
#include "supervisor/console/memory.h"

#include <math.h>
#include <string.h>

#include "common/clock.h"
#include "supervisor/console/history.h"

#define GAP_NS     (5 * NS_PER_S / 2)  /* looks further apart make no row */
#define SLO_ORIGIN (UINT64_C(1) << 20) /* the objectives' second of the first look */

bool memory_make(struct memory *memory)
{
    memset(memory, 0, sizeof *memory);
    if (ring_make(&memory->fine, 1, HISTORY_FINE_ROWS, SERIES_NUMBER) &&
        ring_make(&memory->coarse, HISTORY_COARSE_STEP_S, HISTORY_COARSE_ROWS, SERIES_NUMBER) &&
        ring_make(&memory->components, 1, HISTORY_COMPONENT_ROWS, COMPONENTS_MAX * CELL_VALUES))
        return true;
    memory_free(memory);
    return false;
}

void memory_free(struct memory *memory)
{
    ring_free(&memory->fine);
    ring_free(&memory->coarse);
    ring_free(&memory->components);
}

const struct ring *memory_ring(const struct memory *memory, unsigned step)
{
    return step == HISTORY_COARSE_STEP_S ? &memory->coarse : &memory->fine;
}

/* ---- what was ------------------------------------------------------------------------------ */

static uint64_t whole(float per_s)
{
    return isnan(per_s) || per_s < 0 ? 0 : (uint64_t)lroundf(per_s);
}

/* The objectives go on where the console before this one was: a restart gives no budget back. */
static void recall_slo(struct memory *memory, int64_t time, const float values[SERIES_NUMBER])
{
    const struct slo_counts counts = {
        .requests = whole(values[SERIES_slo_requests_per_s]),
        .failed = whole(values[SERIES_slo_failed_per_s]),
        .timed = whole(values[SERIES_slo_timed_per_s]),
        .slow = whole(values[SERIES_slo_slow_per_s]),
    };
    int64_t age = memory->first_time - time;
    if (age >= 0 && age < SLO_PERIOD_S)
        slo_add(&memory->slo, SLO_ORIGIN - (uint64_t)age, &counts);
}

void memory_recall(struct memory *memory, unsigned step, int64_t time,
                   const float values[SERIES_NUMBER])
{
    struct ring *ring = step == HISTORY_COARSE_STEP_S ? &memory->coarse : &memory->fine;
    /* A ring's length before the last second is that second's own place, or soon will be. */
    int64_t oldest = memory->last_time - (int64_t)ring->rows * step;
    if (time % step != 0 || time > memory->last_time || time <= oldest || ring_get(ring, time))
        return;
    memcpy(ring_put(ring, time), values, SERIES_NUMBER * sizeof *values);
    if (step == 1)
        recall_slo(memory, time, values);
}

/* ---- what is ------------------------------------------------------------------------------- */

static void put_row(struct ring *ring, int64_t time, const double values[SERIES_NUMBER])
{
    float *row = ring_put(ring, time);
    for (unsigned i = 0; i < SERIES_NUMBER; i++)
        row[i] = (float)values[i];
}

static uint64_t growth(const struct series_look *before, const struct series_look *after,
                       enum series_count count)
{
    return after->count[count] > before->count[count] ? after->count[count] - before->count[count]
                                                      : 0;
}

/* Also over a gap: what was missed by the console was not missed by those who asked. */
static void count_slo(struct memory *memory, const struct series_look *before,
                      const struct series_look *after)
{
    const struct slo_counts counts = {
        .requests = growth(before, after, COUNT_OF_SLO_REQUESTS),
        .failed = growth(before, after, COUNT_OF_SLO_FAILED),
        .timed = growth(before, after, COUNT_OF_SLO_TIMED),
        .slow = growth(before, after, COUNT_OF_SLO_SLOW),
    };
    memory->slo_second =
        SLO_ORIGIN + (after->at_ns - memory->slo_origin_ns + NS_PER_S / 2) / NS_PER_S;
    slo_add(&memory->slo, memory->slo_second, &counts);
}

static void begin_coarse(struct memory *memory, const struct series_look *look)
{
    memory->coarse_begin = *look;
    memset(&memory->coarse_levels, 0, sizeof memory->coarse_levels);
}

/* The row of ten seconds, when a multiple of ten lies between the last look and this. */
static void put_coarse(struct memory *memory, const struct series_look *after, int64_t time)
{
    double values[SERIES_NUMBER];
    int64_t end = time - time % HISTORY_COARSE_STEP_S;
    if (memory->last_time >= end)
        return;
    if (series_between(&memory->coarse_begin, after, values)) {
        series_levels_put(&memory->coarse_levels, values);
        put_row(&memory->coarse, end, values);
    }
    begin_coarse(memory, after);
}

static void add_rows(struct memory *memory, const struct look *before, const struct look *after,
                     int64_t time)
{
    double values[SERIES_NUMBER];
    bool comparable = series_between(&before->series, &after->series, values);
    if (comparable)
        count_slo(memory, &before->series, &after->series);
    if (!comparable || after->series.at_ns - before->series.at_ns > GAP_NS) {
        begin_coarse(memory, &after->series);
        return;
    }
    put_row(&memory->fine, time, values);
    components_between(&before->components, &after->components, values,
                       (float(*)[CELL_VALUES])ring_put(&memory->components, time));
    series_levels_add(&memory->coarse_levels, values);
    put_coarse(memory, &after->series, time);
}

/* The clock was set back: what is remembered of its future is not true any more. */
static void forget_from(struct memory *memory, int64_t time)
{
    ring_forget_after(&memory->fine, time - 1);
    ring_forget_after(&memory->coarse, time - 1);
    ring_forget_after(&memory->components, time - 1);
    memory->last_time = time - 1;
}

struct look *memory_next_look(struct memory *memory)
{
    return &memory->look[memory->newest ^ 1u];
}

void memory_take(struct memory *memory, int64_t time)
{
    const struct look *before = &memory->look[memory->newest];
    const struct look *after = memory_next_look(memory);
    if (memory->looked && time == memory->last_time)
        return;
    if (memory->looked && time < memory->last_time)
        forget_from(memory, time);
    if (memory->looked) {
        add_rows(memory, before, after, time);
    } else {
        memory->slo_origin_ns = after->series.at_ns;
        memory->slo_second = SLO_ORIGIN;
        memory->first_time = time;
        begin_coarse(memory, &after->series);
    }
    memory->last_time = time;
    memory->newest ^= 1u;
    memory->looked = true;
}
