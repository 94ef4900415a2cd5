/* SPDX-License-Identifier: MIT */
/* --check says what would keep a directory from being served, and changes nothing at all. */
#include "tests/unit/setup_bed.h"

static char check_said[1024];

static int run_check(const char *directory)
{
    char path[300];
    int pipe_fds[2], status;
    size_t length = 0;
    program_path(path);
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipe_fds[1], 1);
        dup2(pipe_fds[1], 2);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        execl(path, "sentinel", "--check", directory, (char *)NULL);
        _exit(127);
    }
    close(pipe_fds[1]);
    for (ssize_t n;
         length < sizeof check_said - 1 &&
         (n = read(pipe_fds[0], check_said + length, sizeof check_said - 1 - length)) > 0;)
        length += (size_t)n;
    check_said[length] = '\0';
    close(pipe_fds[0]);
    waitpid(pid, &status, 0);
    /* one line, always */
    assert_non_null(strchr(check_said, '\n'));
    assert_ptr_equal(strchr(check_said, '\n'), check_said + length - 1);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void assert_check(int code, const char *cause)
{
    uint64_t before = fingerprint();
    assert_int_equal(run_check(fleet.data_dir), code);
    if (!strstr(check_said, cause))
        fail_msg("\"%s\" does not say \"%s\"", check_said, cause);
    assert_true(fingerprint() == before);
}

static void check_is_content_with_what_can_be_served(void **state)
{
    (void)state;
    char missing[128];
    assert_check(EXIT_ASKED, "no database yet");
    in_data_dir(missing, "not-there");
    assert_int_equal(run_check(missing), EXIT_ASKED);
    assert_files("");
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    assert_check(EXIT_ASKED, "in order");
    /* also when the sidecars are not there: none is made */
    unlink(fleet.paths.file[DB_FILE_WAL]);
    unlink(fleet.paths.file[DB_FILE_SHM]);
    assert_check(EXIT_ASKED, "in order");
}

static void check_names_what_is_wrong(void **state)
{
    (void)state;
    char path[128];
    const char *main_file = fleet.paths.file[DB_FILE_MAIN];
    assert_int_equal(run_check("/nonexistent/directory"), EXIT_TEMPORARY);
    assert_int_equal(run_check("/etc/hostname"), EXIT_CONFIGURATION);
    assert_int_equal(chmod(fleet.data_dir, 0777), 0);
    assert_check(EXIT_CONFIGURATION, "chmod 700");
    assert_int_equal(chmod(fleet.data_dir, 0700), 0);
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    in_data_dir(path, "jwt.key");
    assert_int_equal(chmod(path, 0644), 0);
    assert_check(EXIT_CONFIGURATION, "jwt.key");
    assert_int_equal(chmod(path, 0600), 0);
    run_sql(main_file, "PRAGMA user_version = 7");
    assert_check(EXIT_TEMPORARY, "version 7");
    put_file(main_file, "not a database at all", 21);
    assert_check(EXIT_TEMPORARY, "not a database");
    unlink(main_file);
    assert_check(EXIT_TEMPORARY, "app.db is gone");
}

static void check_does_not_disturb_a_server(void **state)
{
    (void)state;
    sqlite3 *db;
    struct db_error error;
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    assert_int_equal(db_open(&fleet.paths, DB_WRITER, DURABILITY_FULL, NULL, &db, &error), 0);
    assert_int_equal(db_exec(db, "BEGIN IMMEDIATE"), 0);
    assert_int_equal(db_exec(db, "UPDATE probe SET tick = 5"), 0);
    assert_int_equal(run_check(fleet.data_dir), EXIT_ASKED);
    assert_int_equal(db_exec(db, "COMMIT"), 0);
    db_close(db);
}

/* ---- how it is started -------------------------------------------------------------------- */

static void by_hand_it_says_how_it_is_started(void **state)
{
    (void)state;
    char path[300], command[400];
    program_path(path);
    snprintf(command, sizeof command, "%s 2>&1 | grep -q supervisor", path);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "%s --nonsense 2>/dev/null", path);
    assert_int_equal(WEXITSTATUS(system(command)), EXIT_CONFIGURATION);
    snprintf(command, sizeof command, "%s --check 2>/dev/null", path);
    assert_int_equal(WEXITSTATUS(system(command)), EXIT_CONFIGURATION);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, fleet_begin, fleet_end)
    const struct CMUnitTest tests[] = {
        TEST(check_is_content_with_what_can_be_served),
        TEST(check_names_what_is_wrong),
        TEST(check_does_not_disturb_a_server),
        TEST(by_hand_it_says_how_it_is_started),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
