/* SPDX-License-Identifier: MIT */
/*
 * The reads, and the door to the writes. Two pools of readers: one for requests that read items,
 * and a small one for logins and the probe, so that slow reads keep nobody from logging in.
 */
#include "worker/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/db/fault_vfs.h"
#include "worker/circuit.h"
#include "common/deadline.h"
#include "worker/commit.h"
#include "worker/entrance.h"
#include "worker/liveness.h"
#include "worker/item_page.h"
#include "worker/permits.h"

#define WAITING_MOST       8
#define READ_WAIT_NS       (50 * NS_PER_MS)
#define WRITE_WAIT_NS      (200 * NS_PER_MS)
#define ACCOUNT_READERS    2
#define PROBE_LIMIT_NS     NS_PER_S
#define READ_BUSY_LIMIT_NS (200 * NS_PER_MS)
#define READ_RETRY_NS      (500 * NS_PER_US)

enum statement { PROBE, GET, LIST, FIND_USER };
static const char *const sql[] = {
    [PROBE] = "SELECT count(*) FROM probe",
    [GET] = "SELECT title, body, version, created_us, updated_us FROM items"
            " WHERE user_id = ?1 AND id = ?2",
    [LIST] = "SELECT id, title, version, created_us, updated_us FROM items"
             " WHERE user_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
    [FIND_USER] = "SELECT id, password FROM users WHERE name = ?1",
};

/* Readers with the permits to use them. */
struct readers {
    struct permits permits;
    struct pool pool;
    struct circuit *circuit; /* NULL: none stands before them */
};

/* The process's one store. */
static struct {
    struct database database;
    struct readers items, accounts;
    struct permits write_permits;
    struct committer committer;
    struct circuit circuit[DEPENDENCY_COUNT];
} store;

/* One read under way. */
struct reading {
    struct readers *readers;
    struct connection *connection;
    sqlite3_stmt *statement;
    struct store_cost *cost;
    struct breaker_permit permit; /* only of items */
    enum breaker_result verdict;
    uint64_t deadline_ns, start_ns;
    bool failed;
};

int store_start(struct child *child)
{
    struct slot_metrics *numbers = &child->slot->metrics;
    const struct config *config = &child->config;
    if (config->bulkhead_read > POOL_MOST)
        return -EINVAL;
    /* No count of its memory, which would cost a lock of the whole process at each allocation (this
     * SQLite has no lookaside). Refused when a connection is open already: then it counts. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if (config->faults_enabled)
        fault_vfs_install();
    store.database = (struct database){.child = child, .metrics = numbers};
    db_paths_set(&store.database.paths, child->region->header.data_dir);
    unsigned waiting_most =
        config->overload_shed == OVERLOAD_SHED_OFF ? PERMITS_NO_LIMIT : WAITING_MOST;
    permits_init(&store.items.permits, numbers, CLASS_READ, true, (unsigned)config->bulkhead_read,
                 waiting_most, READ_WAIT_NS);
    pool_init(&store.items.pool, &store.database, DB_READER, (unsigned)config->bulkhead_read);
    /* The compartment of logins has its own gauges; these permits only pair with the pool. */
    permits_init(&store.accounts.permits, numbers, CLASS_AUTH, false, ACCOUNT_READERS, waiting_most,
                 READ_WAIT_NS);
    pool_init(&store.accounts.pool, &store.database, DB_READER, ACCOUNT_READERS);
    permits_init(&store.write_permits, numbers, CLASS_WRITE, true, (unsigned)config->bulkhead_write,
                 waiting_most, WRITE_WAIT_NS);
    for (unsigned i = 0; i < DEPENDENCY_COUNT; i++)
        circuit_init(&store.circuit[i], child, i);
    store.items.circuit = &store.circuit[DEPENDENCY_DB_READ];
    committer_init(&store.committer, &store.database, &store.circuit[DEPENDENCY_DB_WRITE]);
    store_tick();
    return 0;
}

void store_tick(void)
{
    uint64_t epoch = database_epoch(&store.database);
    for (unsigned i = 0; i < DEPENDENCY_COUNT; i++)
        circuit_tick(&store.circuit[i]);
    bool closed = pool_tick(&store.items.pool, epoch);
    closed &= pool_tick(&store.accounts.pool, epoch);
    closed &= pool_tick(&store.committer.writer, epoch);
    if (closed)
        atomic_store_explicit(&store.database.child->slot->epoch_closed, epoch,
                              memory_order_release);
}

void store_stop(void)
{
    pool_close(&store.items.pool);
    pool_close(&store.accounts.pool);
    pool_close(&store.committer.writer);
}

/* ---- reads -------------------------------------------------------------------------------- */

/* Whether an interrupted read had a fair share of a read's time. Else its client would not wait, or
 * it had waited long elsewhere: no word against the database. */
static bool was_given_time(const struct reading *reading)
{
    uint64_t fair_ns = store.database.child->config.deadline_read_ms * NS_PER_MS / 2;
    if (fair_ns > BREAKER_SLOW_NS)
        fair_ns = BREAKER_SLOW_NS;
    return clock_now_ns() - reading->start_ns >= fair_ns;
}

/* A read's failure: what it means, and whether the connection survives it. */
static enum store_result reading_failed(struct reading *reading, enum db_code code)
{
    bool same_epoch = reading->connection->epoch == database_epoch(&store.database);
    reading->failed = failure_is_lasting(code);
    reading->cost->error = code;
    reading->verdict = circuit_result_of(code);
    if (code == DB_CODE_INTERRUPT && !(same_epoch && was_given_time(reading)))
        reading->verdict = BREAKER_IGNORED;
    database_count_error(&store.database, DB_OP_READ, code);
    /* Also interrupted when the files are about to change. */
    return code == DB_CODE_INTERRUPT && same_epoch ? STORE_DEADLINE : STORE_UNAVAILABLE;
}

static void leave_breaker(const struct reading *reading)
{
    if (reading->readers->circuit)
        circuit_leave(reading->readers->circuit, reading->permit, reading->verdict);
}

static void reading_end(struct reading *reading)
{
    statement_done(reading->statement);
    if (reading->failed)
        connection_close(reading->connection);
    pool_give(&reading->readers->pool, reading->connection);
    leave_breaker(reading);
    permits_give(&reading->readers->permits);
    uint64_t now_ns = clock_now_ns();
    reading->cost->db_us = (now_ns - reading->start_ns) / NS_PER_US;
    histogram_record(&store.database.metrics->db_query_duration[DB_OP_READ], reading->cost->db_us);
    liveness_stage_at(STAGE_HANDLE, now_ns);
}

/* Get a permit, a connection and a statement. STORE_OK: reading_end is owed. */
static enum store_result reading_begin(struct reading *reading, enum statement which)
{
    struct readers *readers = reading->readers;
    enum store_result result = entrance_take(&store.database, &readers->permits, DB_READER,
                                             readers == &store.items ? CLASS_READ : CLASS_AUTH,
                                             reading->deadline_ns, reading->cost);
    if (result != STORE_OK)
        return result;
    if (readers->circuit)
        result = entrance_ask(&store.database, readers->circuit, &reading->permit, reading->cost);
    if (result != STORE_OK) {
        permits_give(&readers->permits);
        liveness_stage(STAGE_HANDLE);
        return result;
    }
    reading->start_ns = clock_now_ns();
    liveness_stage_at(STAGE_DB, reading->start_ns);
    if (readers->circuit)
        circuit_begin(readers->circuit, reading->permit);
    result = pool_take(&readers->pool, &reading->connection, &reading->cost->error);
    if (result != STORE_OK) {
        reading->verdict = circuit_result_of(reading->cost->error);
        leave_breaker(reading);
        permits_give(&readers->permits);
        reading->cost->db_us = (clock_now_ns() - reading->start_ns) / NS_PER_US;
        liveness_stage(STAGE_HANDLE);
        return STORE_UNAVAILABLE; /* "locked" and "read-only" are no reasons to a reader */
    }
    reading->connection->deadline_ns = deadline_of_query(reading->deadline_ns, reading->start_ns);
    reading->statement = connection_statement(reading->connection, which, sql[which]);
    if (reading->statement)
        return STORE_OK;
    result = reading_failed(reading, db_code_of(sqlite3_extended_errcode(reading->connection->db)));
    reading_end(reading);
    return result;
}

/* The first step: SQLITE_ROW or SQLITE_DONE, else the failure. Only here may a reader meet a lock,
 * of a process that recovers the log. */
static int first_step(struct reading *reading)
{
    uint64_t until_ns = reading->start_ns + READ_BUSY_LIMIT_NS;
    const struct timespec pause = {.tv_nsec = (long)READ_RETRY_NS};
    if (reading->deadline_ns < until_ns)
        until_ns = reading->deadline_ns;
    for (;;) {
        int code = sqlite3_step(reading->statement);
        if (db_code_of(code) != DB_CODE_BUSY || clock_now_ns() >= until_ns)
            return code;
        sqlite3_reset(reading->statement);
        nanosleep(&pause, NULL);
    }
}

/* What a step's code means to a reader of one row. */
static enum store_result found(struct reading *reading, int code)
{
    if (code == SQLITE_ROW)
        return STORE_OK;
    return code == SQLITE_DONE ? STORE_NOT_FOUND : reading_failed(reading, db_code_of(code));
}

enum db_code store_probe(struct store_cost *cost)
{
    struct reading reading = {
        .readers = &store.accounts, .cost = cost, .deadline_ns = clock_now_ns() + PROBE_LIMIT_NS};
    enum store_result result = reading_begin(&reading, PROBE);
    if (result == STORE_OK) {
        result = found(&reading, first_step(&reading));
        reading_end(&reading);
    }
    if (result == STORE_OK || cost->error != DB_CODE_OK)
        return cost->error;
    return DB_CODE_BUSY; /* no permit in time: every reader is at work */
}

/* A copy of a text column; NULL for NULL. False when there is no memory. */
static bool copy_text(sqlite3_stmt *statement, int column, char **copy, size_t *length)
{
    *copy = NULL;
    *length = 0;
    if (sqlite3_column_type(statement, column) == SQLITE_NULL)
        return true;
    const void *text = sqlite3_column_text(statement, column);
    size_t bytes = (size_t)sqlite3_column_bytes(statement, column);
    char *made = text ? malloc(bytes + 1) : NULL;
    if (!made)
        return false;
    memcpy(made, text, bytes);
    made[bytes] = '\0';
    *copy = made;
    *length = bytes;
    return true;
}

enum store_result store_get(int64_t user_id, const char *id, uint64_t deadline_ns,
                            struct item *item, struct store_cost *cost)
{
    struct reading reading = {.readers = &store.items, .cost = cost, .deadline_ns = deadline_ns};
    *item = (struct item){0};
    enum store_result result = reading_begin(&reading, GET);
    if (result != STORE_OK)
        return result;
    sqlite3_stmt *row = reading.statement;
    sqlite3_bind_int64(row, 1, user_id);
    sqlite3_bind_text(row, 2, id, -1, SQLITE_STATIC);
    result = found(&reading, first_step(&reading));
    if (result == STORE_OK) {
        memccpy(item->id, id, '\0', sizeof item->id - 1); /* the rest is zero */
        item->version = (uint64_t)sqlite3_column_int64(row, 2);
        item->created_us = (uint64_t)sqlite3_column_int64(row, 3);
        item->updated_us = (uint64_t)sqlite3_column_int64(row, 4);
        if (!copy_text(row, 0, &item->title, &item->title_length) ||
            !copy_text(row, 1, &item->body, &item->body_length)) {
            item_free(item);
            result = reading_failed(&reading, DB_CODE_NOMEM);
        }
    }
    reading_end(&reading);
    return result;
}

enum store_result store_find_user(const char *name, uint64_t deadline_ns, int64_t *user_id,
                                  char *hash, size_t hash_size, struct store_cost *cost)
{
    struct reading reading = {.readers = &store.accounts, .cost = cost, .deadline_ns = deadline_ns};
    enum store_result result = reading_begin(&reading, FIND_USER);
    if (result != STORE_OK)
        return result;
    sqlite3_bind_text(reading.statement, 1, name, -1, SQLITE_STATIC);
    result = found(&reading, first_step(&reading));
    if (result == STORE_OK) {
        const char *text = (const char *)sqlite3_column_text(reading.statement, 1);
        *user_id = sqlite3_column_int64(reading.statement, 0);
        if (!text || (size_t)snprintf(hash, hash_size, "%s", text) >= hash_size)
            result = reading_failed(&reading, text ? DB_CODE_OTHER : DB_CODE_NOMEM);
    }
    reading_end(&reading);
    return result;
}

/* Take rows until the page is full or there are no more. SQLITE_ROW: there is one more than fits.
 */
static int fill_page(struct reading *reading, struct item_page *page, unsigned limit,
                     char last_id[UUID_TEXT_SIZE])
{
    sqlite3_stmt *row = reading->statement;
    int code;
    for (code = first_step(reading); code == SQLITE_ROW; code = sqlite3_step(row)) {
        struct item item = {.title = (char *)sqlite3_column_text(row, 1),
                            .title_length = (size_t)sqlite3_column_bytes(row, 1),
                            .version = (uint64_t)sqlite3_column_int64(row, 2),
                            .created_us = (uint64_t)sqlite3_column_int64(row, 3),
                            .updated_us = (uint64_t)sqlite3_column_int64(row, 4)};
        snprintf(item.id, sizeof item.id, "%s", (const char *)sqlite3_column_text(row, 0));
        enum item_page_result added = page->items < limit ? item_page_add(page, &item) : PAGE_FULL;
        if (added != PAGE_ADDED)
            return added == PAGE_FULL ? SQLITE_ROW : SQLITE_NOMEM;
        memcpy(last_id, item.id, UUID_TEXT_SIZE);
        /* a page of a slow disk's takes fewer steps than the progress handler waits for */
        if (clock_now_ns() > reading->connection->deadline_ns)
            return SQLITE_INTERRUPT;
    }
    return code;
}

enum store_result store_list(int64_t user_id, const char *before_id, unsigned limit,
                             uint64_t deadline_ns, char **json, size_t *json_length,
                             char next_id[UUID_TEXT_SIZE], struct store_cost *cost)
{
    struct reading reading = {.readers = &store.items, .cost = cost, .deadline_ns = deadline_ns};
    struct item_page page = {0};
    char last_id[UUID_TEXT_SIZE] = "";
    next_id[0] = '\0';
    *json = NULL;
    *json_length = 0;
    enum store_result result = reading_begin(&reading, LIST);
    if (result != STORE_OK)
        return result;
    sqlite3_bind_int64(reading.statement, 1, user_id);
    /* "~" sorts after every hexadecimal digit. */
    sqlite3_bind_text(reading.statement, 2, before_id ? before_id : "~", -1, SQLITE_STATIC);
    sqlite3_bind_int64(reading.statement, 3, (sqlite3_int64)limit + 1);
    int code = fill_page(&reading, &page, limit, last_id);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        result = reading_failed(&reading, db_code_of(code));
    } else if (!item_page_end(&page)) {
        result = reading_failed(&reading, DB_CODE_NOMEM);
    } else {
        if (code == SQLITE_ROW)
            memcpy(next_id, last_id, UUID_TEXT_SIZE);
        *json = page.text;
        *json_length = page.length;
        page.text = NULL;
    }
    free(page.text);
    reading_end(&reading);
    return result;
}

/* ---- writes ------------------------------------------------------------------------------- */

/* What a write says of the database: nothing when it never got there, or met our own limits. */
static enum breaker_result verdict_of(enum store_result result, const struct store_cost *cost)
{
    if (cost->excused || result == STORE_WAL_FULL ||
        (result == STORE_DEADLINE && cost->error == DB_CODE_OK))
        return BREAKER_IGNORED;
    return circuit_result_of(cost->error);
}

enum store_result store_write(struct write *write, uint64_t deadline_ns, struct store_cost *cost)
{
    struct breaker_permit permit;
    write->status = 0;
    write->answer = NULL;
    write->answer_length = 0;
    write->version = 0;
    enum store_result result = entrance_take(&store.database, &store.write_permits, DB_WRITER,
                                             CLASS_WRITE, deadline_ns, cost);
    if (result != STORE_OK)
        return result;
    result = entrance_ask(&store.database, &store.circuit[DEPENDENCY_DB_WRITE], &permit, cost);
    if (result != STORE_OK) {
        permits_give(&store.write_permits);
        liveness_stage(STAGE_HANDLE);
        return result;
    }
    result = commit_write(&store.committer, write, permit, deadline_ns, cost);
    circuit_leave(&store.circuit[DEPENDENCY_DB_WRITE], permit, verdict_of(result, cost));
    permits_give(&store.write_permits);
    if (cost->error == DB_CODE_UNAVAILABLE) {
        counter_increment(&store.database.metrics->refused[CLASS_WRITE][REFUSAL_DATABASE]);
        database_count_error(&store.database, DB_OP_WRITE, DB_CODE_UNAVAILABLE);
    }
    liveness_stage(STAGE_HANDLE);
    return result;
}
