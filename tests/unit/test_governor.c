/* SPDX-License-Identifier: MIT */
/* When the log is emptied and who is named for it; who holds a lock, asked of the kernel about
 * another process that really holds it. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/db/db.h"
#include "common/db/lock_holder.h"
#include "supervisor/sentinel/alarm.h"
#include "supervisor/sentinel/governor.h"

#define MIB (UINT64_C(1) << 20)
#define T0  (1000 * NS_PER_S)

/* ---- governor ------------------------------------------------------------------------------ */

static struct governor fresh(void)
{
    struct governor governor;
    governor_init(&governor, 4, 16);
    return governor;
}

static void only_refusals_for_room_let_a_checkpoint_pass(void **state)
{
    (void)state;
    for (unsigned s = 0; s < DB_STATE_COUNT; s++) {
        bool makes_room = s == DB_STATE_FULL || s == DB_STATE_UP || s == DB_STATE_SLOW;
        assert_int_equal(governor_may_checkpoint((enum db_state)s, false), makes_room);
        assert_true(governor_may_checkpoint((enum db_state)s, true));
    }
}

static void a_big_log_is_tried_often_and_a_small_one_seldom(void **state)
{
    (void)state;
    struct governor governor = fresh();
    assert_false(governor_wants_try(&governor, MIB - 1, T0));
    assert_true(governor_wants_try(&governor, MIB, T0));
    governor_note(&governor, DB_CODE_OK, T0);
    assert_false(governor_wants_try(&governor, 4 * MIB, T0 + 999 * NS_PER_MS));
    assert_true(governor_wants_try(&governor, 4 * MIB, T0 + NS_PER_S));
    assert_false(governor_wants_try(&governor, 4 * MIB + 1, T0 + 199 * NS_PER_MS));
    assert_true(governor_wants_try(&governor, 4 * MIB + 1, T0 + 200 * NS_PER_MS));
}

static void a_reader_in_the_way_is_left_alone_for_a_second(void **state)
{
    (void)state;
    struct governor governor = fresh();
    governor_note(&governor, DB_CODE_BUSY, T0);
    assert_false(governor_wants_try(&governor, 60 * MIB, T0 + 999 * NS_PER_MS));
    assert_true(governor_wants_try(&governor, 60 * MIB, T0 + NS_PER_S));
}

static void the_budget_doubles_until_the_log_is_emptied(void **state)
{
    (void)state;
    struct governor governor = fresh();
    uint64_t first_ns = governor.budget_ns;
    assert_true(first_ns > 0 && first_ns <= 250 * NS_PER_MS);
    for (unsigned cut = 1; cut < 4; cut++) {
        governor_note(&governor, DB_CODE_INTERRUPT, T0);
        assert_int_equal(governor.budget_ns, first_ns << cut);
    }
    for (unsigned cut = 0; cut < 100; cut++)
        governor_note(&governor, DB_CODE_INTERRUPT, T0);
    assert_int_equal(governor.budget_ns, 16 * NS_PER_S);
    governor_note(&governor, DB_CODE_OK, T0);
    assert_int_equal(governor.budget_ns, first_ns);
}

static void who_stays_in_the_way_is_named_once_a_minute(void **state)
{
    (void)state;
    struct governor governor = fresh();
    assert_false(governor_names(&governor, 17 * MIB, 7, T0)); /* perhaps just passing */
    assert_false(governor_names(&governor, 17 * MIB, 8, T0));
    assert_false(governor_names(&governor, 16 * MIB, 8, T0)); /* not above wal.hard */
    assert_true(governor_names(&governor, 17 * MIB, 8, T0));
    assert_false(governor_names(&governor, 60 * MIB, 8, T0 + 59 * NS_PER_S));
    assert_true(governor_names(&governor, 60 * MIB, 8, T0 + 60 * NS_PER_S));
    governor_note(&governor, DB_CODE_OK, T0 + 61 * NS_PER_S);
    assert_false(governor_names(&governor, 17 * MIB, 8, T0 + 200 * NS_PER_S));
    assert_false(governor_names(&governor, 17 * MIB, 0, T0 + 201 * NS_PER_S));
    assert_false(governor_names(&governor, 17 * MIB, 0, T0 + 202 * NS_PER_S));
}

/* ---- lock holder --------------------------------------------------------------------------- */

static char directory[64];
static struct db_paths paths;
static sqlite3 *db;

static void must(sqlite3 *handle, const char *sql)
{
    if (db_exec(handle, sql))
        fail_msg("%s: %s", sql, sqlite3_errmsg(handle));
}

static int begin(void **state)
{
    (void)state;
    struct db_error error;
    snprintf(directory, sizeof directory, "/tmp/bulkhead-locks-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    db_paths_set(&paths, directory);
    if (db_open(&paths, DB_CREATOR, DURABILITY_NORMAL, NULL, &db, &error) < 0)
        return -1;
    must(db, "CREATE TABLE t(x)");
    must(db, "INSERT INTO t VALUES(1)");
    return 0;
}

static int end(void **state)
{
    (void)state;
    db_close(db);
    for (int i = 0; i < DB_FILE_COUNT; i++)
        unlink(paths.file[i]);
    return rmdir(directory);
}

/* A process that opens the database, runs the statements, says so, and waits to be killed. */
static pid_t holder(const char *name, const char *sql)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct db_error error;
        sqlite3 *own;
        prctl(PR_SET_NAME, name);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (db_open(&paths, DB_WRITER, DURABILITY_NORMAL, NULL, &own, &error) == 0 &&
            db_exec(own, sql) == 0 && write(ready[1], "r", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void finish(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void holders_are_found_and_named(void **state)
{
    (void)state;
    char name[LOCK_HOLDER_NAME];
    db_close(db); /* the children open after the fork, with nothing inherited */
    db = NULL;
    int fd = open(paths.file[DB_FILE_SHM], O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(lock_holder_of(fd, LOCK_BYTE_WRITE), 0);
    pid_t writer = holder("a\tb", "BEGIN IMMEDIATE; INSERT INTO t VALUES(2)");
    assert_int_equal(lock_holder_of(fd, LOCK_BYTE_WRITE), writer);
    assert_int_equal(lock_holder_of(fd, LOCK_BYTE_CHECKPOINT), 0);
    lock_holder_name(writer, name);
    assert_string_equal(name, "a?b");
    finish(writer);
    assert_int_equal(lock_holder_of(fd, LOCK_BYTE_WRITE), 0);
    lock_holder_name(writer, name);
    assert_string_equal(name, "?");
    assert_int_equal(lock_holder_of(-1, LOCK_BYTE_WRITE), 0);
    close(fd);
}

static void the_oldest_reader_is_the_one_in_the_way(void **state)
{
    (void)state;
    struct db_error error;
    db_close(db);
    int fd = open(paths.file[DB_FILE_SHM], O_RDONLY | O_CLOEXEC);
    assert_int_equal(lock_holder_of_oldest_read(fd), 0);
    pid_t old = holder("old", "BEGIN; SELECT * FROM t");
    assert_int_equal(lock_holder_of_oldest_read(fd), old);
    pid_t writer = holder("writer", "INSERT INTO t VALUES(3)");
    pid_t young = holder("young", "BEGIN; SELECT * FROM t");
    assert_int_equal(lock_holder_of_oldest_read(fd), old);
    finish(old);
    assert_int_equal(lock_holder_of_oldest_read(fd), young);
    finish(young);
    finish(writer);
    assert_int_equal(lock_holder_of_oldest_read(fd), 0);
    close(fd);
    assert_int_equal(db_open(&paths, DB_WRITER, DURABILITY_NORMAL, NULL, &db, &error), 0);
}

/* One who reads app.db alone holds lock 0, and then nothing may be moved into it. */
static void a_reader_of_the_main_file_is_in_the_way_too(void **state)
{
    (void)state;
    assert_int_equal(sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
                     SQLITE_OK);
    db_close(db);
    int fd = open(paths.file[DB_FILE_SHM], O_RDONLY | O_CLOEXEC);
    pid_t reader = holder("reader", "BEGIN; SELECT * FROM t");
    assert_int_equal(lock_holder_of(fd, LOCK_BYTE_READ), reader);
    pid_t writer = holder("writer", "INSERT INTO t VALUES(3)");
    assert_int_equal(lock_holder_of_oldest_read(fd), reader);
    finish(reader);
    finish(writer);
    close(fd);
    db = NULL;
}

/* ---- alarm --------------------------------------------------------------------------------- */

static int checkpoint_within(uint64_t limit_ns)
{
    alarm_set(db, limit_ns);
    int code = sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    alarm_clear();
    return code;
}

static void a_checkpoint_is_cut_and_done_later(void **state)
{
    (void)state;
    struct stat status;
    sqlite3_stmt *statement;
    must(db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)"
             " INSERT INTO t SELECT randomblob(60000) FROM n");
    assert_int_equal(checkpoint_within(NS_PER_MS), SQLITE_INTERRUPT);
    assert_int_equal(stat(paths.file[DB_FILE_WAL], &status), 0);
    assert_true(status.st_size > 30 << 20); /* not emptied; nothing of it is lost */
    assert_int_equal(checkpoint_within(30 * NS_PER_S), SQLITE_OK);
    assert_int_equal(stat(paths.file[DB_FILE_WAL], &status), 0);
    assert_int_equal(status.st_size, 0);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT count(*), (SELECT * FROM pragma_quick_check)"
                                        " FROM t",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(statement, 0), 601);
    assert_string_equal((const char *)sqlite3_column_text(statement, 1), "ok");
    sqlite3_finalize(statement);
}

int main(void)
{
#define LOCKS(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_refusals_for_room_let_a_checkpoint_pass),
        cmocka_unit_test(a_big_log_is_tried_often_and_a_small_one_seldom),
        cmocka_unit_test(a_reader_in_the_way_is_left_alone_for_a_second),
        cmocka_unit_test(the_budget_doubles_until_the_log_is_emptied),
        cmocka_unit_test(who_stays_in_the_way_is_named_once_a_minute),
        LOCKS(holders_are_found_and_named),
        LOCKS(the_oldest_reader_is_the_one_in_the_way),
        LOCKS(a_reader_of_the_main_file_is_in_the_way_too),
        LOCKS(a_checkpoint_is_cut_and_done_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
