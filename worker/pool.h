/* SPDX-License-Identifier: MIT */
/*
 * A pool of connections of one role: opened when first needed, closed when the supervisor's epoch
 * leaves them behind, counted while they are open. The pool of writers has one.
 *
 * Invariants
 *   - A connection has one user at a time, from pool_take to pool_give.
 *   - It is open with the files the board named when its epoch was current, or it is not open.
 *   - The supervisor lowers the fence before it changes the epoch, and here the epoch is read
 * before the fence, both under the pool's mutex: who sees the new epoch sees the fence, who saw the
 * old one is seen by pool_tick. So pool_tick never says "all closed" too early.
 */
#ifndef BULKHEAD_POOL_H
#define BULKHEAD_POOL_H

#include <pthread.h>

#include "common/db/db.h"
#include "worker/store.h"

#define POOL_MOST       64
#define STATEMENTS_MOST 24

/* What all connections of the worker share. */
struct database {
    struct child *child;
    struct slot_metrics *metrics;
    struct db_paths paths;
};

struct connection {
    sqlite3 *db;    /* NULL: not open */
    uint64_t epoch; /* it was opened in, or is being opened in */
    bool in_use;
    uint64_t deadline_ns;        /* readers: of the call being served */
    struct db_identity identity; /* of the files it has open */
    const struct database *database;
    sqlite3_stmt *statement[STATEMENTS_MOST];
};

struct pool {
    pthread_mutex_t mutex;
    const struct database *database;
    enum db_role role;
    unsigned count;
    struct connection connection[POOL_MOST];
};

/* The supervisor's epoch, and whether it lets calls of a role through: STORE_OK or what to answer.
 */
uint64_t database_epoch(const struct database *database);
enum store_result database_fence(const struct database *database, enum db_role role);

/* Count a failing call; OK is not counted. Count a call's time since start_ns. */
void database_count_error(const struct database *database, enum db_op op, enum db_code code);
void database_count_time(const struct database *database, enum db_op op, uint64_t start_ns);

/* What a failure means for the caller. */
enum store_result store_result_of(enum db_code code);

/* True when a connection that failed so must be opened anew before it is used again. */
bool failure_is_lasting(enum db_code code);

void pool_init(struct pool *pool, const struct database *database, enum db_role role,
               unsigned count);

/* Take a connection and open it where necessary; there must be one that is free (permits see to
 * it). STORE_OK and *connection; else what to answer and *code, and nothing was taken. */
enum store_result pool_take(struct pool *pool, struct connection **connection, enum db_code *code);

/* Give it back; it is closed when its epoch has passed. */
void pool_give(struct pool *pool, struct connection *connection);

/* Close the idle connections of other epochs. True when none of another epoch is left. */
bool pool_tick(struct pool *pool, uint64_t epoch);

/* Close all; nobody may have one. */
void pool_close(struct pool *pool);

/* Open a taken connection again, close it. connection_open: DB_CODE_OK or the code (counted). */
enum db_code connection_open(struct connection *connection, enum db_role role);
void connection_close(struct connection *connection);

/* The statement at an index, prepared from sql when first asked for. NULL: see sqlite3_errcode. */
sqlite3_stmt *connection_statement(struct connection *connection, unsigned index, const char *sql);

/* Done with it (NULL: nothing): reset, and let go of what was bound. */
void statement_done(sqlite3_stmt *statement);

#endif
