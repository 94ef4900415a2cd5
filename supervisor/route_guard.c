/* SPDX-License-Identifier: MIT */
#include "supervisor/route_guard.h"

#include <string.h>

/* A request that matched no route, or asks how we are, is refused by nobody. */
static bool can_be_shut(unsigned endpoint)
{
    if (endpoint >= ENDPOINT_COUNT)
        return false;
    enum request_class class = endpoint_class(endpoint);
    return class == CLASS_AUTH || class == CLASS_READ || class == CLASS_WRITE;
}

unsigned route_guard_blame(const struct death_report *report)
{
    unsigned only = ENDPOINT_COUNT;
    bool several = false;
    for (uint32_t i = 0; i < report->thread_count && i < CELLS_MAX; i++) {
        const struct death_thread *thread = &report->thread[i];
        if (!thread->in_request)
            continue;
        if (thread->cell == report->fatal_cell)
            return can_be_shut(thread->endpoint) ? thread->endpoint : ENDPOINT_COUNT;
        several |= only != ENDPOINT_COUNT && only != thread->endpoint;
        only = thread->endpoint;
    }
    /* A heart that stands still says nothing of the requests in flight, nor does a start that
     * took too long: what it waited for was a read of its own. */
    if (several || report->hung || report->class == DEATH_FAILED_TO_START ||
        report->fatal_cell != NO_CELL || !can_be_shut(only))
        return ENDPOINT_COUNT;
    return only;
}

static enum guard_change shut(struct route_guard *guard, uint64_t first_ns, uint64_t now_ns)
{
    if (guard->released_ns > 0 && now_ns > guard->released_ns + ROUTE_FORGET_NS)
        guard->shuts = 0;
    uint64_t length = first_ns;
    for (unsigned n = 0; n < guard->shuts && length < ROUTE_SHUT_CAP_NS; n++)
        length *= 2;
    if (length > ROUTE_SHUT_CAP_NS)
        length = ROUTE_SHUT_CAP_NS;
    guard->shuts++;
    guard->released_ns = 0;
    guard->state = GUARD_SHUT;
    guard->until_ns = now_ns + length;
    return GUARD_NOW_SHUT;
}

static void remember(struct route_guard *guard, unsigned slot, uint64_t now_ns)
{
    if (guard->deaths == ROUTE_DEATHS)
        memmove(&guard->death[0], &guard->death[1], sizeof guard->death - sizeof guard->death[0]);
    else
        guard->deaths++;
    guard->death[guard->deaths - 1] = (struct route_death){.at_ns = now_ns, .slot = slot};
}

enum guard_change route_guard_death(struct route_guard *guard, unsigned slot, uint64_t first_ns,
                                    uint64_t now_ns)
{
    if (guard->state == GUARD_SHUT)
        return GUARD_KNOWN;
    remember(guard, slot, now_ns);
    if (guard->state == GUARD_TRIAL)
        return shut(guard, first_ns, now_ns);
    if (guard->deaths < ROUTE_DEATHS || now_ns - guard->death[0].at_ns > ROUTE_WINDOW_NS)
        return GUARD_UNCHANGED;
    return shut(guard, first_ns, now_ns);
}

enum guard_change route_guard_lost(struct route_guard *guard, bool charged, uint64_t first_ns,
                                   uint64_t now_ns)
{
    if (guard->state != GUARD_TRIAL)
        return GUARD_UNCHANGED;
    if (charged && guard->taken_ns > 0)
        return shut(guard, first_ns, now_ns);
    guard->state = GUARD_SHUT; /* and due: the next look holds it again */
    guard->until_ns = now_ns;
    return GUARD_UNCHANGED;
}

bool route_guard_wants_trial(const struct route_guard *guard, uint64_t now_ns)
{
    if (guard->state == GUARD_SHUT)
        return now_ns >= guard->until_ns;
    return guard->state == GUARD_TRIAL && guard->taken_ns == 0 &&
           now_ns > guard->began_ns + ROUTE_TAKE_NS;
}

void route_guard_try(struct route_guard *guard, unsigned slot, uint32_t generation, uint64_t now_ns)
{
    guard->state = GUARD_TRIAL;
    guard->number++;
    guard->slot = slot;
    guard->generation = generation;
    guard->began_ns = now_ns;
    guard->taken_ns = guard->answered_ns = 0;
}

enum guard_change route_guard_listen(struct route_guard *guard, uint64_t said, uint64_t first_ns,
                                     uint64_t now_ns)
{
    if (guard->state != GUARD_TRIAL)
        return GUARD_UNCHANGED;
    bool answered = said == route_trial_answered(guard->number);
    if ((answered || said == route_trial_taken(guard->number)) && guard->taken_ns == 0)
        guard->taken_ns = now_ns;
    if (answered && guard->answered_ns == 0)
        guard->answered_ns = now_ns;
    if (guard->answered_ns > 0 && now_ns >= guard->answered_ns + ROUTE_SURVIVED_NS) {
        guard->state = GUARD_OPEN;
        guard->deaths = 0;
        guard->released_ns = now_ns;
        return GUARD_NOW_OPEN;
    }
    if (guard->answered_ns == 0 && guard->taken_ns > 0 &&
        now_ns > guard->taken_ns + ROUTE_ANSWER_NS)
        return shut(guard, first_ns, now_ns);
    return GUARD_UNCHANGED;
}
