/* SPDX-License-Identifier: MIT */
/*
 * A look at app.db that cannot change anything: the main file alone, read as if it were on a
 * read-only disc (immutable=1). No -wal is recovered or made, no lock is taken, so neither a
 * foreign file nor a running server is disturbed. What it tells (the id in table meta, the tables,
 * the version) was written before the file got its name and is never only in the -wal. The -wal is
 * read for one question: whether it has the pages a half-done checkpoint still owes the file.
 *
 * Not while this process has app.db open: closing the file would drop that connection's locks.
 */
#ifndef BULKHEAD_SENTINEL_INSPECT_H
#define BULKHEAD_SENTINEL_INSPECT_H

#include <stdbool.h>

#include "common/db/db.h"

enum inspect_kind {
    INSPECT_ABSENT,
    INSPECT_OURS,
    INSPECT_FOREIGN,    /* a database, but not of this program or of this version */
    INSPECT_DAMAGED,    /* not a database, or one that cannot be read */
    INSPECT_UNREADABLE, /* the system refuses: permissions, I/O, memory */
};

struct inspection {
    enum inspect_kind kind;
    char app_id[40];
    char text[160]; /* "app.db: …", why it is not ours */
};

void inspect_database(const struct db_paths *paths, struct inspection *inspection);

/* The name of a network file system that directory lies on, NULL when it is none: SQLite's -shm
 * is shared memory, which does not work between hosts, and their locks have lied before. */
const char *inspect_network_filesystem(const char *directory);

#endif
