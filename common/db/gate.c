/* SPDX-License-Identifier: MIT */
/*
 * The gate's mutex. libc only: the supervisor links this file, and SQLite must not come with it.
 *
 * Invariants: the slot says HOLDING only while this process has the mutex, so at most one slot
 * does; it stops saying so before the mutex is let go. A slot that met a broken mutex goes on
 * saying WAITING, since when it first did: that is what the supervisor acts upon. A process that
 * dies with the mutex leaves nothing to put right: SQLite ignores frames without a commit, so the
 * next owner just goes on.
 */
#include "common/db/gate.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
/* GCC 12's ThreadSanitizer does not know pthread_mutex_clocklock; it must be told that the mutex is
 * ours, or it takes every unlock for a mistake. */
static void tell_sanitizer(pthread_mutex_t *mutex, int error)
{
    if (error == 0 || error == EOWNERDEAD) {
        __tsan_mutex_pre_lock(mutex, 0);
        __tsan_mutex_post_lock(mutex, 0, 0);
    }
}
#else
static void tell_sanitizer(pthread_mutex_t *mutex, int error)
{
    (void)mutex;
    (void)error;
}
#endif

void gate_init(struct gate *gate)
{
    pthread_mutexattr_t attributes;
    memset(gate, 0, sizeof *gate);
    CHECK(pthread_mutexattr_init(&attributes) == 0);
    CHECK(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0);
    CHECK(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0);
    CHECK(pthread_mutex_init(&gate->mutex, &attributes) == 0);
    pthread_mutexattr_destroy(&attributes);
}

static void mark(struct slot *slot, enum gate_stage stage)
{
    atomic_store_explicit(&slot->gate_since_ns, clock_now_ns(), memory_order_relaxed);
    atomic_store_explicit(&slot->gate_stage, (uint32_t)stage, memory_order_release);
}

static void mark_waiting(struct slot *slot)
{
    if (atomic_load_explicit(&slot->gate_stage, memory_order_relaxed) != GATE_WAITING)
        mark(slot, GATE_WAITING);
}

/* What a lock call's answer means: 0, 1 (its owner had died) or a negative errno. */
static int judge(struct gate *gate, struct slot *slot, int error)
{
    bool owner_died = error == EOWNERDEAD;
    if (owner_died)
        error = pthread_mutex_consistent(&gate->mutex);
    switch (error) {
    case 0:
        mark(slot, GATE_HOLDING);
        return owner_died ? 1 : 0;
    case ETIMEDOUT:
    case EBUSY:
        mark(slot, GATE_NONE);
        return -error;
    default:
        mark_waiting(slot);
        return error == EINVAL ? -EINVAL : -ENOTRECOVERABLE;
    }
}

int gate_lock(struct gate *gate, struct slot *slot, uint64_t deadline_ns)
{
    struct timespec deadline = clock_timespec(deadline_ns);
    mark_waiting(slot);
    int error = pthread_mutex_clocklock(&gate->mutex, CLOCK_MONOTONIC, &deadline);
    tell_sanitizer(&gate->mutex, error);
    return judge(gate, slot, error);
}

int gate_try(struct gate *gate, struct slot *slot)
{
    return judge(gate, slot, pthread_mutex_trylock(&gate->mutex));
}

void gate_mark_commit(struct slot *slot)
{
    mark(slot, GATE_IN_COMMIT);
}

void gate_mark_progress(struct slot *slot)
{
    if (atomic_load_explicit(&slot->gate_stage, memory_order_relaxed) == GATE_HOLDING)
        atomic_store_explicit(&slot->gate_since_ns, clock_now_ns(), memory_order_relaxed);
}

void gate_unlock(struct gate *gate, struct slot *slot)
{
    mark(slot, GATE_NONE);
    if (pthread_mutex_unlock(&gate->mutex) != 0) /* written over meanwhile: as if found broken */
        mark_waiting(slot);
}
