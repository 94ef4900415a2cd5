/* SPDX-License-Identifier: MIT */
#include "supervisor/reload.h"

#include "common/clock.h"
#include "supervisor/journal.h"
#include "supervisor/slots.h"
#include "supervisor/supervisor.h"

void reload_begin(struct supervisor *supervisor, int only_slot)
{
    struct reload *reload = &supervisor->reload;
    if (reload->active) {
        reload->again = true;
        return;
    }
    reload->active = true;
    reload->again = false;
    reload->round++;
    reload->only_slot = only_slot;
    reload->successor = reload->retiring = -1;
    reload->started_ns = clock_now_ns();
    reload->event_id = only_slot < 0 ? journal(supervisor, EVENT_RELOAD, NULL, 0,
                                               "replacing all workers, round %u", reload->round)
                                     : journal(supervisor, EVENT_RELOAD, NULL, 0,
                                               "replacing worker %d", only_slot);
}

static bool is_old(const struct supervisor *supervisor, unsigned slot)
{
    const struct slot_record *record = &supervisor->slots[slot];
    if (!record->wanted || record->round >= supervisor->reload.round)
        return false;
    return supervisor->reload.only_slot < 0 || supervisor->reload.only_slot == (int)slot;
}

/* The next worker of an older round, -1 when all are new. */
static int next_old(const struct supervisor *supervisor)
{
    for (unsigned i = 0; i <= supervisor->config.workers; i++)
        if (is_old(supervisor, i))
            return (int)i;
    return -1;
}

static int spare_slot(const struct supervisor *supervisor)
{
    for (unsigned i = 0; i <= supervisor->config.workers; i++)
        if (!supervisor->slots[i].wanted && supervisor->slots[i].state == SLOT_EMPTY)
            return (int)i;
    return -1;
}

static void finish(struct supervisor *supervisor, uint64_t now_ns, const char *outcome)
{
    struct reload *reload = &supervisor->reload;
    journal(supervisor, EVENT_RELOAD, NULL, reload->event_id, "%s after %.1f s", outcome,
            (double)(now_ns - reload->started_ns) / (double)NS_PER_S);
    reload->active = false;
    if (reload->again)
        reload_begin(supervisor, -1);
}

static void start_successor(struct supervisor *supervisor, uint64_t now_ns)
{
    struct reload *reload = &supervisor->reload;
    int spare = spare_slot(supervisor);
    if (spare < 0)
        return; /* a slot is still being emptied */
    struct slot_record *record = &supervisor->slots[spare];
    record->wanted = true;
    record->fill_reason = reload->only_slot < 0 ? RESTART_RELOAD : RESTART_OPERATOR;
    record->last_event_id = reload->event_id;
    reload->successor = spare;
    slot_take(supervisor, record, LIFE_FILL, now_ns);
}

static void watch_successor(struct supervisor *supervisor, uint64_t now_ns)
{
    struct reload *reload = &supervisor->reload;
    struct slot_record *record = &supervisor->slots[reload->successor];
    if (record->state == SLOT_STARTING)
        return;
    if (record->state == SLOT_READY || record->state == SLOT_DEGRADED) {
        reload->retiring = next_old(supervisor);
        reload->successor = -1;
        /* The old worker died meanwhile and was started anew: then the successor is one too many.
         */
        if (reload->retiring < 0)
            reload->retiring = (int)record->index;
        journal(supervisor, EVENT_DRAIN, &supervisor->slots[reload->retiring], reload->event_id,
                "a successor serves in slot %u", record->index);
        slot_drain(supervisor, &supervisor->slots[reload->retiring], ORDER_DRAIN, now_ns);
        return;
    }
    /* It died or hangs: the new generation is not better than the old one. */
    record->wanted = false;
    reload->successor = -1;
    slot_take(supervisor, record, LIFE_ASKED_TO_DIE, now_ns);
    finish(supervisor, now_ns,
           "abandoned: the new worker did not come to serve; the old ones stay");
}

void reload_step(struct supervisor *supervisor, uint64_t now_ns)
{
    struct reload *reload = &supervisor->reload;
    if (!reload->active)
        return;
    if (reload->successor >= 0) {
        watch_successor(supervisor, now_ns);
    } else if (reload->retiring >= 0) {
        if (!slot_is_alive(&supervisor->slots[reload->retiring]))
            reload->retiring = -1;
    } else if (next_old(supervisor) >= 0) {
        start_successor(supervisor, now_ns);
    } else {
        finish(supervisor, now_ns, "all replaced");
    }
}
