/* SPDX-License-Identifier: MIT */
/*
 * The one connection of a sentinel or keeper: which files it was opened on, when it must be let go
 * of, and how long its calls may wait. Invariant: while the board's epoch is another than the one
 * the handle was opened in, the handle is closed or about to be.
 */
#ifndef BULKHEAD_SENTINEL_HANDLE_H
#define BULKHEAD_SENTINEL_HANDLE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/child.h"
#include "common/db/db.h"

struct handle {
    struct child *child;
    struct db_paths paths;
    sqlite3 *db; /* NULL: closed */
    /* -shm once more, to ask who holds its locks (lock_holder.h); -1: none. Open beside the
     * database and closed after it: closing it earlier would drop every lock this process has
     * there. */
    int shm_fd;
    uint64_t epoch;
    struct db_identity opened; /* the files and the id at the first read; valid while db is open */
    /* Bounds of the calls that follow, monotonic. SQLite asks for them in its handlers. */
    uint64_t busy_until_ns; /* 0: a lock that is taken is not waited for */
    uint64_t stop_at_ns;    /* 0: statements are not interrupted */
};

/* Nothing is opened. Whatever an earlier process held is gone with it: the slot says so. */
void handle_init(struct handle *handle, struct child *child);

/* Open as db_open does, compare the schema, read the id. 0, or -1 and *error. */
int handle_open(struct handle *handle, enum db_role role, const struct db_identity *expected,
                struct db_error *error);

/* Every other connection of this process to app.db is closed already. */
void handle_close(struct handle *handle);

/* Whether the board asks for every handle to be opened anew. */
bool handle_is_outdated(const struct handle *handle);

/* Close, take the board's epoch, and tell the supervisor that nothing of the old one is open. */
void handle_renew(struct handle *handle);

/* Count a call that began at start_ns: its time, and its error when it has one. */
void handle_count(struct handle *handle, enum db_op op, enum db_code code, uint64_t start_ns);

#endif
