/* SPDX-License-Identifier: MIT */
#include "supervisor/database.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/histogram.h"
#include "supervisor/fault_desk.h"
#include "supervisor/journal.h"
#include "supervisor/proc_state.h"
#include "supervisor/slots.h"
#include "supervisor/supervisor.h"

#define BYTES_PER_MIB   (UINT64_C(1) << 20)
#define FSYNC_MEMORY_NS (10 * NS_PER_S)
#define FLEET_WORKS     (500 * NS_PER_MS) /* a read answered within this time speaks for the disk */

/* ---- the fence ---------------------------------------------------------------------------- */

static bool is_readable(const struct database_record *database)
{
    return database->reopen.phase == REOPEN_SETTLED &&
           verdict_allows_reads(database->verdict.state);
}

static bool is_writable(const struct database_record *database)
{
    return database->reopen.phase == REOPEN_SETTLED &&
           verdict_allows_writes(database->verdict.state);
}

/* At once, before anything else is done. */
static void raise_fence(struct supervisor *supervisor)
{
    const struct database_record *database = &supervisor->database;
    struct board_words *words = &supervisor->region->board.words;
    atomic_store(&words->db_wal_full, database->verdict.wal_full);
    atomic_store(&words->db_state, (uint32_t)database->verdict.state);
    atomic_store(&words->db_closing, database->reopen.phase == REOPEN_CLOSING);
    if (!is_readable(database))
        atomic_store(&words->db_readable, 0);
    if (!is_writable(database))
        atomic_store(&words->db_writable, 0);
}

/* Only when the board names the files: who passes the fence opens what is named there. */
static void lift_fence(struct supervisor *supervisor)
{
    const struct database_record *database = &supervisor->database;
    struct board_words *words = &supervisor->region->board.words;
    atomic_store(&words->db_readable, is_readable(database));
    atomic_store(&words->db_writable, is_writable(database));
}

void database_init(struct supervisor *supervisor, uint64_t now_ns)
{
    verdict_init(&supervisor->database.verdict, now_ns);
    lift_fence(supervisor); /* nothing is known yet, and on nothing nobody is fenced */
}

/* ---- what is seen ------------------------------------------------------------------------- */

static uint64_t sum_errors(const struct slot *slot, enum db_op op)
{
    uint64_t sum = 0;
    for (unsigned code = 0; code < DB_CODE_COUNT; code++)
        sum += atomic_load_explicit(&slot->metrics.db_errors[op][code], memory_order_relaxed);
    return sum;
}

/* Reads the workers' database answered. */
static uint64_t reads_answered(const struct supervisor *supervisor)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < supervisor->config.workers + 1 && i < WORKER_SLOTS_MAX; i++) {
        const struct slot *slot = &supervisor->region->slots[i].slot;
        struct histogram_sum calls = {0};
        histogram_sum_add(&calls, &slot->metrics.db_query_duration[DB_OP_READ]);
        sum += calls.count - sum_errors(slot, DB_OP_READ);
    }
    return sum;
}

/* The look under way. Only one that takes long is looked into. */
static struct look_now look_now(struct supervisor *supervisor, uint64_t now_ns)
{
    struct database_record *database = &supervisor->database;
    const struct watch_part *part = &supervisor->region->watch;
    struct look_now now = {
        .step = (enum probe_step)atomic_load_explicit(&part->step, memory_order_acquire),
        .since_ns = atomic_load_explicit(&part->step_since_ns, memory_order_relaxed),
    };
    if (now.step == PROBE_RESTING || now_ns < now.since_ns + HUNG_NS / 2)
        return now;
    now.stopped = proc_is_stopped(supervisor->slots[HELPER_SLOT(HELPER_SENTINEL)].pid);
    uint64_t reads = reads_answered(supervisor);
    if (now.since_ns != database->slow_step_ns) /* what was answered before it hung says nothing */
        database->reads_grew_ns = 0;
    else if (reads != database->reads)
        database->reads_grew_ns = now_ns;
    database->slow_step_ns = now.since_ns;
    database->reads = reads;
    /* Whoever hangs in a write holds the gate: the reads of others say nothing of writes. */
    now.fleet_works = now.step != PROBE_WRITE && database->reads_grew_ns != 0 &&
                      database->reads_grew_ns + FLEET_WORKS > now_ns;
    return now;
}

static void take_look(struct supervisor *supervisor, uint64_t now_ns)
{
    struct database_record *database = &supervisor->database;
    const struct verdict before = database->verdict;
    const struct verdict_limits limits = {
        .reserve_bytes = supervisor->config.disk_reserve_mib * BYTES_PER_MIB,
        .wal_ceiling_bytes = supervisor->config.wal_ceiling_mib * BYTES_PER_MIB};
    struct look_now now = look_now(supervisor, now_ns);
    struct watch watch;
    if (change_try(&supervisor->region->watch.change, &watch, &supervisor->region->watch.watch,
                   sizeof watch))
        database->watch = watch; /* else the sentinel is in the way: the last look ages */
    database->watch.evidence[TEXT_MAX - 1] = '\0';
    verdict_step(&database->verdict, &database->watch, &now, &limits, now_ns);
    /* While handles are let go of there is nothing to be well, and silence lifts no fence: not from
     * files that are being changed, nor from some that were never found to be ours. */
    bool settled = database->reopen.phase == REOPEN_SETTLED;
    bool known = database->identity.inode[DB_FILE_MAIN] != 0 || verdict_allows_reads(before.state);
    if ((database->reopen.phase == REOPEN_CLOSING && database->verdict.state == DB_STATE_UP) ||
        (database->verdict.state == DB_STATE_UNKNOWN && (!settled || !known))) {
        database->verdict.state = before.state;
        database->verdict.since_ns = before.since_ns;
        database->verdict.good_looks = 0;
        memcpy(database->verdict.evidence, before.evidence, sizeof before.evidence);
    }
}

/* An fsync that failed: what it should have written may be gone from memory and disk alike
 * (the kernel forgets pages it could not write), so nobody builds on his cache. */
enum fsync_news {
    FSYNC_FINE = -1,
    FSYNC_SEVERAL = -2, /* slots; else the number of the one it failed in */
};

static int fsync_news(struct supervisor *supervisor)
{
    int news = FSYNC_FINE;
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        const struct slot *slot = &supervisor->region->slots[i].slot;
        uint64_t sum = 0;
        for (unsigned op = 0; op < DB_OP_COUNT; op++)
            sum += atomic_load_explicit(&slot->metrics.db_errors[op][DB_CODE_FSYNC],
                                        memory_order_relaxed);
        if (sum > supervisor->database.fsync_errors[i])
            news = news == FSYNC_FINE ? (int)i : FSYNC_SEVERAL;
        supervisor->database.fsync_errors[i] = sum;
    }
    return news;
}

/* ---- letting go ---------------------------------------------------------------------------- */

static bool uses_database(const struct slot_record *record)
{
    const struct roster_entry *kind = &roster[record->kind];
    return slot_is_alive(record) && (kind->rights & REGION_USES_GATE) && !kind->once;
}

static bool has_closed(const struct supervisor *supervisor, const struct slot_record *record)
{
    const struct slot *slot = &supervisor->region->slots[record->index].slot;
    return atomic_load(&slot->generation) == record->generation &&
           atomic_load(&slot->epoch_closed) >= supervisor->database.epoch;
}

static bool all_have_closed(const struct supervisor *supervisor)
{
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        if (uses_database(&supervisor->slots[i]) && !has_closed(supervisor, &supervisor->slots[i]))
            return false;
    return true;
}

/* Killed, and not held against it: its calls of the database do not return or do not work. */
static void condemn(struct supervisor *supervisor, struct slot_record *record, const char *why,
                    uint64_t now_ns)
{
    record->killed_as = DEATH_LOCAL_DB_FAULT;
    record->last_event_id =
        journal(supervisor, EVENT_WORKER_ACCUSED, record, supervisor->database.event_id, "%s", why);
    slot_take(supervisor, record, LIFE_CONDEMNED, now_ns);
}

static void kill_who_has_not_closed(struct supervisor *supervisor, uint64_t now_ns)
{
    uint64_t closing_ns = now_ns - supervisor->database.reopen.since_ns;
    if (now_ns < supervisor->trust_heartbeats_ns)
        return; /* everybody was stopped, we too */
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        struct slot_record *record = &supervisor->slots[i];
        if (!uses_database(record) || has_closed(supervisor, record) || record->exited ||
            record->state == SLOT_KILLING || closing_ns < roster[record->kind].close_s * NS_PER_S ||
            record->spawned_ns > supervisor->database.reopen.since_ns)
            continue;
        condemn(supervisor, record, "has not let go of the database in time", now_ns);
    }
}

static void close_handles(struct supervisor *supervisor)
{
    struct database_record *database = &supervisor->database;
    raise_fence(supervisor); /* before the epoch: who sees the new one sees that it is closing */
    database->epoch = atomic_fetch_add(&supervisor->region->board.words.db_epoch, 1) + 1;
    journal(supervisor, EVENT_DB_REOPEN, NULL, database->event_id,
            "every handle is closed and opened anew: %.100s", database->verdict.evidence);
}

static void seek(struct supervisor *supervisor)
{
    struct database_record *database = &supervisor->database;
    database->before = database->identity;
    database->identity = (struct db_identity){0};
    memcpy(database->identity.app_id, database->before.app_id, sizeof database->identity.app_id);
    database->verdict.good_looks = 0; /* looks at what is no longer open do not count */
}

static void adopt(struct supervisor *supervisor)
{
    struct database_record *database = &supervisor->database;
    database->identity = database->watch.seen;
    database->identity.app_id[sizeof database->identity.app_id - 1] = '\0';
    database->identity_is_new =
        supervisor->life == LIFE_SERVING && database->before.inode[DB_FILE_MAIN] == 0;
    database->before = (struct db_identity){0};
}

static void tell(struct supervisor *supervisor, enum db_state before)
{
    struct database_record *database = &supervisor->database;
    enum db_state state = database->verdict.state;
    supervisor->board.db_since_wall_us = clock_wall_us();
    /* The first look of all is no recovery. */
    if (state == DB_STATE_UP && (before != DB_STATE_UNKNOWN || database->event_id != 0))
        journal(supervisor, EVENT_DB_RECOVERED, NULL, database->event_id,
                "the database is up again, it was %s", db_state_name(before));
    else if (state != DB_STATE_UP)
        database->event_id = journal(
            supervisor, EVENT_DB_UNAVAILABLE, NULL, fault_desk_cause_of_database(supervisor),
            "the database is %s: %.110s", db_state_name(state), database->verdict.evidence);
}

/* The sentinel has found, opened and read files of ours, since it was asked to. */
static bool has_found_files(const struct database_record *database)
{
    return database->verdict.state != DB_STATE_UNKNOWN &&
           verdict_allows_reads(database->verdict.state) &&
           database->verdict.last_look_ns > database->reopen.since_ns &&
           database->watch.seen.inode[DB_FILE_MAIN] != 0 && database->watch.seen.app_id[0] != '\0';
}

/* Whether all handles must be opened anew for it. A second failure of the same worker soon after is
 * its own fault: the disk served everybody else meanwhile. */
static bool an_fsync_failed(struct supervisor *supervisor, uint64_t now_ns)
{
    struct database_record *database = &supervisor->database;
    int news = fsync_news(supervisor);
    if (news == FSYNC_FINE || database->reopen.phase != REOPEN_SETTLED)
        return false;
    bool again = news == database->fsync_slot && now_ns - database->fsync_ns < FSYNC_MEMORY_NS;
    database->fsync_slot = news;
    database->fsync_ns = now_ns;
    struct slot_record *record = news >= 0 ? &supervisor->slots[news] : NULL;
    if (!again || !record || !roster[record->kind].serves || !slot_is_alive(record) ||
        record->exited || record->state == SLOT_KILLING)
        return true;
    condemn(supervisor, record, "its fsync fails again and again, and nobody else's", now_ns);
    return false;
}

static void step_reopen(struct supervisor *supervisor, uint64_t now_ns)
{
    struct database_record *database = &supervisor->database;
    struct reopen_facts facts = {.state = database->verdict.state,
                                 .identity_known = database->identity.inode[DB_FILE_MAIN] != 0,
                                 .found = has_found_files(database)};
    facts.fsync_failed = an_fsync_failed(supervisor, now_ns);
    if (database->reopen.phase == REOPEN_CLOSING)
        facts.all_closed = all_have_closed(supervisor);
    if (facts.fsync_failed && database->reopen.phase == REOPEN_SETTLED && facts.identity_known) {
        enum db_state before = database->verdict.state;
        if (verdict_accuse(&database->verdict, DB_STATE_DOWN,
                           "an fsync failed: what was written may not be on the disk", now_ns))
            tell(supervisor, before);
    }
    switch (reopen_step(&database->reopen, &facts, now_ns)) {
    case REOPEN_CLOSE:
        close_handles(supervisor);
        break;
    case REOPEN_KILL:
        kill_who_has_not_closed(supervisor, now_ns);
        break;
    case REOPEN_OPEN:
        seek(supervisor);
        break;
    case REOPEN_ADOPT:
        adopt(supervisor);
        break;
    case REOPEN_NOTHING:
        break;
    }
}

/* ---- the step ------------------------------------------------------------------------------ */

void database_step(struct supervisor *supervisor, uint64_t now_ns)
{
    struct database_record *database = &supervisor->database;
    enum db_state before = database->verdict.state;
    take_look(supervisor, now_ns);
    if (database->verdict.state != before)
        tell(supervisor, before);
    step_reopen(supervisor, now_ns);
    raise_fence(supervisor);
}

void database_show(struct supervisor *supervisor)
{
    const struct database_record *database = &supervisor->database;
    struct board *board = &supervisor->board;
    board->db_state = database->verdict.state;
    board->wal_bytes = database->watch.wal_bytes;
    board->identity = database->identity;
    board->identity_before = database->before;
    memcpy(board->db_evidence, database->verdict.evidence, sizeof board->db_evidence);
}

void database_published(struct supervisor *supervisor)
{
    struct database_record *database = &supervisor->database;
    /* Who opened before the identity was known guards only the files it found: open anew, now that
     * the board says which are right. */
    if (database->identity_is_new)
        database->epoch = atomic_fetch_add(&supervisor->region->board.words.db_epoch, 1) + 1;
    database->identity_is_new = false;
    lift_fence(supervisor);
}
