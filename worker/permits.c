/* SPDX-License-Identifier: MIT */
#include "worker/permits.h"

#include <errno.h>

#include "common/clock.h"
#include "common/ewma.h"

/* Lies on the stack of the thread that waits; linked while it has no permit. */
struct permit_waiter {
    pthread_cond_t wake;
    bool granted;
    TAILQ_ENTRY(permit_waiter) link;
};

void permits_init(struct permits *permits, struct slot_metrics *numbers, enum request_class class,
                  bool with_gauges, unsigned count, unsigned waiting_most, uint64_t longest_wait_ns)
{
    *permits = (struct permits){
        .free = count,
        .count = count,
        .waiting_most = waiting_most,
        .longest_wait_ns = longest_wait_ns,
        .inflight = with_gauges ? &numbers->bulkhead_inflight[class] : NULL,
        .queued = with_gauges ? &numbers->bulkhead_queued[class] : NULL,
        .refused = numbers->refused[class],
    };
    pthread_mutex_init(&permits->mutex, NULL);
    TAILQ_INIT(&permits->waiters);
}

static void change(_Atomic int64_t *gauge, int64_t by)
{
    if (gauge)
        gauge_add(gauge, by);
}

/* Account for the permits in use until now; the mutex is held. */
static void account(struct permits *permits, uint64_t now_ns)
{
    if (now_ns <= permits->changed_ns) /* read before the mutex was had */
        return;
    permits->held_ns += (permits->count - permits->free) * (now_ns - permits->changed_ns);
    permits->changed_ns = now_ns;
}

/* Little's law: what all permits were held for between two returns is, on average, what one call
 * takes; so no call needs to carry its beginning. */
static void account_return(struct permits *permits, uint64_t now_ns)
{
    account(permits, now_ns);
    permits->service_ns = ewma_add(permits->service_ns, permits->held_ns);
    permits->held_ns = 0;
}

static bool would_wait_too_long(const struct permits *permits)
{
    return permits->waiting_most != PERMITS_NO_LIMIT && permits->waiting > 0 &&
           ewma_wait_ns(permits->service_ns, permits->waiting + 1, permits->count) >
               permits->longest_wait_ns;
}

/* Wait in line until the time is up. The mutex is held. */
static bool wait_for_grant(struct permits *permits, uint64_t until_ns)
{
    struct permit_waiter self = {.wake = PTHREAD_COND_INITIALIZER};
    struct timespec until = clock_timespec(until_ns);
    int error = 0;
    TAILQ_INSERT_TAIL(&permits->waiters, &self, link);
    permits->waiting++;
    change(permits->queued, 1);
    while (!self.granted && error != ETIMEDOUT)
        error = pthread_cond_clockwait(&self.wake, &permits->mutex, CLOCK_MONOTONIC, &until);
    if (!self.granted) /* who grants also unlinks */
        TAILQ_REMOVE(&permits->waiters, &self, link);
    permits->waiting--;
    change(permits->queued, -1);
    pthread_cond_destroy(&self.wake);
    return self.granted;
}

enum permit_result permits_take(struct permits *permits, uint64_t deadline_ns)
{
    enum permit_result result = PERMIT_TAKEN;
    enum refusal refusal = REFUSAL_FULL;
    uint64_t now_ns = clock_now_ns();
    pthread_mutex_lock(&permits->mutex);
    if (permits->free > 0) {
        account(permits, now_ns);
        permits->free--;
    } else if (permits->waiting >= permits->waiting_most) {
        result = PERMIT_REFUSED;
    } else if (would_wait_too_long(permits)) {
        result = PERMIT_REFUSED;
        refusal = REFUSAL_ESTIMATED;
    } else {
        bool limited = permits->waiting_most != PERMITS_NO_LIMIT;
        uint64_t until_ns = now_ns + permits->longest_wait_ns;
        bool own_time = !limited || deadline_ns < until_ns;
        if (!wait_for_grant(permits, own_time ? deadline_ns : until_ns)) {
            result = own_time ? PERMIT_DEADLINE : PERMIT_REFUSED;
            refusal = own_time ? REFUSAL_DEADLINE : REFUSAL_WAITED;
        }
    }
    pthread_mutex_unlock(&permits->mutex);
    if (result == PERMIT_TAKEN)
        change(permits->inflight, 1);
    else
        counter_increment(&permits->refused[refusal]);
    return result;
}

void permits_give(struct permits *permits)
{
    change(permits->inflight, -1);
    uint64_t now_ns = clock_now_ns();
    pthread_mutex_lock(&permits->mutex);
    account_return(permits, now_ns);
    struct permit_waiter *first = TAILQ_FIRST(&permits->waiters);
    if (first) {
        /* It passes from hand to hand: a newcomer cannot get between. */
        TAILQ_REMOVE(&permits->waiters, first, link);
        first->granted = true;
        pthread_cond_signal(&first->wake);
    } else {
        permits->free++;
    }
    pthread_mutex_unlock(&permits->mutex);
}
