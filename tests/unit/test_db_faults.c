/* SPDX-License-Identifier: MIT */
/* Each effect of kind db against a real database behind the shim: the code SQLite gives, that it is
 * whole again afterwards, and that what must go on working does. */
#include "tests/unit/fault_table_bed.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/check.h"
#include "common/db/db.h"
#include "common/db/fault_vfs.h"

static char directory[64];
static struct db_paths paths;
static sqlite3 *db;

static int open_as(enum db_role role, sqlite3 **to)
{
    struct db_error error;
    int result = db_open(&paths, role, 0, NULL, to, &error);
    return result ? (error.sqlite_code ? error.sqlite_code & 0xff : -1) : 0;
}

static int run(const char *sql)
{
    return db_exec(db, sql) & 0xff;
}

static int insert(void)
{
    int code = run("INSERT INTO t VALUES (randomblob(3000))");
    if (!sqlite3_get_autocommit(db))
        run("ROLLBACK");
    return code;
}

static long long number(sqlite3 *from, const char *sql)
{
    sqlite3_stmt *statement;
    long long value = -1;
    assert_int_equal(sqlite3_prepare_v2(from, sql, -1, &statement, NULL), SQLITE_OK);
    if (sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static void assert_whole(long long rows)
{
    sqlite3 *fresh;
    sqlite3_stmt *statement;
    assert_int_equal(open_as(DB_WRITER, &fresh), 0);
    assert_int_equal(number(fresh, "SELECT count(*) FROM t"), rows);
    assert_int_equal(sqlite3_prepare_v2(fresh, "PRAGMA integrity_check", -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
    sqlite3_finalize(statement);
    db_close(fresh);
}

static int begin(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/bulkhead-db-faults-XXXXXX");
    if (!mkdtemp(directory) || bed_begin() < 0)
        return -1;
    fault_vfs_install();
    db_paths_set(&paths, directory);
    if (open_as(DB_CREATOR, &db) || run("CREATE TABLE t(x)") || insert())
        return -1;
    return 0;
}

static int end(void **state)
{
    (void)state;
    bed_clear();
    db_close(db);
    for (unsigned i = 0; i < DB_FILE_COUNT; i++)
        unlink(paths.file[i]);
    return rmdir(directory);
}

/* ---- the effects --------------------------------------------------------------------------- */

static void refuses_writes(const char *spec, int code)
{
    bed_set(spec);
    assert_int_equal(insert(), code);
    assert_int_equal(number(db, "SELECT count(*) FROM t"), 1); /* reads go on */
    assert_true(bed_hits(FAULT_DB) > 0);
    bed_clear();
    assert_int_equal(insert(), SQLITE_OK);
    assert_whole(2);
}

static void full_refuses_writes(void **state)
{
    (void)state;
    refuses_writes("db effect=full", SQLITE_FULL);
}

static void readonly_refuses_writes(void **state)
{
    (void)state;
    refuses_writes("db effect=readonly", SQLITE_READONLY);
}

static void locked_is_busy(void **state)
{
    (void)state;
    bed_set("db effect=locked");
    assert_int_equal(run("BEGIN IMMEDIATE"), SQLITE_BUSY);
    /* A checkpoint takes other locks: whoever has the writers' lock does not hinder it. */
    assert_int_equal(sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(number(db, "SELECT count(*) FROM t"), 1);
    bed_clear();
    assert_int_equal(insert(), SQLITE_OK);
    assert_whole(2);
}

static void down_refuses_all(void **state)
{
    (void)state;
    sqlite3 *other;
    bed_set("db effect=down");
    assert_int_equal(run("SELECT count(*) FROM t"), SQLITE_IOERR); /* also what is cached */
    assert_int_equal(insert(), SQLITE_IOERR);
    assert_int_equal(open_as(DB_WRITER, &other), SQLITE_CANTOPEN);
    bed_clear();
    assert_int_equal(insert(), SQLITE_OK);
    assert_whole(2);
}

static void ioerr_of_writes_alone(void **state)
{
    (void)state;
    refuses_writes("db effect=ioerr op=write", SQLITE_IOERR);
}

static void ioerr_of_sync_leaves_it_whole(void **state)
{
    (void)state;
    bed_set("db effect=ioerr op=sync");
    assert_int_equal(insert(), SQLITE_IOERR);
    bed_clear();
    db_close(db); /* what an fsync that failed left in its cache is not trusted */
    assert_int_equal(open_as(DB_WRITER, &db), 0);
    long long rows = number(db, "SELECT count(*) FROM t");
    assert_true(rows == 1 || rows == 2); /* the outcome is unknown, and that is all */
    assert_whole(rows);
}

static void a_torn_write_is_not_believed(void **state)
{
    (void)state;
    bed_set("db effect=torn");
    assert_int_equal(insert(), SQLITE_IOERR);
    bed_clear();
    db_close(db);
    assert_int_equal(open_as(DB_WRITER, &db), 0);
    assert_whole(1);
    assert_int_equal(insert(), SQLITE_OK);
    assert_whole(2);
}

static void half_of_a_torn_write_arrives(void **state)
{
    (void)state;
    static const char junk[4096] = {1};
    sqlite3_file *file = NULL;
    sqlite3_int64 before = 0, after = 0;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    assert_int_equal(file->pMethods->xFileSize(file, &before), SQLITE_OK);
    bed_set("db effect=torn");
    assert_int_equal(file->pMethods->xWrite(file, junk, sizeof junk, before), SQLITE_IOERR_WRITE);
    bed_clear();
    assert_int_equal(file->pMethods->xFileSize(file, &after), SQLITE_OK);
    assert_int_equal(after - before, sizeof junk / 2);
    assert_int_equal(file->pMethods->xTruncate(file, before), SQLITE_OK);
}

static void a_torn_checkpoint_loses_nothing(void **state)
{
    (void)state;
    bed_set("db effect=torn");
    assert_int_equal(sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) &
                         0xff,
                     SQLITE_IOERR);
    bed_clear();
    assert_whole(1);
    assert_int_equal(sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
                     SQLITE_OK);
    assert_whole(1);
}

/* Read a whole file by its path; nobody has it open in this process when it is called. */
static size_t slurp(const char *path, unsigned char *to, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, to, size);
    close(fd);
    assert_true(n > 0);
    return (size_t)n;
}

static void a_bit_flips_in_what_is_read_only(void **state)
{
    (void)state;
    static unsigned char before[65536], seen[4096], after[65536];
    sqlite3_file *file = NULL;
    unsigned bits = 0;
    assert_int_equal(sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
                     SQLITE_OK);
    db_close(db);
    size_t length = slurp(paths.file[DB_FILE_MAIN], before, sizeof before);
    assert_int_equal(open_as(DB_WRITER, &db), 0);
    sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    bed_set("db effect=bitflip seed=7");
    assert_int_equal(file->pMethods->xRead(file, seen, sizeof seen, 0), SQLITE_OK);
    bed_clear();
    for (size_t i = 0; i < sizeof seen; i++)
        bits += (unsigned)__builtin_popcount(seen[i] ^ before[i]);
    assert_int_equal(bits, 1);
    db_close(db);
    assert_int_equal(slurp(paths.file[DB_FILE_MAIN], after, sizeof after), length);
    assert_memory_equal(before, after, length);
    assert_int_equal(open_as(DB_WRITER, &db), 0);
}

static double ms_of(int (*what)(void))
{
    uint64_t start_ns = clock_now_ns();
    assert_int_equal(what(), SQLITE_OK);
    return (double)(clock_now_ns() - start_ns) / (double)NS_PER_MS;
}

static int count_rows(void)
{
    return number(db, "SELECT count(*) FROM t") >= 1 ? SQLITE_OK : SQLITE_ERROR;
}

static void slow_waits_at_what_it_names(void **state)
{
    (void)state;
    bed_set("db effect=slow op=sync delay=60ms");
    assert_true(ms_of(insert) >= 60);
    uint64_t hits = bed_hits(FAULT_DB);
    assert_true(hits >= 1);
    count_rows();
    assert_int_equal(bed_hits(FAULT_DB), hits);
    bed_clear();
    bed_set("db effect=slow op=begin delay=60ms");
    assert_true(ms_of(count_rows) >= 60);
}

static atomic_bool enough;

/* Past the shim, so no fault slows it. */
static void *commit_often(void *committed)
{
    const struct timespec pause = {.tv_nsec = 5 * 1000000};
    sqlite3 *other;
    CHECK(sqlite3_open_v2(paths.file[DB_FILE_MAIN], &other, SQLITE_OPEN_READWRITE, "unix") ==
          SQLITE_OK);
    while (!atomic_load(&enough)) {
        CHECK(db_exec(other, "INSERT INTO t VALUES (1)") == SQLITE_OK);
        sem_post(committed);
        nanosleep(&pause, NULL);
    }
    sqlite3_close(other);
    return NULL;
}

/* Commits make SQLite ask for its reader's lock again. */
static void a_slow_begin_is_once_a_statement(void **state)
{
    (void)state;
    pthread_t thread;
    sem_t committed;
    sem_init(&committed, 0, 0);
    atomic_store(&enough, false);
    pthread_create(&thread, NULL, commit_often, &committed);
    sem_wait(&committed);
    bed_set("db effect=slow op=begin delay=60ms");
    for (unsigned statements = 1; statements <= 5; statements++) {
        assert_true(ms_of(count_rows) >= 60);
        assert_int_equal(bed_hits(FAULT_DB), statements);
    }
    atomic_store(&enough, true);
    pthread_join(thread, NULL);
    sem_destroy(&committed);
}

static void *clear_soon(void *unused)
{
    const struct timespec pause = {.tv_nsec = 100 * 1000000};
    nanosleep(&pause, NULL);
    bed_clear();
    return unused;
}

static void a_hang_ends_with_its_fault(void **state)
{
    (void)state;
    pthread_t thread;
    bed_set("db effect=hang op=begin duration=60s");
    pthread_create(&thread, NULL, clear_soon, NULL);
    double ms = ms_of(count_rows);
    pthread_join(thread, NULL);
    assert_true(ms >= 90 && ms < 10000);
    assert_int_equal(insert(), SQLITE_OK);
}

/* ---- what is left alone -------------------------------------------------------------------- */

static void other_processes_are_not_meant(void **state)
{
    (void)state;
    bed_set("db effect=full target=worker:2")->generation[BED_SLOT] = 0;
    bed_publish();
    assert_int_equal(insert(), SQLITE_OK);
    assert_int_equal(bed_hits(FAULT_DB), 0);
}

static void other_files_are_not_meant(void **state)
{
    (void)state;
    char path[128];
    sqlite3 *other;
    snprintf(path, sizeof path, "%s/other.db", directory);
    bed_set("db effect=down");
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(db_exec(other, "CREATE TABLE u(x); INSERT INTO u VALUES (1)"), 0);
    sqlite3_close(other);
    unlink(path);
}

static void the_sidecars_persist(void **state)
{
    (void)state;
    struct stat status;
    db_close(db);
    assert_int_equal(stat(paths.file[DB_FILE_WAL], &status), 0);
    assert_int_equal(stat(paths.file[DB_FILE_SHM], &status), 0);
    assert_int_equal(open_as(DB_WRITER, &db), 0);
}

static void a_rate_is_a_rate(void **state)
{
    (void)state;
    unsigned failed = 0;
    bed_set("db effect=ioerr op=write per_million=100000 seed=3");
    for (unsigned i = 0; i < 100; i++)
        failed += insert() != SQLITE_OK;
    assert_in_range(failed, 2, 60); /* two writes and more a commit, a tenth of them */
    bed_clear();
    assert_int_equal(insert(), SQLITE_OK);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        T(full_refuses_writes),
        T(readonly_refuses_writes),
        T(locked_is_busy),
        T(down_refuses_all),
        T(ioerr_of_writes_alone),
        T(ioerr_of_sync_leaves_it_whole),
        T(a_torn_write_is_not_believed),
        T(half_of_a_torn_write_arrives),
        T(a_torn_checkpoint_loses_nothing),
        T(a_bit_flips_in_what_is_read_only),
        T(slow_waits_at_what_it_names),
        T(a_slow_begin_is_once_a_statement),
        T(a_hang_ends_with_its_fault),
        T(other_processes_are_not_meant),
        T(other_files_are_not_meant),
        T(the_sidecars_persist),
        T(a_rate_is_a_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
