/* SPDX-License-Identifier: MIT */
#include "supervisor/gate_reset.h"

#include "common/clock.h"
#include "common/db/gate.h"
#include "supervisor/journal.h"
#include "supervisor/slots.h"
#include "supervisor/supervisor.h"

static bool uses_gate(const struct slot_record *record)
{
    return roster[record->kind].rights & REGION_USES_GATE;
}

static struct gate_sight look_around(const struct supervisor *supervisor)
{
    struct gate_sight sight = {0};
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        const struct slot_record *record = &supervisor->slots[i];
        const struct slot *slot = region_slot(supervisor->region, i);
        sight.commits +=
            atomic_load_explicit(&slot->metrics.db_commits[0][0], memory_order_relaxed);
        if (!slot_is_alive(record) || !uses_gate(record))
            continue;
        unsigned stage = atomic_load_explicit(&slot->gate_stage, memory_order_relaxed);
        sight.held |= stage == GATE_HOLDING || stage == GATE_IN_COMMIT;
        /* A word of the process before would be no waiter; a holder is taken on trust. */
        sight.waiting +=
            stage == GATE_WAITING &&
            atomic_load_explicit(&slot->generation, memory_order_acquire) == record->generation;
    }
    return sight;
}

static void condemn_users(struct supervisor *supervisor, unsigned waiting, uint64_t now_ns)
{
    uint64_t event_id = journal(supervisor, EVENT_GATE_RESET, NULL, 0,
                                "nobody has held the write gate for %.1f s while %u wait for it: "
                                "its users are killed, it is made anew",
                                (double)GATE_STALL_NS / (double)NS_PER_S, waiting);
    supervisor->board.metrics.gate_resets[0][0]++;
    supervisor->gate_reset.active = true;
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        struct slot_record *record = &supervisor->slots[i];
        if (!slot_is_alive(record) || !uses_gate(record) || record->exited ||
            record->state == SLOT_KILLING)
            continue;
        record->killed_as = DEATH_GATE;
        record->last_event_id = event_id;
        slot_take(supervisor, record, LIFE_CONDEMNED, now_ns);
    }
}

static bool somebody_is_left(const struct supervisor *supervisor)
{
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        if (slot_is_alive(&supervisor->slots[i]) && uses_gate(&supervisor->slots[i]))
            return true;
    return false;
}

void gate_reset_step(struct supervisor *supervisor, uint64_t now_ns)
{
    struct gate_reset *reset = &supervisor->gate_reset;
    if (supervisor->life != LIFE_FIRST_LOOK && supervisor->life != LIFE_SERVING) {
        reset->active = false;
        return;
    }
    if (reset->active) {
        if (somebody_is_left(supervisor))
            return;
        gate_init(&supervisor->region->gate);
        *reset = (struct gate_reset){0};
        for (unsigned i = 0; i < SLOTS_MAX; i++) /* now, and not at the next tick */
            slot_settle(supervisor, &supervisor->slots[i], now_ns);
        return;
    }
    struct gate_sight sight = look_around(supervisor);
    if (gate_watch_look(&reset->watch, &sight, now_ns))
        condemn_users(supervisor, sight.waiting, now_ns);
}

bool gate_reset_holds(const struct supervisor *supervisor, const struct slot_record *record)
{
    return supervisor->gate_reset.active && uses_gate(record);
}
