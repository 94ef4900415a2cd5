/* SPDX-License-Identifier: MIT */
#include "supervisor/hang.h"

#include <stdio.h>

#include "common/clock.h"
#include "supervisor/proc_state.h"
#include "supervisor/slots.h"
#include "supervisor/supervisor.h"

/* A batch holds the gate for a quarter of a second at most. */
#define GATE_PATIENCE_NS   (500 * NS_PER_MS) /* with a holder that shows no life */
#define GATE_HELD_LIMIT_NS (2 * NS_PER_S)    /* with one that does */

/* Stages in which a thread waits for its client: never evidence against the worker. */
static bool waits_for_peer(unsigned stage)
{
    return stage == STAGE_IDLE || stage == STAGE_BETWEEN || stage == STAGE_READ_HEADER ||
           stage == STAGE_READ_BODY || stage == STAGE_WRITE_RESPONSE;
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

/* A thread 2 s beyond the deadline of its own request, for a reason of its own. */
static bool has_stuck_thread(const struct supervisor *supervisor, const struct slot *slot,
                             uint64_t now_ns, unsigned *stage, uint32_t *stuck)
{
    for (unsigned i = 0; i < CELLS_MAX; i++) {
        const struct thread_cell *cell = &slot->cell[i];
        uint64_t deadline = atomic_load_explicit(&cell->deadline_ns, memory_order_relaxed);
        *stage = atomic_load_explicit(&cell->stage, memory_order_relaxed);
        if (!atomic_load_explicit(&cell->in_request, memory_order_relaxed) ||
            *stage >= STAGE_COUNT || waits_for_peer(*stage) || deadline == 0 ||
            now_ns < deadline + 2 * NS_PER_S || now_ns > deadline + 3600 * NS_PER_S)
            continue;
        bool database = *stage == STAGE_GATE || *stage == STAGE_DB || *stage == STAGE_COMMIT;
        if (database && (supervisor->database.verdict.state != DB_STATE_UP ||
                         now_ns < supervisor->database.verdict.since_ns + 2 * NS_PER_S ||
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
