/* SPDX-License-Identifier: MIT */
#include "supervisor/console/history.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/slot_view.h"
#include "supervisor/console/history_access.h"
#include "supervisor/console/history_writer.h"
#include "supervisor/console/memory.h"

#define AFTER_TICK_NS (2 * NS_PER_MS) /* into the second: the two clocks differ by less */

static struct {
    struct child *child;
    pthread_mutex_t lock; /* of what follows, but for the next look of memory */
    pthread_cond_t wake;
    bool stopping;
    struct memory memory;
} history = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void lock(void)
{
    pthread_mutex_lock(&history.lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&history.lock);
}

/* ---- what is asked ------------------------------------------------------------------------- */

static bool copy_row(const struct ring *ring, int64_t time, float *out)
{
    lock();
    const float *row = ring_get(ring, time);
    if (row)
        memcpy(out, row, ring->columns * sizeof *out);
    unlock();
    return row != NULL;
}

bool history_row(unsigned step, int64_t time, float values[SERIES_NUMBER])
{
    return copy_row(memory_ring(&history.memory, step), time, values);
}

bool history_components(int64_t time, float cells[COMPONENTS_MAX][CELL_VALUES])
{
    return copy_row(&history.memory.components, time, &cells[0][0]);
}

unsigned history_workers(void)
{
    lock();
    unsigned workers = history.memory.workers;
    unlock();
    return workers;
}

void history_slo(enum slo_objective objective, struct slo_verdict *verdict)
{
    lock();
    slo_judge(&history.memory.slo, history.memory.slo_second, objective, verdict);
    unlock();
}

/* ---- what the writer needs ----------------------------------------------------------------- */

int64_t history_last_time(void)
{
    lock();
    int64_t time = history.memory.last_time;
    unlock();
    return time;
}

bool history_sleep(unsigned limit_ms)
{
    struct timespec until = clock_timespec(clock_now_ns() + limit_ms * NS_PER_MS);
    lock();
    if (!history.stopping)
        pthread_cond_clockwait(&history.wake, &history.lock, CLOCK_MONOTONIC, &until);
    bool stopping = history.stopping;
    unlock();
    return stopping;
}

bool history_recall(unsigned step, int64_t time, const float values[SERIES_NUMBER])
{
    lock();
    memory_recall(&history.memory, step, time, values);
    bool go_on = !history.stopping;
    unlock();
    return go_on;
}

/* ---- looking ------------------------------------------------------------------------------- */

/* A board that cannot be read makes no look: its second is a gap. */
static void look(int64_t time)
{
    static struct board board;
    const struct region *region = history.child->region;
    struct look *next = memory_next_look(&history.memory);
    if (!region_read_board(region, &board))
        return;
    series_look(&next->series, region, &board, clock_now_ns());
    components_look(&next->components, region, &board, next->series.at_ns);
    lock();
    memory_take(&history.memory, time);
    history.memory.workers = slot_view_worker_slots(&board);
    unlock();
}

static void *look_every_second(void *unused)
{
    (void)unused;
    for (;;) {
        look((int64_t)(clock_wall_ns() / NS_PER_S));
        uint64_t left_ns = NS_PER_S - clock_wall_ns() % NS_PER_S + AFTER_TICK_NS;
        uint64_t wake_ns = clock_now_ns() + left_ns;
        for (uint64_t now_ns; (now_ns = clock_now_ns()) < wake_ns;)
            if (history_sleep((unsigned)((wake_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS)))
                return NULL;
    }
}

/* ---- life ---------------------------------------------------------------------------------- */

bool history_start(struct child *child)
{
    pthread_t thread;
    history.child = child;
    if (!memory_make(&history.memory)) {
        errno = ENOMEM;
        return false;
    }
    errno = pthread_create(&thread, NULL, look_every_second, NULL);
    return errno == 0 && pthread_detach(thread) == 0 && history_writer_start(child);
}

void history_stop(unsigned limit_ms)
{
    lock();
    history.stopping = true;
    pthread_cond_broadcast(&history.wake);
    unlock();
    history_writer_wait(limit_ms);
}
