/* SPDX-License-Identifier: MIT */
#include "supervisor/routes.h"

#include "common/clock.h"
#include "supervisor/journal.h"
#include "supervisor/route_guard.h"
#include "supervisor/supervisor.h"

static uint64_t first_length_ns(const struct supervisor *supervisor)
{
    return supervisor->config.route_quarantine_s * NS_PER_S;
}

static void tell(struct supervisor *supervisor, unsigned endpoint, enum guard_change change,
                 uint64_t now_ns)
{
    const struct route_guard *guard = &supervisor->routes[endpoint];
    const char *method = endpoint_method(endpoint), *route = endpoint_route(endpoint);
    uint64_t cause = supervisor->route_event_id[endpoint];
    if (change == GUARD_NOW_SHUT)
        journal(supervisor, EVENT_ROUTE_QUARANTINED, NULL, cause,
                "%s %s: workers died of it: refused for %.0f s, then one trial", method, route,
                (double)(guard->until_ns - now_ns) / (double)NS_PER_S);
    else if (change == GUARD_NOW_OPEN)
        journal(supervisor, EVENT_ROUTE_RELEASED, NULL, cause,
                "%s %s: a worker survived one request: served again", method, route);
}

/* The deaths that led here were the route's: no slot is charged with them. */
static void forgive(struct supervisor *supervisor, const struct route_guard *guard)
{
    for (unsigned i = 0; i < guard->deaths; i++)
        restart_forgive(&supervisor->slots[guard->death[i].slot].record, guard->death[i].at_ns);
}

static void blame(struct supervisor *supervisor, struct slot_record *record, unsigned endpoint,
                  uint64_t now_ns)
{
    struct route_guard *guard = &supervisor->routes[endpoint];
    if (guard->state != GUARD_SHUT)
        supervisor->route_event_id[endpoint] = record->last_event_id;
    enum guard_change change =
        route_guard_death(guard, record->index, first_length_ns(supervisor), now_ns);
    record->excused = change == GUARD_NOW_SHUT || change == GUARD_KNOWN;
    if (change == GUARD_NOW_SHUT)
        forgive(supervisor, guard);
    tell(supervisor, endpoint, change, now_ns);
}

void routes_judge_death(struct supervisor *supervisor, struct slot_record *record, uint64_t now_ns)
{
    bool charged = restart_is_charged(record->last_death);
    unsigned blamed = ENDPOINT_COUNT;
    if (supervisor->config.route_quarantine_s == 0 || !roster[record->kind].serves)
        return;
    if (charged)
        blamed = route_guard_blame(&supervisor->report);
    supervisor->report.blamed_endpoint = blamed;
    if (blamed < ENDPOINT_COUNT)
        blame(supervisor, record, blamed, now_ns);
    for (unsigned i = 0; i < ENDPOINT_COUNT; i++) {
        struct route_guard *guard = &supervisor->routes[i];
        if (guard->state != GUARD_TRIAL || guard->slot != record->index ||
            guard->generation != record->generation)
            continue;
        /* It may have been taken since we last looked. */
        uint64_t said = atomic_load_explicit(
            &region_slot(supervisor->region, guard->slot)->route_trial[i], memory_order_relaxed);
        tell(supervisor, i, route_guard_listen(guard, said, first_length_ns(supervisor), now_ns),
             now_ns);
        if (guard->state != GUARD_TRIAL)
            continue; /* survived it long enough */
        supervisor->route_event_id[i] = record->last_event_id;
        enum guard_change change =
            route_guard_lost(guard, charged, first_length_ns(supervisor), now_ns);
        record->excused |= change == GUARD_NOW_SHUT;
        tell(supervisor, i, change, now_ns);
    }
}

/* ---- trials -------------------------------------------------------------------------------- */

static bool serves(const struct slot_record *record)
{
    return record->state == SLOT_READY || record->state == SLOT_DEGRADED;
}

/* The serving worker after the one that tried last. False when there is none. */
static bool pick_slot(const struct supervisor *supervisor, const struct route_guard *guard,
                      unsigned *slot)
{
    unsigned slots = (unsigned)supervisor->config.workers + 1;
    for (unsigned i = 1; i <= slots; i++) {
        *slot = (guard->slot + i) % slots;
        if (serves(&supervisor->slots[*slot]))
            return true;
    }
    return false;
}

/* A worker that is being killed is judged when it is buried. */
static bool is_there(const struct slot_record *record, uint32_t generation)
{
    return record->generation == generation &&
           (serves(record) || record->state == SLOT_DRAINING || record->state == SLOT_KILLING);
}

static void show(struct supervisor *supervisor, unsigned endpoint)
{
    const struct route_guard *guard = &supervisor->routes[endpoint];
    struct board_words *words = &supervisor->region->board.words;
    atomic_store_explicit(&words->route_until_ns[endpoint], guard->until_ns, memory_order_relaxed);
    atomic_store_explicit(&words->route[endpoint],
                          route_word(guard->state, guard->slot, guard->number),
                          memory_order_release);
}

static void step_one(struct supervisor *supervisor, unsigned endpoint, uint64_t now_ns)
{
    struct route_guard *guard = &supervisor->routes[endpoint];
    uint64_t first_ns = first_length_ns(supervisor);
    unsigned slot;
    if (guard->state == GUARD_TRIAL) {
        uint64_t said = atomic_load_explicit(
            &region_slot(supervisor->region, guard->slot)->route_trial[endpoint],
            memory_order_acquire);
        tell(supervisor, endpoint, route_guard_listen(guard, said, first_ns, now_ns), now_ns);
        if (!is_there(&supervisor->slots[guard->slot], guard->generation))
            route_guard_lost(guard, false, first_ns, now_ns);
    }
    if (route_guard_wants_trial(guard, now_ns) && pick_slot(supervisor, guard, &slot))
        route_guard_try(guard, slot, supervisor->slots[slot].generation, now_ns);
}

void routes_step(struct supervisor *supervisor, uint64_t now_ns)
{
    for (unsigned endpoint = 0; endpoint < ENDPOINT_COUNT; endpoint++) {
        if (supervisor->routes[endpoint].state != GUARD_OPEN)
            step_one(supervisor, endpoint, now_ns);
        show(supervisor, endpoint);
    }
}
