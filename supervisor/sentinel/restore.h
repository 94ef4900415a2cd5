/* SPDX-License-Identifier: MIT */
/*
 * `sentinel --restore DATADIR FILE`: put a backup in the place of a stopped server's database.
 *
 * Invariant: after any step, and in the middle of any, a start of the server finds the old database
 * complete or the new one complete, and the steps can be begun anew from there.
 *
 * How: a file cannot be exchanged together with its -wal, so first the old -wal is moved into the
 * old app.db (MERGE); from then on the old database is app.db alone, and one rename(2) exchanges it
 * (REPLACE). app.id goes before and comes after: a database without it is adopted, one with another
 * id is taken for a foreign one.
 *
 * When the old app.db is damaged, foreign or gone there is nothing complete to keep: its files are
 * set aside as they are behind the new app.id, and until REPLACE the server would say `moved` and
 * create nothing. Never does a new app.db lie beside an old -wal with content: that would be
 * corruption.
 */
#ifndef BULKHEAD_SENTINEL_RESTORE_H
#define BULKHEAD_SENTINEL_RESTORE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/db/db.h"

#define RESTORE_STEPS(X)                                                                     \
    X(COPY)    /* FILE to app.db.restore, on the disk */                                     \
    X(VERIFY)  /* the copy: schema, id, quick_check */                                       \
    X(MERGE)   /* the old -wal into the old app.db */                                        \
    X(KEEP)    /* a second name for the old app.db, or its only one when it is not usable */ \
    X(ASIDE)   /* the old -wal and -shm */                                                   \
    X(FORGET)  /* app.id, unless nothing is in place */                                      \
    X(REPLACE) /* app.db.restore becomes app.db */                                           \
    X(ADOPT)   /* app.id of the new database */

#define X(name) RESTORE_##name,
enum restore_step { RESTORE_STEPS(X) RESTORE_STEP_COUNT };
#undef X

struct restore {
    char data_dir[320], source[4096];
    struct db_paths paths;            /* app.db … */
    char copy[330];                   /* app.db.restore */
    char aside[DB_FILE_COUNT][380];   /* app.db.before-restore-TIME … */
    char app_id[40];                  /* of FILE */
    bool old_exists, old_is_complete; /* after MERGE: app.db alone is the whole old database */
    bool step_failed_for_good;        /* FILE is at fault, not the moment */
    char error[512];
};

/* Set the names. 0, or -1 and restore->error. Touches nothing. */
int restore_begin(struct restore *restore, const char *data_dir, const char *file);

/* One step. 0, or -1 and restore->error; what was done before stays. */
int restore_take(struct restore *restore, enum restore_step step);

#endif
