/* SPDX-License-Identifier: MIT */
/*
 * Which -wal and -shm may stay beside app.db when it is opened after every handle was let go of.
 * SQLite applies whatever valid -wal it finds, so one that belongs to another app.db is the end of
 * this one (sqlite.org/howtocorrupt.html, section 1.4). What must not stay is renamed, never
 * deleted: it may be all that is left of somebody's data.
 */
#ifndef BULKHEAD_SENTINEL_ORPHANS_H
#define BULKHEAD_SENTINEL_ORPHANS_H

#include <stdbool.h>

#include "common/db/db.h"

struct orphans {
    unsigned count;  /* set aside */
    char suffix[40]; /* ".orphan-<UTC time>" */
    char names[64];  /* of those set aside, or of the one that could not be */
};

/* Pure: must this sidecar go? `before` are the files let go of, `now` those that lie there. */
bool orphan_is(enum db_file sidecar, const struct db_identity *before,
               const struct db_identity *now);

/* Rename the orphans. 0, or the errno of the one named in orphans->names. */
int orphans_set_aside(const struct db_paths *paths, const struct db_identity *before,
                      const struct db_identity *now, struct orphans *orphans);

#endif
