/* SPDX-License-Identifier: MIT */
#include "supervisor/console/history.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/slot_view.h"
#include "supervisor/console/history_memory.h"
#include "supervisor/console/history_writer.h"
#include "supervisor/console/ring.h"

#define GAP_NS        (5 * NS_PER_S / 2) /* looks further apart make no row */
#define AFTER_TICK_NS (2 * NS_PER_MS)    /* into the second: clocks differ by less */
#define SLO_ORIGIN    (UINT64_C(1) << 20)

/* One look; two are kept, and the series' one of the last ten seconds' beginning. */
struct look {
    struct series_look series;
    struct components_look components;
};

static struct {
    struct child *child;
    /* the sampling thread's own */
    struct look look[2];
    unsigned newest; /* which of them */
    bool looked;
    struct series_look coarse_begin;
    bool coarse_begun;
    struct series_levels coarse_levels;
    uint64_t slo_origin_ns; /* the first look, which is in the middle of SLO_ORIGIN */
    /* under the lock */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    struct ring fine, coarse, components;
    int64_t first_time, last_time; /* wall seconds of the first and last look; 0: none yet */
    unsigned workers;
    struct slo slo;
    uint64_t slo_second;
} memory = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- what is asked ------------------------------------------------------------------------- */

static struct ring *ring_of(unsigned step)
{
    return step == HISTORY_COARSE_STEP_S ? &memory.coarse : &memory.fine;
}

static bool copy_row(const struct ring *ring, int64_t time, float *out)
{
    pthread_mutex_lock(&memory.lock);
    const float *row = ring_get(ring, time);
    if (row)
        memcpy(out, row, ring->columns * sizeof *out);
    pthread_mutex_unlock(&memory.lock);
    return row != NULL;
}

bool history_row(unsigned step, int64_t time, float values[SERIES_NUMBER])
{
    return copy_row(ring_of(step), time, values);
}

bool history_components(int64_t time, float cells[COMPONENTS_MAX][CELL_VALUES])
{
    return copy_row(&memory.components, time, &cells[0][0]);
}

unsigned history_workers(void)
{
    pthread_mutex_lock(&memory.lock);
    unsigned workers = memory.workers;
    pthread_mutex_unlock(&memory.lock);
    return workers;
}

void history_slo(enum slo_objective objective, struct slo_verdict *verdict)
{
    pthread_mutex_lock(&memory.lock);
    slo_judge(&memory.slo, memory.slo_second, objective, verdict);
    pthread_mutex_unlock(&memory.lock);
}

/* ---- what the writer needs ----------------------------------------------------------------- */

int64_t history_last_time(void)
{
    pthread_mutex_lock(&memory.lock);
    int64_t time = memory.last_time;
    pthread_mutex_unlock(&memory.lock);
    return time;
}

bool history_sleep(unsigned limit_ms)
{
    struct timespec until = clock_timespec(clock_now_ns() + limit_ms * NS_PER_MS);
    pthread_mutex_lock(&memory.lock);
    if (!memory.stopping)
        pthread_cond_clockwait(&memory.wake, &memory.lock, CLOCK_MONOTONIC, &until);
    bool stopping = memory.stopping;
    pthread_mutex_unlock(&memory.lock);
    return stopping;
}

static uint64_t counts(float per_s)
{
    return isnan(per_s) || per_s < 0 ? 0 : (uint64_t)lroundf(per_s);
}

/* The objectives go on where the console before this one was: a restart gives no budget back. */
static void recall_slo(int64_t time, const float values[SERIES_NUMBER])
{
    const struct slo_counts before = {
        .requests = counts(values[SERIES_slo_requests_per_s]),
        .failed = counts(values[SERIES_slo_failed_per_s]),
        .timed = counts(values[SERIES_slo_timed_per_s]),
        .slow = counts(values[SERIES_slo_slow_per_s]),
    };
    int64_t age = memory.first_time - time;
    if (age >= 0 && age < SLO_PERIOD_S)
        slo_add(&memory.slo, SLO_ORIGIN - (uint64_t)age, &before);
}

bool history_recall(unsigned step, int64_t time, const float values[SERIES_NUMBER])
{
    struct ring *ring = ring_of(step);
    pthread_mutex_lock(&memory.lock);
    if (time % step == 0 && time <= memory.last_time && !ring_get(ring, time)) {
        memcpy(ring_put(ring, time), values, SERIES_NUMBER * sizeof *values);
        if (step == 1)
            recall_slo(time, values);
    }
    bool go_on = !memory.stopping;
    pthread_mutex_unlock(&memory.lock);
    return go_on;
}

/* ---- looking ------------------------------------------------------------------------------- */

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

static void count_slo(const struct series_look *before, const struct series_look *after)
{
    const struct slo_counts between = {
        .requests = growth(before, after, COUNT_OF_SLO_REQUESTS),
        .failed = growth(before, after, COUNT_OF_SLO_FAILED),
        .timed = growth(before, after, COUNT_OF_SLO_TIMED),
        .slow = growth(before, after, COUNT_OF_SLO_SLOW),
    };
    memory.slo_second =
        SLO_ORIGIN + (after->at_ns - memory.slo_origin_ns + NS_PER_S / 2) / NS_PER_S;
    slo_add(&memory.slo, memory.slo_second, &between);
}

/* The row of ten seconds, when a multiple of ten was reached. Under the lock. */
static void put_coarse(const struct series_look *after, int64_t before_time, int64_t time)
{
    double values[SERIES_NUMBER];
    int64_t end = time - time % HISTORY_COARSE_STEP_S;
    if (before_time >= end && before_time != 0)
        return;
    if (memory.coarse_begun && series_between(&memory.coarse_begin, after, values)) {
        series_levels_put(&memory.coarse_levels, values);
        put_row(&memory.coarse, end, values);
    }
    memory.coarse_begin = *after;
    memory.coarse_begun = true;
    memset(&memory.coarse_levels, 0, sizeof memory.coarse_levels);
}

/* After a gap ten seconds begin anew, in their middle. */
static void begin_anew(const struct series_look *look)
{
    memory.coarse_begin = *look;
    memory.coarse_begun = true;
    memset(&memory.coarse_levels, 0, sizeof memory.coarse_levels);
}

static void remember(const struct look *before, const struct look *after, int64_t time)
{
    double values[SERIES_NUMBER];
    bool comparable = series_between(&before->series, &after->series, values);
    bool gap = after->series.at_ns - before->series.at_ns > GAP_NS;
    if (comparable)
        count_slo(&before->series, &after->series);
    if (!comparable || gap) {
        begin_anew(&after->series);
        return;
    }
    put_row(&memory.fine, time, values);
    components_between(&before->components, &after->components, values,
                       (float(*)[CELL_VALUES])ring_put(&memory.components, time));
    series_levels_add(&memory.coarse_levels, values);
    put_coarse(&after->series, memory.last_time, time);
}

static void forget_after(int64_t time)
{
    ring_forget_after(&memory.fine, time);
    ring_forget_after(&memory.coarse, time);
    ring_forget_after(&memory.components, time);
}

static void sample(int64_t time)
{
    static struct board board;
    unsigned next = memory.newest ^ 1u;
    struct look *after = &memory.look[next];
    /* The same second again: the clock was set back by less than one. last_time is ours to read. */
    if (time == memory.last_time || !region_read_board(memory.child->region, &board))
        return;
    series_look(&after->series, memory.child->region, &board, clock_now_ns());
    components_look(&after->components, memory.child->region, &board, after->series.at_ns);
    pthread_mutex_lock(&memory.lock);
    if (time < memory.last_time)
        forget_after(time - 1);
    if (memory.looked) {
        remember(&memory.look[memory.newest], after, time);
    } else {
        memory.slo_origin_ns = after->series.at_ns;
        memory.slo_second = SLO_ORIGIN;
        memory.first_time = time;
        begin_anew(&after->series);
    }
    memory.last_time = time;
    memory.workers = slot_view_worker_slots(&board);
    memory.newest = next;
    memory.looked = true;
    pthread_mutex_unlock(&memory.lock);
}

static void *sample_every_second(void *unused)
{
    (void)unused;
    sample((int64_t)(clock_wall_ns() / NS_PER_S));
    for (;;) {
        uint64_t left_ns = NS_PER_S - clock_wall_ns() % NS_PER_S + AFTER_TICK_NS;
        uint64_t wake_ns = clock_now_ns() + left_ns;
        for (uint64_t now_ns; (now_ns = clock_now_ns()) < wake_ns;)
            if (history_sleep((unsigned)((wake_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS)))
                return NULL;
        sample((int64_t)(clock_wall_ns() / NS_PER_S));
    }
}

/* ---- life ---------------------------------------------------------------------------------- */

static bool start_thread(pthread_t *thread, void *(*body)(void *))
{
    errno = pthread_create(thread, NULL, body, NULL);
    return errno == 0;
}

bool history_start(struct child *child)
{
    pthread_t sampler;
    memory.child = child;
    pthread_cond_init(&memory.wake, NULL);
    if (!ring_make(&memory.fine, 1, HISTORY_FINE_ROWS, SERIES_NUMBER) ||
        !ring_make(&memory.coarse, HISTORY_COARSE_STEP_S, HISTORY_COARSE_ROWS, SERIES_NUMBER) ||
        !ring_make(&memory.components, 1, HISTORY_COMPONENT_ROWS, COMPONENTS_MAX * CELL_VALUES)) {
        errno = ENOMEM;
        return false;
    }
    return start_thread(&sampler, sample_every_second) && history_writer_start(child);
}

void history_stop(unsigned limit_ms)
{
    pthread_mutex_lock(&memory.lock);
    memory.stopping = true;
    pthread_cond_broadcast(&memory.wake);
    pthread_mutex_unlock(&memory.lock);
    history_writer_wait(limit_ms);
}
