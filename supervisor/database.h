/* SPDX-License-Identifier: MIT */
/*
 * What the supervisor knows of the database and does about it: it takes in the sentinel's looks,
 * raises and lifts the fence, and drives the two phases in which all handles are opened anew.
 * It never touches a file of the database; what is to be thought is verdict.c's, when to let go is
 * reopen.c's.
 */
#ifndef BULKHEAD_SUPERVISOR_DATABASE_H
#define BULKHEAD_SUPERVISOR_DATABASE_H

#include <stdint.h>

#include "supervisor/reopen.h"
#include "supervisor/verdict.h"

struct supervisor;

struct database_record {
    struct verdict verdict;
    struct reopen reopen;
    struct watch watch;               /* the newest look that could be read */
    struct db_identity identity;      /* the files in use; inode 0: to be found */
    struct db_identity before;        /* those let go of while they are to be found anew */
    bool identity_is_new;             /* learnt after workers had started */
    uint64_t epoch;                   /* as published */
    uint64_t event_id;                /* of the last change for the worse */
    uint64_t fsync_errors[SLOTS_MAX]; /* at the last step */
    int fsync_slot;                   /* where fsync failed last; negative: in several */
    uint64_t fsync_ns;                /* when; 0 never */
    uint64_t slow_step_ns;            /* when the step of a look began that takes long */
    uint64_t reads;                   /* answered in the fleet since then, as seen last */
    uint64_t reads_grew_ns;
};

void database_init(struct supervisor *supervisor, uint64_t now_ns);

/* At every tick, before slots are settled. */
void database_step(struct supervisor *supervisor, uint64_t now_ns);

/* Put what is known on the private board; after the board was published, tell who opened before the
 * identity was known. */
void database_show(struct supervisor *supervisor);
void database_published(struct supervisor *supervisor);

#endif
