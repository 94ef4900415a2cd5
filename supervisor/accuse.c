/* SPDX-License-Identifier: MIT */
#include "supervisor/accuse.h"

#include "common/clock.h"
#include "supervisor/journal.h"
#include "supervisor/slots.h"
#include "supervisor/supervisor.h"

static void count(struct blame_counts *counts, const struct slot_metrics *numbers)
{
    for (unsigned op = 0; op < DB_OP_COUNT; op++) {
        const struct histogram *timed = &numbers->db_query_duration[op];
        counts->calls[op] = 0;
        for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
            counts->calls[op] += atomic_load_explicit(&timed->bucket[b], memory_order_relaxed);
        for (unsigned c = 0; c < DB_CODE_COUNT; c++)
            counts->failed[op][c] =
                atomic_load_explicit(&numbers->db_errors[op][c], memory_order_relaxed);
    }
    /* Opening is timed when it succeeds. */
    for (unsigned c = 0; c < DB_CODE_COUNT; c++)
        counts->calls[DB_OP_OPEN] += counts->failed[DB_OP_OPEN][c];
}

/* One that is being written to, or says what cannot be, is taken for closed. */
static void look_at_breakers(struct blame_breaker breaker[DEPENDENCY_COUNT],
                             const struct slot *slot)
{
    for (unsigned d = 0; d < DEPENDENCY_COUNT; d++) {
        struct breaker_public shown = {0};
        const struct breaker_part *part = &slot->breaker[d];
        if (!change_try(&part->change, &shown, &part->breaker, sizeof shown))
            shown.state = BREAKER_CLOSED;
        breaker[d].open = shown.state == BREAKER_OPEN || shown.state == BREAKER_HALF_OPEN;
        breaker[d].probe_failed = shown.failed_probes > 0;
    }
}

void accuse_step(struct supervisor *supervisor, uint64_t now_ns)
{
    static struct blame_sight sight[WORKER_SLOTS_MAX]; /* too large for the stack */
    char evidence[TEXT_MAX];
    if (now_ns < supervisor->blame.sample_ns + BLAME_SAMPLE_NS)
        return;
    struct blame_question question = {.sight = sight,
                                      .slots = (unsigned)supervisor->config.workers + 1,
                                      .workers = (unsigned)supervisor->config.workers,
                                      .db_up = supervisor->database.verdict.state == DB_STATE_UP,
                                      .db_since_ns = supervisor->database.verdict.since_ns};
    for (unsigned i = 0; i < question.slots; i++) {
        const struct slot_record *record = &supervisor->slots[i];
        sight[i].serves = record->state == SLOT_READY || record->state == SLOT_DEGRADED;
        sight[i].generation = record->generation;
        count(&sight[i].counts, &region_slot(supervisor->region, i)->metrics);
        look_at_breakers(sight[i].breaker, region_slot(supervisor->region, i));
    }
    int accused = blame_judge(&supervisor->blame, &question, now_ns, evidence, sizeof evidence);
    if (accused < 0)
        return;
    struct slot_record *record = &supervisor->slots[accused];
    record->killed_as = DEATH_LOCAL_DB_FAULT;
    record->last_event_id = journal(supervisor, EVENT_WORKER_ACCUSED, record, record->last_event_id,
                                    "%.140s", evidence);
    slot_take(supervisor, record, LIFE_CONDEMNED, now_ns);
}
