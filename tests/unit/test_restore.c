/* SPDX-License-Identifier: MIT */
/* A restore that ends after any step, or is killed in the middle of any, leaves the old database
 * complete or the new one; begun anew it succeeds. What is no backup is refused and changes
 * nothing. */
#include "tests/unit/sentinel_child.h"

#include <sqlite3.h>

#include "common/db/schema.h"
#include "common/exit_codes.h"
#include "supervisor/sentinel/restore.h"

enum content { NOTHING, OLD, NEW, MIXED };

static void must(sqlite3 *db, const char *sql)
{
    if (db_exec(db, sql))
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

/* One user of a name, in the main file or still in the -wal. */
static void put_user(const struct db_paths *paths, const char *name, bool into_main)
{
    char sql[200];
    struct db_error error;
    sqlite3 *db;
    if (db_open(paths, DB_WRITER, DURABILITY_NORMAL, NULL, &db, &error) < 0)
        fail_msg("%s", error.text);
    snprintf(sql, sizeof sql, "INSERT INTO users(name, password, created_us) VALUES('%s', 'x', 0)",
             name);
    must(db, sql);
    if (into_main)
        assert_int_equal(
            sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
            SQLITE_OK);
    db_close(db);
}

static char backup[128];

/* DATADIR has `old`, the last half of it in the -wal; the backup, of another id, has `new`. */
static void prepare(void)
{
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    put_user(&fleet.paths, "new", true);
    in_data_dir(backup, "backup.db");
    copy_file(fleet.paths.file[DB_FILE_MAIN], backup);
    for (int i = 0; i < DB_FILE_COUNT; i++)
        unlink(fleet.paths.file[i]);
    unlink(fleet.paths.app_id);
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    put_user(&fleet.paths, "old", false);
    put_user(&fleet.paths, "old2", false);
}

static long long number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    long long value = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

/* What a server would find: set-up runs as it does at every start. */
static enum content content_after_start(void)
{
    struct db_error error;
    sqlite3 *db;
    char in_file[40], in_table[40];
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    if (access(fleet.paths.file[DB_FILE_MAIN], F_OK) < 0)
        return NOTHING;
    if (db_open(&fleet.paths, DB_WRITER, DURABILITY_NORMAL, NULL, &db, &error) < 0)
        fail_msg("%s", error.text);
    assert_int_equal(db_read_app_id(db, in_table), 0);
    assert_int_equal(db_read_app_id_file(&fleet.paths, in_file), 0);
    assert_string_equal(in_file, in_table);
    assert_int_equal(number(db, "SELECT count(*) FROM pragma_quick_check WHERE quick_check = 'ok'"),
                     1);
    long long old = number(db, "SELECT count(*) FROM users WHERE name LIKE 'old%'");
    long long new = number(db, "SELECT count(*) FROM users WHERE name = 'new'");
    db_close(db);
    return old == 2 && new == 0 ? OLD : old == 0 && new == 1 ? NEW : MIXED;
}

/* In a process of its own, which ends as if killed. */
static void take_steps(unsigned count)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        static struct restore restore;
        int result = restore_begin(&restore, fleet.data_dir, backup);
        for (unsigned step = 0; result == 0 && step < count; step++)
            result = restore_take(&restore, (enum restore_step)step);
        if (result < 0)
            fprintf(stderr, "%s\n", restore.error);
        _exit(result < 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static pid_t start_restore(const char *data_dir, const char *file)
{
    char path[300];
    program_path(path);
    pid_t pid = fork();
    if (pid == 0) {
        if (!getenv("SHOW_LOG")) {
            dup2(fleet.lock_fd, 1);
            dup2(fleet.lock_fd, 2);
        }
        execl(path, "sentinel", "--restore", data_dir, file, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static int run_restore(const char *data_dir, const char *file)
{
    int status;
    assert_true(waitpid(start_restore(data_dir, file), &status, 0) > 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static unsigned set_aside(void)
{
    unsigned count = 0;
    DIR *listing = opendir(fleet.data_dir);
    const struct dirent *entry;
    while ((entry = readdir(listing)))
        count += strncmp(entry->d_name, "app.db.before-restore-", 22) == 0;
    closedir(listing);
    return count;
}

static void it_replaces_the_database_and_keeps_the_old_one(void **state)
{
    (void)state;
    prepare();
    assert_int_equal(run_restore(fleet.data_dir, backup), EXIT_ASKED);
    assert_int_equal(set_aside(), 3);
    assert_true(access(fleet.paths.file[DB_FILE_WAL], F_OK) < 0);
    assert_int_equal(content_after_start(), NEW);
    /* The way back is another restore. */
    DIR *listing = opendir(fleet.data_dir);
    const struct dirent *entry;
    char old[128] = "";
    while ((entry = readdir(listing)))
        if (strncmp(entry->d_name, "app.db.before-restore-", 22) == 0 &&
            entry->d_name[strlen(entry->d_name) - 1] == 'Z')
            in_data_dir(old, entry->d_name);
    closedir(listing);
    assert_int_equal(run_restore(fleet.data_dir, old), EXIT_ASKED);
    assert_int_equal(content_after_start(), OLD);
}

static void ended_after_any_step_one_of_the_two_is_complete(void **state)
{
    for (unsigned count = 0; count <= RESTORE_STEP_COUNT; count++) {
        prepare();
        take_steps(count);
        assert_int_equal(content_after_start(), count <= RESTORE_REPLACE ? OLD : NEW);
        assert_int_equal(run_restore(fleet.data_dir, backup), EXIT_ASKED);
        assert_int_equal(content_after_start(), NEW);
        fleet_end(state);
        assert_int_equal(fleet_begin(state), 0);
    }
}

/* Nothing to keep: until the new one is in place nothing may be made up in its stead. */
static void a_damaged_or_missing_one_is_set_aside_as_it_is(void **state)
{
    for (unsigned count = 0; count <= RESTORE_STEP_COUNT; count++)
        for (unsigned missing = 0; missing < 3; missing++) {
            prepare();
            if (missing == 0)
                put_file(fleet.paths.file[DB_FILE_MAIN], "garbage, not a database", 23);
            else
                unlink(fleet.paths.file[DB_FILE_MAIN]);
            if (missing == 2)
                unlink(fleet.paths.app_id);
            take_steps(count);
            if (count > RESTORE_REPLACE)
                assert_int_equal(content_after_start(), NEW);
            else if (count > RESTORE_KEEP)
                assert_int_equal(content_after_start(), NOTHING);
            else if (missing != 1) /* it must refuse: what lies there is for a person to judge */
                assert_int_equal(run_setup(NULL), EXIT_TEMPORARY);
            assert_int_equal(run_restore(fleet.data_dir, backup), EXIT_ASKED);
            assert_int_equal(content_after_start(), NEW);
            fleet_end(state);
            assert_int_equal(fleet_begin(state), 0);
        }
}

static void killed_at_any_time_one_of_the_two_is_complete(void **state)
{
    unsigned seen[4] = {0};
    uint64_t span_us = 0;
    for (unsigned round = 0; round < 40; round++) {
        prepare();
        if (span_us == 0) { /* how long one takes here */
            uint64_t start_ns = clock_now_ns();
            assert_int_equal(run_restore(fleet.data_dir, backup), EXIT_ASKED);
            span_us = (clock_now_ns() - start_ns) / NS_PER_US;
        } else {
            const struct timespec pause = {
                .tv_nsec = (long)((span_us * round / 36 % 1000000) * NS_PER_US)};
            pid_t pid = start_restore(fleet.data_dir, backup);
            nanosleep(&pause, NULL);
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
        enum content content = content_after_start();
        assert_true(content == OLD || content == NEW);
        seen[content]++;
        fleet_end(state);
        assert_int_equal(fleet_begin(state), 0);
    }
    print_message("           killed within %llu us: %u old, %u new\n", (unsigned long long)span_us,
                  seen[OLD], seen[NEW]);
}

static void an_empty_directory_gets_the_database(void **state)
{
    (void)state;
    prepare();
    for (int i = 0; i < DB_FILE_COUNT; i++)
        unlink(fleet.paths.file[i]);
    unlink(fleet.paths.app_id);
    assert_int_equal(run_restore(fleet.data_dir, backup), EXIT_ASKED);
    assert_int_equal(set_aside(), 0);
    assert_int_equal(content_after_start(), NEW);
}

static void what_is_no_backup_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    char file[128], beside[140];
    sqlite3 *db;
    prepare();
    in_data_dir(file, "garbage.db");
    put_file(file, "SQLite format 3\0 and then nothing of the kind", 45);
    assert_int_equal(run_restore(fleet.data_dir, file), EXIT_CONFIGURATION);
    in_data_dir(file, "foreign.db");
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    must(db, "CREATE TABLE t(x)");
    sqlite3_close(db);
    assert_int_equal(run_restore(fleet.data_dir, file), EXIT_CONFIGURATION);
    in_data_dir(file, "absent.db");
    assert_int_equal(run_restore(fleet.data_dir, file), EXIT_CONFIGURATION);
    assert_int_equal(run_restore(fleet.data_dir, fleet.paths.file[DB_FILE_MAIN]),
                     EXIT_CONFIGURATION);
    assert_int_equal(run_restore("/nonexistent", backup), EXIT_TEMPORARY);
    /* cut off: its header and schema are there */
    in_data_dir(file, "short.db");
    copy_file(backup, file);
    assert_int_equal(truncate(file, 7 * 4096), 0);
    assert_int_equal(run_restore(fleet.data_dir, file), EXIT_CONFIGURATION);
    /* a page of a table that only quick_check looks at */
    copy_file(backup, file);
    int fd = open(file, O_RDWR | O_CLOEXEC);
    assert_int_equal(
        pwrite(fd, "\377\377\377\377\377\377\377\377", 8, lseek(fd, 0, SEEK_END) - 4096), 8);
    close(fd);
    assert_int_equal(run_restore(fleet.data_dir, file), EXIT_CONFIGURATION);
    /* a copy of a database in use, its log beside it */
    snprintf(beside, sizeof beside, "%s-wal", backup);
    put_file(beside, "x", 1);
    assert_int_equal(run_restore(fleet.data_dir, backup), EXIT_CONFIGURATION);
    unlink(beside);
    assert_int_equal(set_aside(), 0);
    in_data_dir(file, "app.db.restore");
    assert_true(access(file, F_OK) < 0);
    assert_int_equal(content_after_start(), OLD);
}

static void a_directory_in_use_is_refused(void **state)
{
    (void)state;
    char path[128];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    prepare();
    in_data_dir(path, "lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(fcntl(fd, F_SETLK, &lock), 0);
    assert_int_equal(run_restore(fleet.data_dir, backup), EXIT_TEMPORARY);
    close(fd);
    /* and so is a database that a program outside has open for writing */
    struct db_error error;
    sqlite3 *db;
    assert_int_equal(db_open(&fleet.paths, DB_WRITER, DURABILITY_NORMAL, NULL, &db, &error), 0);
    must(db, "BEGIN IMMEDIATE");
    assert_int_equal(run_restore(fleet.data_dir, backup), EXIT_TEMPORARY);
    db_close(db);
    assert_int_equal(set_aside(), 0);
    assert_int_equal(content_after_start(), OLD);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, fleet_begin, fleet_end)
    const struct CMUnitTest tests[] = {
        TEST(it_replaces_the_database_and_keeps_the_old_one),
        TEST(ended_after_any_step_one_of_the_two_is_complete),
        TEST(a_damaged_or_missing_one_is_set_aside_as_it_is),
        TEST(killed_at_any_time_one_of_the_two_is_complete),
        TEST(an_empty_directory_gets_the_database),
        TEST(what_is_no_backup_is_refused_and_changes_nothing),
        TEST(a_directory_in_use_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
