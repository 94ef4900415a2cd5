/* SPDX-License-Identifier: MIT */
/*
 * A worker's store on a database of its own in a temporary directory, without a supervisor: the
 * test plays it. The process has the gate, the fence words and the board in its hands.
 */
#ifndef BULKHEAD_STORE_BED_H
#define BULKHEAD_STORE_BED_H

#include "tests/unit/unit.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/db/gate.h"
#include "common/db/schema.h"
#include "tests/unit/temporary.h"
#include "worker/store.h"

#define BED_APP_ID "0198c0de-0000-7000-8000-000000000001"
#define ALICE      1
#define BOB        2

/* Slot 0 is the store's, slot 1 the test's own (to hold the gate). */
static struct bed {
    char dir[64];
    int region_fd;
    struct region *region;
    struct child child;
    struct db_paths paths;
} bed;

static inline void bed_sleep_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static inline uint64_t in_ms(uint64_t ms)
{
    return clock_now_ns() + ms * NS_PER_MS;
}

/* A connection of the test's own; close it with db_close. */
static inline sqlite3 *bed_open(enum db_role role)
{
    struct db_error error;
    sqlite3 *db;
    if (db_open(&bed.paths, role, DURABILITY_FULL, NULL, &db, &error))
        fail_msg("%s", error.text);
    return db;
}

static inline void bed_exec(const char *sql)
{
    sqlite3 *db = bed_open(DB_WRITER);
    if (db_exec(db, sql))
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    db_close(db);
}

/* The first value of a query as a number, as text. */
static inline int64_t bed_ask(const char *sql)
{
    sqlite3 *db = bed_open(DB_READER);
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t answer = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    db_close(db);
    return answer;
}

static inline void bed_assert_sound(void)
{
    assert_int_equal(bed_ask("SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
}

/* Publish the files that are there now as the ones in use. */
static inline void bed_publish_identity(void)
{
    struct board *board = calloc(1, sizeof *board);
    assert_non_null(board);
    assert_true(region_read_board(bed.region, board));
    db_identity_stat(&bed.paths, &board->identity);
    snprintf(board->identity.app_id, sizeof board->identity.app_id, "%s", BED_APP_ID);
    change_publish(&bed.region->board.change, &bed.region->board.board, board, sizeof *board);
    free(board);
}

/* Make region and database; no connection is open afterwards, so a fork is still allowed. */
static inline void bed_make(void)
{
    struct db_error error;
    sqlite3 *db;
    memset(&bed, 0, sizeof bed);
    assert_true(temporary_directory(bed.dir, sizeof bed.dir, "store"));
    bed.region_fd = region_create(&bed.region);
    assert_true(bed.region_fd >= 0);
    snprintf(bed.region->header.data_dir, sizeof bed.region->header.data_dir, "%s", bed.dir);
    gate_init(&bed.region->gate);
    db_paths_set(&bed.paths, bed.dir);
    if (db_open(&bed.paths, DB_CREATOR, DURABILITY_FULL, NULL, &db, &error) ||
        schema_create(db, BED_APP_ID, &error))
        fail_msg("%s", error.text);
    assert_int_equal(db_exec(db, "INSERT INTO users VALUES(1, 'alice', '$scrypt$a', 0),"
                                 " (2, 'bob', '$scrypt$b', 0)"),
                     0);
    db_close(db);
    bed_publish_identity();
    atomic_store(&bed.region->board.words.db_state, DB_STATE_UP);
    atomic_store(&bed.region->board.words.db_readable, 1);
    atomic_store(&bed.region->board.words.db_writable, 1);
    atomic_store(&bed.region->board.words.db_epoch, 1);
    bed.child.region = bed.region;
    bed.child.slot = region_slot(bed.region, 0);
    config_defaults(&bed.child.config);
    bed.child.config.breaker_window_s = 0; /* test_circuit.c has breakers */
}

static inline void bed_start(void)
{
    assert_int_equal(store_start(&bed.child), 0);
}

static inline int bed_setup(void **unused)
{
    (void)unused;
    bed_make();
    bed_start();
    return 0;
}

static inline int bed_teardown(void **unused)
{
    char path[400];
    (void)unused;
    store_stop();
    DIR *dir = opendir(bed.dir);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        snprintf(path, sizeof path, "%s/%s", bed.dir, entry->d_name);
        unlink(path);
    }
    closedir(dir);
    rmdir(bed.dir);
    munmap(bed.region, sizeof *bed.region);
    close(bed.region_fd);
    return 0;
}

static inline struct slot_metrics *bed_metrics(void)
{
    return &bed.child.slot->metrics;
}

/* ---- calls of the store ------------------------------------------------------------------- */

static inline struct write bed_create(int64_t user_id, const char *title, const char *body)
{
    return (struct write){.kind = WRITE_CREATE,
                          .user_id = user_id,
                          .has_title = true,
                          .title = title,
                          .title_length = strlen(title),
                          .has_body = body != NULL,
                          .body = body,
                          .body_length = body ? strlen(body) : 0};
}

/* A write in a thread of its own. */
struct bed_call {
    struct write write;
    uint64_t start_ns, deadline_ns;
    struct store_cost cost;
    enum store_result result;
    uint64_t took_ns;
    pthread_t thread;
    _Atomic pid_t tid;
    _Atomic bool done;
};

static inline void *bed_call_run(void *argument)
{
    struct bed_call *call = argument;
    atomic_store(&call->tid, gettid());
    call->result = store_write(&call->write, call->deadline_ns, &call->cost);
    call->took_ns = clock_now_ns() - call->start_ns;
    atomic_store(&call->done, true);
    return NULL;
}

static inline void bed_call_start(struct bed_call *call, uint64_t deadline_ms)
{
    call->start_ns = clock_now_ns();
    call->deadline_ns = call->start_ns + deadline_ms * NS_PER_MS;
    atomic_store(&call->tid, 0);
    atomic_store(&call->done, false);
    assert_int_equal(pthread_create(&call->thread, NULL, bed_call_run, call), 0);
}

/* True when the thread of a call has gone to sleep: it waits in the queue, or for the gate. */
static inline bool bed_sleeps(struct bed_call *call)
{
    char path[64], line[256], state = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)atomic_load(&call->tid));
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    if (fgets(line, sizeof line, file) && strrchr(line, ')'))
        state = strrchr(line, ')')[2];
    fclose(file);
    return state == 'S';
}

/* Start calls one after another while the test holds the gate: they queue in this order. One with a
 * short deadline may be over before it was seen asleep. */
static inline void bed_queue(struct bed_call *calls, unsigned count, uint64_t deadline_ms)
{
    for (unsigned i = 0; i < count; i++) {
        bed_call_start(&calls[i], deadline_ms);
        while (!atomic_load(&calls[i].done) && !bed_sleeps(&calls[i]))
            bed_sleep_ms(1);
    }
}

static inline void bed_join(struct bed_call *calls, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        pthread_join(calls[i].thread, NULL);
}

static inline void bed_hold_gate(void)
{
    assert_true(gate_lock(&bed.region->gate, region_slot(bed.region, 1), in_ms(1000)) >= 0);
}

static inline void bed_release_gate(void)
{
    gate_unlock(&bed.region->gate, region_slot(bed.region, 1));
}

/* ---- truth -------------------------------------------------------------------------------- */

static inline const char *title_of(unsigned i)
{
    static const char *const titles[] = {"w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7"};
    return titles[i];
}

static inline int64_t rows_of(const char *title)
{
    char sql[120];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM items WHERE title = '%s'", title);
    return bed_ask(sql);
}

/* Compare what each client was told with what is there. */
static inline void assert_truth(struct bed_call *calls, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct write *write = &calls[i].write;
        struct item item;
        struct store_cost cost;
        if (calls[i].result != STORE_OK) {
            assert_null(write->answer);
            if (calls[i].result != STORE_UNKNOWN)
                assert_int_equal(rows_of(write->title), 0);
            continue;
        }
        char *json = malloc(write->answer_length + 1);
        assert_non_null(json);
        assert_int_equal(store_get(ALICE, write->id, in_ms(1000), &item, &cost), STORE_OK);
        assert_int_equal(item_json(&item, true, json, write->answer_length + 1),
                         write->answer_length);
        assert_string_equal(json, write->answer);
        assert_int_equal(rows_of(write->title), 1);
        item_free(&item);
        free(json);
        free(write->answer);
    }
}

/* One create that must succeed; the answer is freed, *write keeps the rest. */
static inline void bed_must_create(struct write *write)
{
    struct store_cost cost;
    assert_int_equal(store_write(write, in_ms(3000), &cost), STORE_OK);
    assert_non_null(write->answer);
    free(write->answer);
    write->answer = NULL;
}

#endif
