/* SPDX-License-Identifier: MIT */
#include "worker/circuit.h"

#include <stdio.h>

#include "common/backoff.h"
#include "common/clock.h"

static const char *seconds(char text[32], uint64_t ns)
{
    snprintf(text, 32, "%.1f s", (double)ns / (double)NS_PER_S);
    return text;
}

static struct slot_metrics *metrics_of(const struct circuit *circuit)
{
    return &circuit->child->slot->metrics;
}

/* ---- what others are told; the mutex is held ------------------------------------------------ */

static void show(struct circuit *circuit)
{
    struct breaker_part *part = &circuit->child->slot->breaker[circuit->dependency];
    struct breaker_public shown;
    breaker_show(&circuit->breaker, &shown);
    shown.since_wall_us = circuit->since_wall_us;
    change_publish(&part->change, &part->breaker, &shown, sizeof shown);
    gauge_set(&metrics_of(circuit)->circuit_breaker_state[circuit->dependency],
              (int64_t)shown.state);
    atomic_store_explicit(&circuit->held, shown.state == BREAKER_FORCED_OPEN, memory_order_relaxed);
}

/* What the verdict does to all breakers is the verdict's event, so being held is none of its own;
 * being let go is one for a breaker that was open before. */
static void report(const struct circuit *circuit, uint64_t opened_ns, uint64_t now_ns)
{
    const struct breaker *breaker = &circuit->breaker;
    const struct breaker_count *window = &breaker->window;
    const char *name = dependency_name(circuit->dependency);
    const char *reason = breaker_move_reason(breaker->move);
    char time[32];
    seconds(time, breaker->state == BREAKER_CLOSED ? now_ns - opened_ns
                                                   : breaker_wait_ns(breaker, now_ns));
    if (breaker->state == BREAKER_OPEN && breaker->failed_probes > 0)
        child_report(circuit->child, EVENT_BREAKER_OPEN, "%s is not called for another %s (%s)",
                     name, time, reason);
    else if (breaker->state == BREAKER_OPEN)
        child_report(circuit->child, EVENT_BREAKER_OPEN,
                     "%s is not called for %s: %u of %u calls failed, %u were slow (%s)", name,
                     time, window->failed, window->calls, window->slow, reason);
    else if (breaker->state == BREAKER_HALF_OPEN)
        child_report(circuit->child, EVENT_BREAKER_HALF_OPEN,
                     "%s is called once, to see whether it works (%s)", name, reason);
    else if (breaker->state == BREAKER_CLOSED && opened_ns > 0)
        child_report(circuit->child, EVENT_BREAKER_CLOSED, "%s is called again, after %s (%s)",
                     name, time, reason);
}

/* opened_ns: breaker.opened_ns before the move, which closing forgets. */
static void tell(struct circuit *circuit, uint64_t opened_ns, uint64_t now_ns)
{
    if (circuit->breaker.move == BREAKER_STAYS)
        return;
    counter_increment(
        &metrics_of(circuit)->circuit_breaker_moves[circuit->dependency][circuit->breaker.move]);
    circuit->since_wall_us = clock_wall_us();
    show(circuit);
    report(circuit, opened_ns, now_ns);
}

/* The board's word is read under the mutex: else one that read it earlier could undo what another
 * did on a later one. */
static void follow(struct circuit *circuit, uint64_t now_ns)
{
    uint64_t opened_ns = circuit->breaker.opened_ns;
    if (atomic_load_explicit(circuit->allowed, memory_order_acquire))
        breaker_release(&circuit->breaker, now_ns);
    else
        breaker_hold(&circuit->breaker, now_ns);
    tell(circuit, opened_ns, now_ns);
}

/* ---- public ---------------------------------------------------------------------------------- */

void circuit_init(struct circuit *circuit, struct child *child, enum dependency dependency)
{
    const struct config *config = &child->config;
    const struct board_words *words = &child->region->board.words;
    const struct breaker_part *part = &child->slot->breaker[dependency];
    const struct breaker_settings settings = {
        .window_s = (unsigned)config->breaker_window_s,
        .failure_pct = (unsigned)config->breaker_failure_pct,
        .min_calls = (unsigned)config->breaker_min_calls,
        .fast_window_s = (unsigned)config->breaker_fast_window_s,
        .permits = (unsigned)(dependency == DEPENDENCY_DB_READ ? config->bulkhead_read
                                                               : config->bulkhead_write),
        .open_ns = config->breaker_open_s * NS_PER_S,
    };
    struct breaker_public before;
    uint64_t now_ns = clock_now_ns();
    bool known = change_try(&part->change, &before, &part->breaker, sizeof before);
    bool accused = atomic_load(&words->last_death[child->slot_index]) == DEATH_LOCAL_DB_FAULT;
    *circuit = (struct circuit){
        .child = child,
        .dependency = dependency,
        .allowed = dependency == DEPENDENCY_DB_READ ? &words->db_readable : &words->db_writable,
        .random = now_ns + child->slot_index + ((uint64_t)dependency << 32),
        .since_wall_us = known && before.since_wall_us ? before.since_wall_us : clock_wall_us(),
    };
    pthread_mutex_init(&circuit->mutex, NULL);
    breaker_adopt(&circuit->breaker, &settings, known ? &before : NULL, accused, now_ns);
    show(circuit);
    tell(circuit, known ? before.opened_ns : now_ns, now_ns);
}

bool circuit_enter(struct circuit *circuit, struct breaker_permit *permit, unsigned *retry_ms)
{
    pthread_mutex_lock(&circuit->mutex);
    uint64_t now_ns = clock_now_ns(), opened_ns = circuit->breaker.opened_ns;
    if (atomic_load_explicit(&circuit->held, memory_order_relaxed))
        follow(circuit, now_ns);
    bool admitted =
        breaker_acquire(&circuit->breaker, now_ns, random_next(&circuit->random), permit);
    tell(circuit, opened_ns, now_ns);
    if (!admitted)
        *retry_ms = (unsigned)(breaker_wait_ns(&circuit->breaker, now_ns) / NS_PER_MS);
    pthread_mutex_unlock(&circuit->mutex);
    return admitted;
}

void circuit_begin(struct circuit *circuit, struct breaker_permit permit)
{
    pthread_mutex_lock(&circuit->mutex);
    breaker_begin(&circuit->breaker, permit, clock_now_ns());
    pthread_mutex_unlock(&circuit->mutex);
}

void circuit_leave(struct circuit *circuit, struct breaker_permit permit,
                   enum breaker_result result)
{
    pthread_mutex_lock(&circuit->mutex);
    uint64_t now_ns = clock_now_ns(), opened_ns = circuit->breaker.opened_ns;
    breaker_record(&circuit->breaker, permit, result, now_ns, random_next(&circuit->random));
    tell(circuit, opened_ns, now_ns);
    pthread_mutex_unlock(&circuit->mutex);
}

enum breaker_result circuit_result_of(enum db_code code)
{
    switch (code) {
    case DB_CODE_OK:
        return BREAKER_SUCCESS;
    case DB_CODE_CONSTRAINT:  /* the request's own affair */
    case DB_CODE_UNAVAILABLE: /* the fence refused, or the files were about to change */
    case DB_CODE_IDENTITY:    /* everybody's, and the board's to judge */
        return BREAKER_IGNORED;
    default:
        return BREAKER_FAILURE;
    }
}

void circuit_follow(struct circuit *circuit)
{
    bool allowed = atomic_load_explicit(circuit->allowed, memory_order_acquire);
    if (allowed != atomic_load_explicit(&circuit->held, memory_order_relaxed))
        return;
    pthread_mutex_lock(&circuit->mutex);
    follow(circuit, clock_now_ns());
    pthread_mutex_unlock(&circuit->mutex);
}

void circuit_tick(struct circuit *circuit)
{
    circuit_follow(circuit);
    pthread_mutex_lock(&circuit->mutex);
    uint64_t now_ns = clock_now_ns(), opened_ns = circuit->breaker.opened_ns;
    breaker_tick(&circuit->breaker, now_ns, random_next(&circuit->random));
    tell(circuit, opened_ns, now_ns);
    show(circuit);
    pthread_mutex_unlock(&circuit->mutex);
}
