/* SPDX-License-Identifier: MIT */
/*
 * Opening app.db the only way this program opens it, and naming what went wrong. Every trap this
 * guards against is told in docs/architecture.md ("The database"). A connection belongs to one
 * thread at a time (SQLITE_OPEN_NOMUTEX). No process opens the path itself: stat(2) only, because
 * closing any descriptor of the file would drop SQLite's POSIX locks.
 */
#ifndef BULKHEAD_DB_H
#define BULKHEAD_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/region.h"

struct db_paths {
    char file[DB_FILE_COUNT][320]; /* app.db, app.db-wal, app.db-shm */
    char app_id[320];              /* DATADIR/app.id */
};

/* The paths in a data directory; symbolic links on the way to it are resolved. */
void db_paths_set(struct db_paths *paths, const char *data_dir);

enum db_role {
    DB_READER, /* query_only */
    DB_WRITER,
    DB_ADOPTER, /* turns WAL mode on: a restored copy has another one. Nobody else has it open */
    DB_CREATOR, /* set-up alone: may create the file as well */
};

struct db_error {
    enum db_code code;
    int sqlite_code; /* extended; 0 when it was not SQLite */
    char text[160];  /* one line, names the file and the cause */
};

/* Open app.db. `expected` is the board's identity: the three files are compared with it before the
 * open and after the first read, and so is the id in table meta; a difference is DB_CODE_IDENTITY.
 * NULL skips this; inode 0 of app.db the files, inode 0 of a sidecar that one, an empty app_id the
 * id.
 * Settings: WAL, PERSIST_WAL, wal_autocheckpoint 0, no checkpoint on closing, synchronous by
 * `durability`, mmap 0, trusted_schema off, DEFENSIVE, NOFOLLOW, foreign_keys on, temp_store
 * memory. Waits up to 250 ms for another process's recovery; afterwards there is no busy timeout.
 * Only DB_ADOPTER and DB_CREATOR set WAL mode; for the others another mode is an error, and so is a file that
 * SQLite can only read for a DB_WRITER (DB_CODE_READONLY).
 * 0 and *db, or -1 and *error. Close with db_close. */
int db_open(const struct db_paths *paths, enum db_role role, uint64_t durability,
            const struct db_identity *expected, sqlite3 **db, struct db_error *error);

void db_close(sqlite3 *db);

/* stat(2) of the three files; app_id is left empty. 0, or the first errno that is not "no such
 * file": then nothing is known of the files that seem to be missing. */
int db_identity_stat(const struct db_paths *paths, struct db_identity *identity);

/* Size of app.db-wal now; 0 when there is none. */
uint64_t db_wal_bytes(const struct db_paths *paths);

/* Compare the files now with those expected. IDENTITY_SAME when expected->inode[main] is 0. */
enum identity_verdict db_identity_check(const struct db_paths *paths,
                                        const struct db_identity *expected);

/* The random id: of table meta through a connection, of DATADIR/app.id. 0, or -1 (absent). */
int db_read_app_id(sqlite3 *db, char out[40]);
int db_read_app_id_file(const struct db_paths *paths, char out[40]);

/* The kind of a (possibly extended) SQLite result code. */
enum db_code db_code_of(int sqlite_code);

/* The same for the code the connection's last call returned: SQLite calls a write that the system
 * refused because the disk became read-only just an I/O error; errno tells. */
enum db_code db_code_of_call(sqlite3 *db, int sqlite_code);

/* Fill *error from the connection's last failure; `what` says what was tried. */
void db_error_from(struct db_error *error, sqlite3 *db, const char *what);

/* Run one statement without rows. 0 or the extended result code. */
int db_exec(sqlite3 *db, const char *sql);

#endif
