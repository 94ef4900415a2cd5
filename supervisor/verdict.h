/* SPDX-License-Identifier: MIT */
/*
 * What is to be thought of the database, from the sentinel's looks and from its silence. Pure.
 *
 * One look may err, so a state is left for a worse one after two bad looks (one, when the files
 * themselves are wrong: every further write would go to a file nobody will read) and for `up` after
 * three good ones. A look that never ends is news of the disk: `down` when it hangs in a read,
 * `slow` when it hangs in a write, because writers have deadlines and readers are well. A sentinel
 * that is stopped, or says nothing between looks, makes the verdict `unknown`, and on unknown
 * nobody is fenced: a dead watchman is no fire.
 */
#ifndef BULKHEAD_VERDICT_H
#define BULKHEAD_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/region.h"

#define LOOK_INTERVAL_NS (250 * NS_PER_MS)
#define LOOKS_MISSED     3 /* then the verdict is unknown */
#define HUNG_NS          (700 * NS_PER_MS)
#define SLOW_READ_US     (250 * US_PER_MS)
#define SLOW_WRITE_US    (500 * US_PER_MS)

/* What the configuration says of room. */
struct verdict_limits {
    uint64_t reserve_bytes;     /* of the disk, kept for emptying the log; at most 2 % of it */
    uint64_t wal_ceiling_bytes; /* a log of this size takes no more */
};

/* The look under way, as the supervisor sees it from outside. */
struct look_now {
    enum probe_step step;
    uint64_t since_ns;
    bool stopped;     /* the sentinel is held by a signal: its silence says nothing of the disk */
    bool fleet_works; /* workers get answers from the database: only the sentinel hangs */
};

struct verdict {
    enum db_state state;
    bool wal_full; /* with DB_STATE_FULL: the log is at its ceiling, the disk has room */
    uint64_t since_ns;
    uint64_t last_tick;    /* of the sentinel's last look taken in */
    uint64_t last_look_ns; /* when it was taken in */
    uint64_t hung_ns;      /* when a look was last seen hanging; 0 never */
    unsigned good_looks;   /* in a row */
    unsigned bad_looks;    /* in a row, of the same state */
    enum db_state suspected;
    char evidence[TEXT_MAX];
};

void verdict_init(struct verdict *verdict, uint64_t now_ns);

/* Take in the newest look (may be the old one again). True when the state changed. */
bool verdict_step(struct verdict *verdict, const struct watch *watch, const struct look_now *now,
                  const struct verdict_limits *limits, uint64_t now_ns);

/* What one look alone says, to a verdict that is `before`: who has run out of room has it again
 * only when there is a quarter more than needed, so that the verdict does not flutter. */
enum db_state verdict_of_look(const struct watch *watch, const struct verdict_limits *limits,
                              enum db_state before);

/* Somebody else than the sentinel saw something: enter `state` at once. True when that is news. */
bool verdict_accuse(struct verdict *verdict, enum db_state state, const char *evidence,
                    uint64_t now_ns);

/* What a state allows. Unknown allows both: local evidence decides. */
bool verdict_allows_reads(enum db_state state);
bool verdict_allows_writes(enum db_state state);

#endif
