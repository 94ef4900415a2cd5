/* SPDX-License-Identifier: MIT */
#include "worker/liveness.h"

#include <signal.h>
#include <stddef.h>

#include "common/check.h"
#include "common/clock.h"

#define CRASH_STACK_BYTES (16 * 1024) /* beyond what any CPU saves of its registers */

static struct slot *own_slot;
/* The cell of the request this thread handles, NULL between requests and in other threads. A signal
 * handler reads it, so it must be there without being allocated. */
static _Thread_local struct thread_cell *cell __attribute__((tls_model("initial-exec")));

static void put32(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static void put64(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

void liveness_start(struct slot *slot)
{
    own_slot = slot;
    for (size_t i = 0; i < CELLS_MAX; i++) {
        put32(&slot->cell[i].in_request, 0);
        put64(&slot->cell[i].deadline_ns, 0);
        put32(&slot->cell[i].stage, STAGE_IDLE);
    }
    put64(&slot->open_requests, 0);
    gauge_set(&slot->metrics.http_inflight[0], 0);
    for (size_t class = 0; class < CLASS_COUNT; class ++) {
        gauge_set(&slot->metrics.bulkhead_inflight[class], 0);
        gauge_set(&slot->metrics.bulkhead_queued[class], 0);
    }
}

/* ---- crashes ------------------------------------------------------------------------------- */

static void mark_crash(int number, siginfo_t *info, void *context)
{
    (void)context;
    const struct thread_cell *own = cell;
    if (own)
        put32(&own_slot->crashed_cell, (uint32_t)(own - own_slot->cell) + 1);
    /* A fault happens again when we return, where it happened; a signal that was sent does not. */
    if (info->si_code <= 0)
        raise(number);
}

void liveness_mark_crashes(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    struct sigaction action = {.sa_sigaction = mark_crash,
                               .sa_flags =
                                   (int)(SA_SIGINFO | SA_RESETHAND | SA_NODEFER | SA_ONSTACK)};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
        struct sigaction before;
        if (sigaction(fatal[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(fatal[i], &action, NULL);
    }
}

/* A thread that overflows its stack has none left for the handler: once a thread, a stack of its
 * own for that. Memory is only taken when it is used. */
static void give_crash_stack(unsigned thread)
{
    static char stacks[CELLS_MAX][CRASH_STACK_BYTES];
    static _Thread_local bool given;
    stack_t before;
    if (given)
        return;
    given = true;
    if (sigaltstack(NULL, &before) == 0 && (before.ss_flags & SS_DISABLE))
        sigaltstack(&(stack_t){.ss_sp = stacks[thread], .ss_size = CRASH_STACK_BYTES}, NULL);
}

/* ---- requests ------------------------------------------------------------------------------ */

void liveness_begin(unsigned thread, uint64_t now_ns)
{
    CHECK(thread < CELLS_MAX);
    give_crash_stack(thread);
    cell = &own_slot->cell[thread];
    put32(&cell->stage, STAGE_HANDLE);
    put32(&cell->endpoint, ENDPOINT_MALFORMED);
    put64(&cell->since_ns, now_ns);
    put64(&cell->deadline_ns, 0);
    put32(&cell->in_request, 1);
    gauge_add(&own_slot->metrics.http_inflight[0], 1);
}

void liveness_request(enum endpoint endpoint, uint64_t deadline_ns)
{
    put32(&cell->endpoint, endpoint);
    put64(&cell->deadline_ns, deadline_ns);
}

static void change_stage(enum stage stage, uint64_t now_ns)
{
    uint32_t before = atomic_load_explicit(&cell->stage, memory_order_relaxed);
    uint64_t since_ns = atomic_load_explicit(&cell->since_ns, memory_order_relaxed);
    if (before < STAGE_COUNT && now_ns >= since_ns)
        histogram_record(&own_slot->metrics.request_stage[before], (now_ns - since_ns) / NS_PER_US);
    put64(&cell->since_ns, now_ns);
    put32(&cell->stage, stage);
}

void liveness_stage_at(enum stage stage, uint64_t now_ns)
{
    if (cell && atomic_load_explicit(&cell->stage, memory_order_relaxed) != stage)
        change_stage(stage, now_ns);
}

void liveness_stage(enum stage stage)
{
    if (cell && atomic_load_explicit(&cell->stage, memory_order_relaxed) != stage)
        change_stage(stage, clock_now_ns());
}

void liveness_end(uint64_t now_ns)
{
    change_stage(STAGE_BETWEEN, now_ns);
    put32(&cell->in_request, 0);
    put64(&cell->deadline_ns, 0);
    gauge_add(&own_slot->metrics.http_inflight[0], -1);
    cell = NULL;
}
