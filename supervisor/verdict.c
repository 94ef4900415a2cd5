/* SPDX-License-Identifier: MIT */
#include "supervisor/verdict.h"

#include <stdio.h>

#include "common/clock.h"

#define GOOD_LOOKS 3
#define BAD_LOOKS  2

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

enum db_state verdict_of_look(const struct watch *watch)
{
    switch (watch->identity) {
    case IDENTITY_MISSING:
        return DB_STATE_MOVED;
    case IDENTITY_REPLACED:
    case IDENTITY_SIDECAR:
        return DB_STATE_REPLACED;
    default:
        break;
    }
    if (watch->open_code != DB_CODE_OK)
        return state_of_code(watch->open_code);
    if (watch->read_code != DB_CODE_OK)
        return watch->read_code == DB_CODE_BUSY ? DB_STATE_DOWN : state_of_code(watch->read_code);
    if (!watch->write_skipped && watch->write_code != DB_CODE_OK)
        return state_of_code(watch->write_code);
    return DB_STATE_UP;
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
                     uint64_t now_ns)
{
    verdict->good_looks = 0;
    verdict->bad_looks = seen == verdict->suspected ? verdict->bad_looks + 1 : 1;
    verdict->suspected = seen;
    bool files_wrong = seen == DB_STATE_MOVED || seen == DB_STATE_REPLACED;
    if (verdict->bad_looks < BAD_LOOKS && !files_wrong)
        return false;
    char evidence[TEXT_MAX];
    snprintf(evidence, sizeof evidence, "%.*s", TEXT_MAX - 1, watch->evidence);
    return enter(verdict, seen, evidence, now_ns);
}

bool verdict_step(struct verdict *verdict, const struct watch *watch, uint64_t now_ns)
{
    if (watch->tick == verdict->last_tick) {
        if (now_ns - verdict->last_look_ns <= (LOOKS_MISSED + 1) * LOOK_INTERVAL_NS)
            return false;
        verdict->good_looks = 0;
        return enter(verdict, DB_STATE_UNKNOWN, "the sentinel has not looked for a while", now_ns);
    }
    verdict->last_tick = watch->tick;
    verdict->last_look_ns = now_ns;
    enum db_state seen = verdict_of_look(watch);
    return seen == DB_STATE_UP ? take_good(verdict, now_ns)
                               : take_bad(verdict, seen, watch, now_ns);
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
