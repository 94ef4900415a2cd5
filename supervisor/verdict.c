/* SPDX-License-Identifier: MIT */
#include "supervisor/verdict.h"

#include <stdio.h>

#define GOOD_LOOKS 3
#define BAD_LOOKS  2
#define MIB        1048576.0

#define HUNG_MEMORY_NS (5 * NS_PER_S) /* in which a killed sentinel's successor gets to hang */

void verdict_init(struct verdict *verdict, uint64_t now_ns)
{
    *verdict = (struct verdict){.state = DB_STATE_UNKNOWN,
                                .since_ns = now_ns,
                                .last_look_ns = now_ns,
                                .suspected = DB_STATE_UNKNOWN};
    snprintf(verdict->evidence, sizeof verdict->evidence, "not looked at yet");
}

/* The state one failed call points to. */
static enum db_state state_of_code(uint32_t code)
{
    switch (code) {
    case DB_CODE_BUSY:
        return DB_STATE_LOCKED;
    case DB_CODE_FULL:
        return DB_STATE_FULL;
    case DB_CODE_READONLY:
        return DB_STATE_READ_ONLY;
    case DB_CODE_CORRUPT:
    case DB_CODE_NOTADB:
        return DB_STATE_CORRUPT;
    case DB_CODE_INTERRUPT:
        return DB_STATE_SLOW;
    case DB_CODE_IDENTITY:
        return DB_STATE_REPLACED;
    default:
        return DB_STATE_DOWN;
    }
}

/* The least free space: what the configuration says, but never more than 2 % of a small disk. */
static uint64_t reserve(const struct watch *watch, const struct verdict_limits *limits)
{
    uint64_t share = watch->room_bytes / 50;
    return share < limits->reserve_bytes ? share : limits->reserve_bytes;
}

static bool disk_is_full(const struct watch *watch, const struct verdict_limits *limits,
                         enum db_state before)
{
    uint64_t least = reserve(watch, limits);
    if (watch->room_bytes == 0)
        return false;
    return watch->free_bytes < (before == DB_STATE_FULL ? least + least / 4 : least);
}

static bool log_is_full(const struct watch *watch, const struct verdict_limits *limits,
                        enum db_state before)
{
    uint64_t most = limits->wal_ceiling_bytes;
    if (most == 0)
        return false;
    return watch->wal_bytes >= (before == DB_STATE_FULL ? most - most / 4 : most);
}

enum db_state verdict_of_look(const struct watch *watch, const struct verdict_limits *limits,
                              enum db_state before)
{
    switch (watch->identity) {
    case IDENTITY_MISSING:
        return DB_STATE_MOVED;
    case IDENTITY_REPLACED:
    case IDENTITY_SIDECAR:
        return DB_STATE_REPLACED;
    case IDENTITY_HIDDEN:
        return DB_STATE_DOWN;
    default:
        break;
    }
    if (watch->open_code != DB_CODE_OK)
        return state_of_code(watch->open_code);
    if (watch->read_code != DB_CODE_OK)
        return watch->read_code == DB_CODE_BUSY ? DB_STATE_DOWN : state_of_code(watch->read_code);
    if (!watch->write_skipped && watch->write_code != DB_CODE_OK)
        return state_of_code(watch->write_code);
    if (disk_is_full(watch, limits, before) || log_is_full(watch, limits, before))
        return DB_STATE_FULL;
    if (watch->read_us > SLOW_READ_US || watch->write_us > SLOW_WRITE_US)
        return DB_STATE_SLOW;
    return DB_STATE_UP;
}

/* The sentinel says what it met; what only its numbers show is said here. */
static void write_evidence(char evidence[TEXT_MAX], enum db_state state, const struct watch *watch,
                           const struct verdict_limits *limits, enum db_state before)
{
    if (watch->evidence[0])
        snprintf(evidence, TEXT_MAX, "%.*s", TEXT_MAX - 1, watch->evidence);
    else if (state == DB_STATE_FULL && disk_is_full(watch, limits, before))
        snprintf(evidence, TEXT_MAX, "%.1f MiB of the disk are free; %.1f are kept (disk.reserve)",
                 (double)watch->free_bytes / MIB, (double)reserve(watch, limits) / MIB);
    else if (state == DB_STATE_FULL)
        snprintf(evidence, TEXT_MAX,
                 "the write-ahead log has %.1f MiB; %.1f are its most (wal.ceiling)",
                 (double)watch->wal_bytes / MIB, (double)limits->wal_ceiling_bytes / MIB);
    else if (state == DB_STATE_SLOW)
        snprintf(evidence, TEXT_MAX, "a read took %.0f ms, a write %.0f ms",
                 (double)watch->read_us / US_PER_MS, (double)watch->write_us / US_PER_MS);
    else
        snprintf(evidence, TEXT_MAX, "no evidence was given");
}

static bool enter(struct verdict *verdict, enum db_state state, const char *evidence,
                  uint64_t now_ns)
{
    snprintf(verdict->evidence, sizeof verdict->evidence, "%.*s", TEXT_MAX - 1, evidence);
    if (state == verdict->state)
        return false;
    verdict->state = state;
    verdict->since_ns = now_ns;
    return true;
}

static bool take_good(struct verdict *verdict, uint64_t now_ns)
{
    verdict->bad_looks = 0;
    verdict->suspected = DB_STATE_UP;
    verdict->good_looks++;
    /* Nothing bad is known of a database never judged: the first good look is enough. */
    if (verdict->good_looks < GOOD_LOOKS && verdict->state != DB_STATE_UNKNOWN)
        return false;
    return enter(verdict, DB_STATE_UP, "", now_ns);
}

static bool take_bad(struct verdict *verdict, enum db_state seen, const struct watch *watch,
                     const struct verdict_limits *limits, uint64_t now_ns)
{
    verdict->good_looks = 0;
    verdict->bad_looks = seen == verdict->suspected ? verdict->bad_looks + 1 : 1;
    verdict->suspected = seen;
    bool files_wrong = seen == DB_STATE_MOVED || seen == DB_STATE_REPLACED;
    if (verdict->bad_looks < BAD_LOOKS && !files_wrong)
        return false;
    char evidence[TEXT_MAX];
    write_evidence(evidence, seen, watch, limits, verdict->state);
    verdict->wal_full = seen == DB_STATE_FULL && watch->write_code == DB_CODE_OK &&
                        !disk_is_full(watch, limits, verdict->state);
    return enter(verdict, seen, evidence, now_ns);
}

bool verdict_accuse(struct verdict *verdict, enum db_state state, const char *evidence,
                    uint64_t now_ns)
{
    verdict->good_looks = 0;
    verdict->bad_looks = BAD_LOOKS;
    verdict->suspected = state;
    return enter(verdict, state, evidence, now_ns);
}

/* No new look has come. */
static bool take_silence(struct verdict *verdict, const struct look_now *now, uint64_t now_ns)
{
    uint64_t hung_ns = now_ns > now->since_ns ? now_ns - now->since_ns : 0;
    bool hangs = now->step > PROBE_RESTING && now->step <= PROBE_WRITE && hung_ns > HUNG_NS &&
                 now->since_ns != 0 && !now->stopped;
    if (hangs && !now->fleet_works) {
        static const char *const steps[] = {"", "looking at the files", "opening", "reading",
                                            "writing"};
        char evidence[TEXT_MAX];
        snprintf(evidence, sizeof evidence, "the sentinel hangs in %s app.db since %.1f s",
                 steps[now->step], (double)hung_ns / (double)NS_PER_S);
        verdict->hung_ns = now_ns;
        return verdict_accuse(verdict, now->step == PROBE_WRITE ? DB_STATE_SLOW : DB_STATE_DOWN,
                              evidence, now_ns);
    }
    /* A sentinel that was killed for hanging has a successor, who needs time to hang as well. */
    if (now_ns - verdict->last_look_ns <= (LOOKS_MISSED + 1) * LOOK_INTERVAL_NS ||
        (verdict->hung_ns && now_ns - verdict->hung_ns < HUNG_MEMORY_NS))
        return false;
    verdict->good_looks = 0;
    return enter(verdict, DB_STATE_UNKNOWN, "the sentinel has not looked for a while", now_ns);
}

bool verdict_step(struct verdict *verdict, const struct watch *watch, const struct look_now *now,
                  const struct verdict_limits *limits, uint64_t now_ns)
{
    if (watch->tick == verdict->last_tick)
        return take_silence(verdict, now, now_ns);
    verdict->last_tick = watch->tick;
    verdict->last_look_ns = now_ns;
    enum db_state seen = verdict_of_look(watch, limits, verdict->state);
    return seen == DB_STATE_UP ? take_good(verdict, now_ns)
                               : take_bad(verdict, seen, watch, limits, now_ns);
}

bool verdict_allows_reads(enum db_state state)
{
    switch (state) {
    case DB_STATE_MOVED:
    case DB_STATE_REPLACED:
    case DB_STATE_CORRUPT:
    case DB_STATE_DOWN:
        return false;
    default:
        return true;
    }
}

bool verdict_allows_writes(enum db_state state)
{
    switch (state) {
    case DB_STATE_UP:
    case DB_STATE_SLOW:
    case DB_STATE_UNKNOWN:
        return true;
    default:
        return false;
    }
}
