/* SPDX-License-Identifier: MIT */
/*
 * One look at the database: are the files those in use, can they be opened, read and written, is
 * there room. It finds facts and a sentence of evidence; what is to be thought of them is the
 * supervisor's (verdict.c).
 */
#ifndef BULKHEAD_SENTINEL_PROBE_H
#define BULKHEAD_SENTINEL_PROBE_H

#include "supervisor/sentinel/handle.h"

struct prober {
    struct handle handle;
    struct board board;           /* the newest copy that could be had */
    struct watch watch;           /* the look being made, then the last one */
    struct db_identity last_seen; /* the files at the last look */
    uint64_t commits;             /* of everybody else, at the last look */
    int64_t file_size;            /* of app.db at the last good look … */
    uint64_t file_inode;          /* … and which file that was */
    bool lock_is_gone;            /* told: DATADIR/lock is not the one we hold */
};

void prober_init(struct prober *prober, struct child *child);

/* Look at everything and publish it. May block as long as the disk does. */
void prober_look(struct prober *prober);

/* Whether a full look is due at once: a file is not what it was, or handles must be renewed. */
bool prober_has_news(const struct prober *prober);

#endif
