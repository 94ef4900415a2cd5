/* SPDX-License-Identifier: MIT */
/* What set-up decides, and its parts. */
#ifndef BULKHEAD_SENTINEL_SETUP_H
#define BULKHEAD_SENTINEL_SETUP_H

#include <stdbool.h>

#include "common/child.h"
#include "common/db/db.h"
#include "supervisor/sentinel/inspect.h"

/* What lies in a data directory. */
struct findings {
    struct inspection database;
    bool has_id;                     /* there is an app.id, whatever is in it */
    char id[40];                     /* "" when it cannot be read */
    bool has_sidecar[DB_FILE_COUNT]; /* [DB_FILE_WAL], [DB_FILE_SHM] */
};

enum setup_plan {
    SETUP_CREATE, /* nothing is there: make app.db and app.id */
    SETUP_ADOPT,  /* app.db is ours and has no app.id (a restored copy): write it */
    SETUP_KEEP,   /* all is there */
    SETUP_LEAVE,  /* app.db was moved or replaced: touch nothing, serve degraded */
    SETUP_REFUSE, /* a person must look first */
};

void setup_find(const struct db_paths *paths, struct findings *findings);

/* The decision, with one line in why for LEAVE and REFUSE. Pure. */
enum setup_plan setup_decide(const struct findings *findings, char *why, size_t why_size);

/* Make app.db whole, with a new random id, under a temporary name; then give it its name.
 * 0 and the id, or -1 and *error: nothing is left behind then. (create.c) */
int setup_create_database(const struct db_paths *paths, const char *data_dir, char id[40],
                          struct db_error *error);

/* The account `demo` and DATADIR/demo.txt (demo.c). 0, or -1 and *error. */
int setup_demo(sqlite3 *db, const char *data_dir, struct db_error *error);

#endif
