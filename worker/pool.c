/* SPDX-License-Identifier: MIT */
#include "worker/pool.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/db/gate.h"
#include "common/db/schema.h"
#include "common/log.h"

/* How often a reader looks at the clock: virtual machine steps, some 10 µs. */
#define PROGRESS_STEPS 1000
#define WRITER_STEPS   4 /* between two of them a page or two are read, of each level of a tree */

uint64_t database_epoch(const struct database *database)
{
    return atomic_load_explicit(&database->child->region->board.words.db_epoch,
                                memory_order_acquire);
}

enum store_result database_fence(const struct database *database, enum db_role role)
{
    const struct board_words *words = &database->child->region->board.words;
    if (role == DB_READER)
        return atomic_load_explicit(&words->db_readable, memory_order_acquire) ? STORE_OK
                                                                               : STORE_UNAVAILABLE;
    if (atomic_load_explicit(&words->db_writable, memory_order_acquire))
        return STORE_OK;
    switch (atomic_load_explicit(&words->db_state, memory_order_relaxed)) {
    case DB_STATE_FULL:
        return atomic_load_explicit(&words->db_wal_full, memory_order_relaxed) ? STORE_WAL_FULL
                                                                               : STORE_DISK_FULL;
    case DB_STATE_READ_ONLY:
        return STORE_READ_ONLY;
    case DB_STATE_LOCKED:
        return STORE_LOCKED;
    default:
        return STORE_UNAVAILABLE;
    }
}

void database_count_error(const struct database *database, enum db_op op, enum db_code code)
{
    if (code != DB_CODE_OK)
        counter_increment(&database->metrics->db_errors[op][code]);
}

void database_count_time(const struct database *database, enum db_op op, uint64_t start_ns)
{
    histogram_record(&database->metrics->db_query_duration[op],
                     (clock_now_ns() - start_ns) / NS_PER_US);
}

enum store_result store_result_of(enum db_code code)
{
    switch (code) {
    case DB_CODE_OK:
        return STORE_OK;
    case DB_CODE_BUSY:
        return STORE_LOCKED;
    case DB_CODE_FULL:
        return STORE_DISK_FULL;
    case DB_CODE_READONLY:
        return STORE_READ_ONLY;
    case DB_CODE_INTERRUPT:
        return STORE_DEADLINE;
    case DB_CODE_CONSTRAINT:
        return STORE_REFUSED;
    default:
        return STORE_UNAVAILABLE;
    }
}

bool failure_is_lasting(enum db_code code)
{
    switch (code) {
    case DB_CODE_OK:
    case DB_CODE_BUSY:
    case DB_CODE_FULL:
    case DB_CODE_INTERRUPT:
    case DB_CODE_CONSTRAINT:
        return false;
    default:
        return true;
    }
}

/* Ends a reader's statement when its time is up or its epoch is over. */
static int reader_progress(void *argument)
{
    const struct connection *connection = argument;
    return clock_now_ns() > connection->deadline_ns ||
           database_epoch(connection->database) != connection->epoch;
}

/* On a disk that is slow for everybody a batch reads its pages for seconds, and is no hang. */
static int writer_progress(void *argument)
{
    const struct connection *connection = argument;
    gate_mark_progress(connection->database->child->slot);
    return 0;
}

/* What the board says the files are; false when no consistent copy could be had. */
static bool board_identity(const struct database *database, struct db_identity *identity)
{
    struct board *board = malloc(sizeof *board);
    bool known = board && region_read_board(database->child->region, board);
    if (known)
        *identity = board->identity;
    free(board);
    return known;
}

enum db_code connection_open(struct connection *connection, enum db_role role)
{
    const struct database *database = connection->database;
    struct db_error error = {.code = DB_CODE_UNAVAILABLE};
    uint64_t start_ns = clock_now_ns();
    if (!board_identity(database, &connection->identity))
        goto failed;
    /* Nobody has vouched for the files yet: at least the database must be the one of app.id. */
    if (connection->identity.inode[DB_FILE_MAIN] == 0)
        db_read_app_id_file(&database->paths, connection->identity.app_id);
    if (db_open(&database->paths, role, database->child->config.durability, &connection->identity,
                &connection->db, &error))
        goto failed;
    if (schema_check(connection->db, &error))
        goto failed;
    /* Before the supervisor has seen the files they are what was opened. */
    if (connection->identity.inode[DB_FILE_MAIN] == 0)
        db_identity_stat(&database->paths, &connection->identity);
    if (role == DB_READER)
        sqlite3_progress_handler(connection->db, PROGRESS_STEPS, reader_progress, connection);
    else
        sqlite3_progress_handler(connection->db, WRITER_STEPS, writer_progress, connection);
    database_count_time(database, DB_OP_OPEN, start_ns);
    if (database_epoch(database) == connection->epoch)
        return DB_CODE_OK;
    connection_close(connection); /* the files may be about to change */
    return DB_CODE_UNAVAILABLE;
failed:
    connection_close(connection);
    database_count_error(database, DB_OP_OPEN, error.code);
    log_event(LOG_DEBUG, "db_open_failed", LOG_FIELDS(log_text("code", db_code_name(error.code))),
              "%s", error.text);
    return error.code;
}

void connection_close(struct connection *connection)
{
    for (unsigned i = 0; i < STATEMENTS_MOST; i++)
        sqlite3_finalize(connection->statement[i]);
    memset(connection->statement, 0, sizeof connection->statement);
    db_close(connection->db);
    connection->db = NULL;
}

sqlite3_stmt *connection_statement(struct connection *connection, unsigned index, const char *sql)
{
    CHECK(index < STATEMENTS_MOST);
    if (!connection->statement[index])
        sqlite3_prepare_v3(connection->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
                           &connection->statement[index], NULL);
    return connection->statement[index];
}

void statement_done(sqlite3_stmt *statement)
{
    if (!statement) /* it could not be prepared */
        return;
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

void pool_init(struct pool *pool, const struct database *database, enum db_role role,
               unsigned count)
{
    CHECK(count <= POOL_MOST);
    *pool = (struct pool){.database = database, .role = role, .count = count};
    pthread_mutex_init(&pool->mutex, NULL);
    for (unsigned i = 0; i < count; i++)
        pool->connection[i].database = database;
}

/* A free one, open and of this epoch if there is such; the lowest, so that few are ever opened. */
static struct connection *choose(struct pool *pool, uint64_t epoch)
{
    struct connection *chosen = NULL;
    for (unsigned i = 0; i < pool->count; i++) {
        struct connection *connection = &pool->connection[i];
        if (connection->in_use)
            continue;
        if (connection->db && connection->epoch == epoch)
            return connection;
        if (!chosen)
            chosen = connection;
    }
    return chosen;
}

enum store_result pool_take(struct pool *pool, struct connection **connection, enum db_code *code)
{
    pthread_mutex_lock(&pool->mutex);
    uint64_t epoch = database_epoch(pool->database);
    enum store_result fence = database_fence(pool->database, pool->role);
    if (fence != STORE_OK) {
        pthread_mutex_unlock(&pool->mutex);
        *code = DB_CODE_UNAVAILABLE;
        return fence;
    }
    struct connection *chosen = choose(pool, epoch);
    CHECK(chosen);
    if (chosen->db && chosen->epoch != epoch)
        connection_close(chosen);
    chosen->epoch = epoch;
    chosen->in_use = true;
    pthread_mutex_unlock(&pool->mutex);

    *code = chosen->db ? DB_CODE_OK : connection_open(chosen, pool->role);
    if (*code != DB_CODE_OK) {
        pool_give(pool, chosen);
        return store_result_of(*code);
    }
    *connection = chosen;
    return STORE_OK;
}

void pool_give(struct pool *pool, struct connection *connection)
{
    pthread_mutex_lock(&pool->mutex);
    if (connection->db && connection->epoch != database_epoch(pool->database))
        connection_close(connection);
    connection->in_use = false;
    pthread_mutex_unlock(&pool->mutex);
}

bool pool_tick(struct pool *pool, uint64_t epoch)
{
    bool all_closed = true;
    pthread_mutex_lock(&pool->mutex);
    for (unsigned i = 0; i < pool->count; i++) {
        struct connection *connection = &pool->connection[i];
        if (connection->epoch == epoch)
            continue;
        if (connection->in_use)
            all_closed = false;
        else if (connection->db)
            connection_close(connection);
    }
    pthread_mutex_unlock(&pool->mutex);
    return all_closed;
}

void pool_close(struct pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    for (unsigned i = 0; i < pool->count; i++) {
        CHECK(!pool->connection[i].in_use);
        connection_close(&pool->connection[i]);
    }
    pthread_mutex_unlock(&pool->mutex);
}
