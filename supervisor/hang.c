/* SPDX-License-Identifier: MIT */
#include "supervisor/hang.h"

#include <stdio.h>

#include "common/clock.h"
#include "supervisor/fault_desk.h"
#include "supervisor/journal.h"
#include "supervisor/proc_state.h"
#include "supervisor/slots.h"
#include "supervisor/supervisor.h"

/* A batch holds the gate for a quarter of a second at most. */
#define GATE_PATIENCE_NS   (500 * NS_PER_MS) /* with a holder that shows no life */
#define GATE_HELD_LIMIT_NS (2 * NS_PER_S)    /* with one that does */
#define LATE_NS            (2 * NS_PER_S)    /* beyond a request's deadline: its thread is stuck */
#define STALL_OVER_NS      (2 * NS_PER_S)    /* the slowest may need so much longer to get free */

/* Stages in which a thread waits for its client: never evidence against the worker. */
static bool waits_for_peer(unsigned stage)
{
    return stage == STAGE_IDLE || stage == STAGE_BETWEEN || stage == STAGE_READ_HEADER ||
           stage == STAGE_READ_BODY || stage == STAGE_WRITE_RESPONSE;
}

bool hang_fleet_is_stalled(const struct supervisor *supervisor, uint64_t now_ns)
{
    return now_ns < supervisor->stall_until_ns;
}

static bool somebody_commits(const struct supervisor *supervisor)
{
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        if (slot_is_alive(&supervisor->slots[i]) &&
            atomic_load_explicit(&region_slot(supervisor->region, i)->gate_stage,
                                 memory_order_relaxed) == GATE_IN_COMMIT)
            return true;
    return false;
}

/* Longer than this beyond the deadline of its own request, and not because of its client. */
static bool is_late(const struct thread_cell *cell, uint64_t beyond_ns, uint64_t now_ns,
                    unsigned *stage)
{
    uint64_t deadline = atomic_load_explicit(&cell->deadline_ns, memory_order_relaxed);
    *stage = atomic_load_explicit(&cell->stage, memory_order_relaxed);
    return atomic_load_explicit(&cell->in_request, memory_order_relaxed) && *stage < STAGE_COUNT &&
           !waits_for_peer(*stage) && deadline != 0 && now_ns >= deadline + beyond_ns &&
           now_ns <= deadline + 3600 * NS_PER_S;
}

static bool in_database(unsigned stage)
{
    return stage == STAGE_GATE || stage == STAGE_DB || stage == STAGE_COMMIT;
}

/* For the sentinel, and not just again. */
static bool database_is_well(const struct supervisor *supervisor, uint64_t now_ns)
{
    const struct verdict *verdict = &supervisor->database.verdict;
    return verdict->state == DB_STATE_UP && now_ns >= verdict->since_ns + LATE_NS;
}

/* ---- the whole fleet ------------------------------------------------------------------------ */

/* When more than half the fleet is stale at once, the machine was away, not the workers. */
static void notice_common_staleness(struct supervisor *supervisor, uint64_t now_ns)
{
    unsigned alive = 0, stale = 0;
    for (unsigned i = 0; i <= supervisor->config.workers; i++) {
        const struct slot_record *record = &supervisor->slots[i];
        if (record->state != SLOT_READY && record->state != SLOT_DEGRADED)
            continue;
        uint64_t beat_ns = atomic_load_explicit(&region_slot(supervisor->region, i)->heartbeat_ns,
                                                memory_order_relaxed);
        alive++;
        stale += now_ns > beat_ns + supervisor->config.hang_timeout_s * NS_PER_S;
    }
    if (alive > 1 && stale * 2 > alive && now_ns >= supervisor->trust_heartbeats_ns)
        supervisor->trust_heartbeats_ns = now_ns + DISTRUST_NS;
}

static bool is_late_in_database(const struct slot *slot, uint64_t beyond_ns, uint64_t now_ns)
{
    unsigned stage;
    for (unsigned i = 0; i < CELLS_MAX; i++)
        if (is_late(&slot->cell[i], beyond_ns, now_ns, &stage) && in_database(stage))
            return true;
    return false;
}

/* By its own evidence; a worker that has stopped asking has no thread left to be late. */
static bool has_open_breaker(const struct supervisor *supervisor, unsigned slot)
{
    for (unsigned d = 0; d < DEPENDENCY_COUNT; d++)
        if (supervisor->blame.past[slot].open[d] > 0)
            return true;
    return false;
}

static void notice_common_stall(struct supervisor *supervisor, uint64_t now_ns)
{
    unsigned alive = 0, waiting = 0, stuck = 0;
    for (unsigned i = 0; i <= supervisor->config.workers; i++) {
        const struct slot_record *record = &supervisor->slots[i];
        const struct slot *slot = region_slot(supervisor->region, i);
        if (record->state != SLOT_READY && record->state != SLOT_DEGRADED &&
            record->state != SLOT_DRAINING)
            continue;
        /* They do not get stuck in the same moment: once one is, late is enough for the others. */
        bool late = is_late_in_database(slot, 0, now_ns);
        alive++;
        waiting += late || has_open_breaker(supervisor, i);
        stuck += late && is_late_in_database(slot, LATE_NS, now_ns);
    }
    if (stuck == 0 || waiting < 2 || waiting * 2 < alive || !database_is_well(supervisor, now_ns))
        return;
    if (now_ns >= supervisor->stall_until_ns)
        journal(supervisor, EVENT_DB_STALLED, NULL, fault_desk_cause_of_database(supervisor),
                "%u of %u workers wait for the database beyond their deadlines, the sentinel "
                "does not: none is killed for it",
                waiting, alive);
    supervisor->stall_until_ns = now_ns + STALL_OVER_NS;
}

void hang_watch_fleet(struct supervisor *supervisor, uint64_t now_ns)
{
    notice_common_staleness(supervisor, now_ns);
    notice_common_stall(supervisor, now_ns);
}

/* ---- one child ------------------------------------------------------------------------------ */

/* A thread that is stuck for a reason of its own. */
static bool has_stuck_thread(const struct supervisor *supervisor, const struct slot *slot,
                             uint64_t now_ns, unsigned *stage, uint32_t *stuck)
{
    for (unsigned i = 0; i < CELLS_MAX; i++) {
        if (!is_late(&slot->cell[i], LATE_NS, now_ns, stage))
            continue;
        if (in_database(*stage) &&
            (!database_is_well(supervisor, now_ns) || hang_fleet_is_stalled(supervisor, now_ns) ||
             somebody_commits(supervisor)))
            continue; /* the stall is everybody's, or just over */
        *stuck = i;
        return true;
    }
    return false;
}

/* Age of a time a child wrote; one in the future is none of its own: as old as can be. */
static uint64_t age_of(uint64_t then_ns, uint64_t now_ns)
{
    if (then_ns > now_ns + NS_PER_S)
        return UINT64_MAX;
    return now_ns > then_ns ? now_ns - then_ns : 0;
}

/* Held while no statement of it goes on (gate_mark_progress): SQLite itself sleeps for up to 10 s
 * when its locks fail in a way it does not expect. Unless the database is well for the sentinel it
 * may be waiting for the disk. */
static bool clings_to_gate(const struct supervisor *supervisor, unsigned stage, uint64_t held_ns)
{
    enum db_state state = supervisor->database.verdict.state;
    return stage == GATE_HOLDING && held_ns > GATE_HELD_LIMIT_NS &&
           (state == DB_STATE_UP || state == DB_STATE_LOCKED);
}

/* The thread that has waited longest for a call of the database, in this stage since before
 * then_ns. NO_CELL: none. */
static uint32_t thread_in_database(const struct slot *slot, uint64_t then_ns)
{
    uint32_t found = NO_CELL;
    for (uint32_t i = 0; i < CELLS_MAX; i++) {
        uint64_t since_ns = atomic_load_explicit(&slot->cell[i].since_ns, memory_order_relaxed);
        if (atomic_load_explicit(&slot->cell[i].in_request, memory_order_relaxed) &&
            atomic_load_explicit(&slot->cell[i].stage, memory_order_relaxed) == STAGE_DB &&
            since_ns <= then_ns) {
            found = i;
            then_ns = since_ns;
        }
    }
    return found;
}

bool hang_found(const struct supervisor *supervisor, const struct slot_record *record,
                const struct slot *slot, uint64_t now_ns, struct hang *hang)
{
    const struct roster_entry *kind = &roster[record->kind];
    uint64_t beat_ns = atomic_load_explicit(&slot->heartbeat_ns, memory_order_relaxed);
    uint64_t gate_ns = atomic_load_explicit(&slot->gate_since_ns, memory_order_relaxed);
    unsigned gate = atomic_load_explicit(&slot->gate_stage, memory_order_relaxed), stage;
    uint64_t age_ns = age_of(beat_ns, now_ns), held_ns = age_of(gate_ns, now_ns);
    bool in_gate = gate == GATE_HOLDING || gate == GATE_IN_COMMIT, holds = kind->serves && in_gate;
    uint64_t limit_s = kind->hang_s ? kind->hang_s : supervisor->config.hang_timeout_s;
    hang->death = DEATH_HUNG;
    hang->cell = NO_CELL;
    /* Who holds the gate holds up every writer: much less patience with it. */
    if (age_ns > limit_s * NS_PER_S ||
        (holds && age_ns > GATE_PATIENCE_NS && held_ns > GATE_PATIENCE_NS)) {
        snprintf(hang->text, sizeof hang->text, "has shown no life for %.1f s%s",
                 (double)age_ns / (double)NS_PER_S, holds ? " while holding the gate" : "");
    } else if (in_gate && age_ns > GATE_HELD_LIMIT_NS && proc_is_stopped(record->pid)) {
        /* A helper may wait for the disk in the gate, but not for somebody's SIGCONT. */
        snprintf(hang->text, sizeof hang->text, "was stopped by a signal while holding the gate");
    } else if (holds && clings_to_gate(supervisor, gate, held_ns)) {
        hang->cell = thread_in_database(slot, now_ns - GATE_HELD_LIMIT_NS / 2);
        if (hang->cell != NO_CELL)
            hang->death = DEATH_LOCAL_DB_FAULT;
        snprintf(hang->text, sizeof hang->text, "has held the gate for %.1f s without a commit%s",
                 (double)held_ns / (double)NS_PER_S,
                 hang->cell != NO_CELL ? ": its call of the database does not return" : "");
    } else if (kind->serves && has_stuck_thread(supervisor, slot, now_ns, &stage, &hang->cell)) {
        if (stage == STAGE_DB) /* the verdict is up: it is not everybody's */
            hang->death = DEATH_LOCAL_DB_FAULT;
        snprintf(hang->text, sizeof hang->text, "has a thread stuck in %s beyond its deadline",
                 stage_name(stage));
    } else {
        return false;
    }
    return true;
}
