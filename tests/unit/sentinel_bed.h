/* SPDX-License-Identifier: MIT */
/* What the tests of sentinel and keeper share: the test plays the supervisor, reads what the
 * sentinel publishes, and writes to app.db beside it. */
#ifndef BULKHEAD_SENTINEL_BED_H
#define BULKHEAD_SENTINEL_BED_H

#include "tests/unit/sentinel_child.h"

#include <sqlite3.h>

#include "common/db/schema.h"
#include "common/exit_codes.h"

static struct watch watch;

static inline const struct watch *look(void)
{
    struct watch copy;
    if (region_read_watch(fleet.region, &copy))
        watch = copy;
    return &watch;
}

static inline void publish_identity(const struct db_identity *identity)
{
    static struct board board;
    board.identity = *identity;
    change_publish(&fleet.region->board.change, &fleet.region->board.board, &board, sizeof board);
}

/* Everything let go of; open what is there now. */
static inline void next_epoch(void)
{
    const struct db_identity none = {0};
    publish_identity(&none);
    atomic_fetch_add(&fleet.region->board.words.db_epoch, 1);
}

static inline bool sees_same(void)
{
    return look()->identity == IDENTITY_SAME;
}

static inline bool sees_missing(void)
{
    return look()->identity == IDENTITY_MISSING;
}

static inline bool sees_replaced(void)
{
    return look()->identity == IDENTITY_REPLACED;
}

static inline bool sees_sidecar(void)
{
    return look()->identity == IDENTITY_SIDECAR;
}

static inline bool sees_all_well(void)
{
    return sees_same() && watch.open_code == DB_CODE_OK && watch.read_code == DB_CODE_OK &&
           watch.write_code == DB_CODE_OK && !watch.write_skipped;
}

static inline bool sees_busy(void)
{
    return look()->write_code == DB_CODE_BUSY;
}

static inline bool sees_skipped(void)
{
    return look()->write_skipped;
}

static inline bool sees_no_write(void)
{
    return look()->write_code != DB_CODE_OK || watch.write_skipped;
}

static inline bool sees_corrupt(void)
{
    look();
    return watch.read_code == DB_CODE_CORRUPT || watch.open_code == DB_CODE_NOTADB;
}

static inline void start_sentinel(void)
{
    child_start(SENTINEL_SLOT, NULL, NULL, getpid(), NULL);
    assert_true(comes_true(child_is_ready, 3000));
}

/* Set up, running, with the identity on the board. */
static inline void watching(void)
{
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    start_sentinel();
    assert_true(sees_all_well());
    publish_identity(&look()->seen);
}

/* Whether the running child has a file open, by inode. */
static inline bool has_open(uint64_t inode)
{
    char directory[64], path[400];
    snprintf(directory, sizeof directory, "/proc/%d/fd", (int)fleet.pid);
    DIR *listing = opendir(directory);
    const struct dirent *entry;
    bool found = false;
    assert_non_null(listing);
    while ((entry = readdir(listing))) {
        struct stat status;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        found |= stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_ino == inode;
    }
    closedir(listing);
    return found;
}

static inline sqlite3 *writer(void)
{
    sqlite3 *db;
    struct db_error error;
    if (db_open(&fleet.paths, DB_WRITER, DURABILITY_NORMAL, NULL, &db, &error) < 0)
        fail_msg("%s", error.text);
    sqlite3_busy_timeout(db, 2000);
    return db;
}

static inline void must(sqlite3 *db, const char *sql)
{
    if (db_exec(db, sql))
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static inline uint64_t file_bytes(enum db_file file)
{
    struct stat status;
    return stat(fleet.paths.file[file], &status) == 0 ? (uint64_t)status.st_size : 0;
}

static inline long long number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    long long value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static inline void wait_ms(unsigned ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

/* So many looks more, each begun and published after this call: what they did is there to see. */
static inline void after_looks(unsigned count)
{
    uint64_t before = look()->tick + 1; /* one may be under way */
    for (uint64_t end = clock_now_ns() + 2 * NOISE * NS_PER_S;
         clock_now_ns() < end && look()->tick < before + count;)
        wait_ms(5);
    assert_true(watch.tick >= before + count);
}

#endif
