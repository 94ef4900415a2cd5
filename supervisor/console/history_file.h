/* SPDX-License-Identifier: MIT */
/*
 * DATADIR/metrics.db: rows of history that outlive the console. The console alone writes it, and
 * nothing else of the server opens it. Losing it loses history and nothing more, so nothing here is
 * worth an fsync (synchronous=OFF): a power failure may cost the file, a kill does not.
 *
 *   metrics_events(t INTEGER, step INTEGER, one REAL column for each series of metrics.def)
 *   UNIQUE(step, t)       t: seconds since 1970, the end of what the row speaks of
 *                         step: 1 for an hour, 10 for a day; NULL where there was nothing to say
 *
 * application_id says that it is ours and user_version is made of the series' names: a file of
 * other series, or one that is no such file or damaged, is renamed to metrics.db.aside (one is
 * kept) and a new one is made. A rollback journal and not WAL: one file when nobody writes, and no
 * second process that could checkpoint it.
 *
 * Errors are an enum; the file is closed after one that may last. No threads, no clock.
 */
#ifndef BULKHEAD_CONSOLE_HISTORY_FILE_H
#define BULKHEAD_CONSOLE_HISTORY_FILE_H

#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/series.h"

#define HISTORY_FILE_NAME "metrics.db"

struct history_file {
    char path[PATH_MAX];
    sqlite3 *db; /* NULL: closed */
    dev_t device;
    ino_t inode; /* of the file that is open */
    sqlite3_stmt *insert;
    bool damaged;    /* so it was found: the next opening sets it aside */
    char error[160]; /* of the last call that failed: cause, for people */
    char note[160];  /* what was set aside and why; "" nothing. The caller empties it. */
};

void history_file_init(struct history_file *file, const char *data_dir);

/* Open, or make, the file. True when it can be used; *fresh when it holds no rows of before. */
bool history_file_open(struct history_file *file, bool *fresh);

void history_file_close(struct history_file *file);

/* Whether the path still leads to the file that is open. */
bool history_file_is_there(const struct history_file *file);

/* Rows of a step later than `after` and not later than `until`, in their order, to take(). Stops
 * when take says false. False on an error. */
bool history_file_load(struct history_file *file, unsigned step, int64_t after, int64_t until,
                       bool (*take)(void *argument, unsigned step, int64_t time,
                                    const float values[SERIES_NUMBER]),
                       void *argument);

/* A transaction: begin, any number of rows and prunes, commit. After a false the transaction is
 * undone, and the file closed when the cause may be the file's. */
bool history_file_begin(struct history_file *file);
bool history_file_put(struct history_file *file, unsigned step, int64_t time,
                      const float values[SERIES_NUMBER]);
bool history_file_commit(struct history_file *file);

/* Delete a few of the rows of a step outside [oldest, newest]; a part of a transaction. */
bool history_file_prune(struct history_file *file, unsigned step, int64_t oldest, int64_t newest);

#endif
