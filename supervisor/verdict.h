/* SPDX-License-Identifier: MIT */
/*
 * What is to be thought of the database, from the sentinel's looks. Pure.
 *
 * One look may err, so a state is left for a worse one after two bad looks (one, when the files
 * themselves are wrong: every further write would go to a file nobody will read) and for `up` after
 * three good ones. A sentinel that says nothing makes the verdict `unknown`, and on unknown nobody
 * is fenced: a dead watchman is no fire.
 */
#ifndef BULKHEAD_VERDICT_H
#define BULKHEAD_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/region.h"

#define LOOK_INTERVAL_NS (250 * NS_PER_MS)
#define LOOKS_MISSED     3 /* then the verdict is unknown */

struct verdict {
    enum db_state state;
    uint64_t since_ns;
    uint64_t last_tick;    /* of the sentinel's last look taken in */
    uint64_t last_look_ns; /* when it was taken in */
    unsigned good_looks;   /* in a row */
    unsigned bad_looks;    /* in a row, of the same state */
    enum db_state suspected;
    char evidence[TEXT_MAX];
};

void verdict_init(struct verdict *verdict, uint64_t now_ns);

/* Take in the newest look (may be the old one again). True when the state changed. */
bool verdict_step(struct verdict *verdict, const struct watch *watch, uint64_t now_ns);

/* What one look alone says. */
enum db_state verdict_of_look(const struct watch *watch);

/* What a state allows. Unknown allows both: local evidence decides. */
bool verdict_allows_reads(enum db_state state);
bool verdict_allows_writes(enum db_state state);

#endif
