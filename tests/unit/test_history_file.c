/* SPDX-License-Identifier: MIT */
/* metrics.db: rows go in and come back, and whatever is in its place does not stop a new one. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/console/history_file.h"

static char directory[64], path[128], aside[160];
static struct history_file file;
static bool fresh;

static int make(void **unused)
{
    (void)unused;
    snprintf(directory, sizeof directory, "/tmp/bulkhead-history-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/metrics.db", directory);
    snprintf(aside, sizeof aside, "%s.aside", path);
    history_file_init(&file, directory);
    return 0;
}

static int unmake(void **unused)
{
    (void)unused;
    char command[192];
    history_file_close(&file);
    snprintf(command, sizeof command, "chmod -R u+rwx %s && rm -r %s", directory, directory);
    return system(command);
}

static void open_it(void)
{
    if (!history_file_open(&file, &fresh))
        fail_msg("%s", file.error);
}

/* A row whose every value is its time, but for one that is null. */
static bool put(unsigned step, int64_t time)
{
    float values[SERIES_NUMBER];
    for (unsigned i = 0; i < SERIES_NUMBER; i++)
        values[i] = (float)time;
    values[SERIES_p95_ms] = NAN;
    return history_file_put(&file, step, time, values);
}

static void fill(unsigned step, int64_t first, int64_t last)
{
    assert_true(history_file_begin(&file));
    for (int64_t t = first; t <= last; t += step)
        assert_true(put(step, t));
    assert_true(history_file_commit(&file));
}

struct found {
    unsigned rows, limit;
    int64_t first, last;
};

static bool take(void *argument, unsigned step, int64_t time, const float values[SERIES_NUMBER])
{
    struct found *found = argument;
    (void)step;
    assert_true(found->rows == 0 || time > found->last);
    assert_true(values[SERIES_requests_per_s] == (float)time);
    assert_true(values[SERIES_NUMBER - 1] == (float)time);
    assert_true(isnan(values[SERIES_p95_ms]));
    if (found->rows++ == 0)
        found->first = time;
    found->last = time;
    return found->rows != found->limit;
}

static struct found load(unsigned step, int64_t after, int64_t until, unsigned limit)
{
    struct found found = {.limit = limit};
    if (!history_file_load(&file, step, after, until, take, &found))
        fail_msg("%s", file.error);
    return found;
}

static void write_file(const char *name, const char *text, off_t at)
{
    int fd = open(name, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0 && pwrite(fd, text, strlen(text), at) == (ssize_t)strlen(text));
    close(fd);
}

static bool exists(const char *name)
{
    return access(name, F_OK) == 0;
}

/* ---- rows ---------------------------------------------------------------------------------- */

static void rows_outlive_the_process(void **unused)
{
    (void)unused;
    struct stat status;
    open_it();
    assert_true(fresh);
    fill(1, 1001, 1030);
    fill(10, 900, 1030);
    history_file_close(&file);
    open_it();
    assert_false(fresh);
    assert_string_equal(file.note, "");
    struct found found = load(1, 1010, 1020, 0);
    assert_int_equal(found.rows, 10);
    assert_int_equal(found.first, 1011);
    assert_int_equal(found.last, 1020);
    assert_int_equal(load(10, 0, 5000, 0).rows, 14);
    assert_int_equal(load(1, 0, 5000, 3).rows, 3); /* who takes may stop */
    fill(1, 1030, 1031);                           /* the same time again is the same row */
    assert_int_equal(load(1, 0, 5000, 0).rows, 31);
    assert_int_equal(stat(path, &status), 0);
}

static void pruning_goes_in_small_steps(void **unused)
{
    (void)unused;
    open_it();
    fill(1, 1, 300);
    fill(10, 10, 300);
    unsigned before = 300;
    for (unsigned turns = 0; turns < 10; turns++) {
        assert_true(history_file_begin(&file) && history_file_prune(&file, 1, 200, 290) &&
                    history_file_commit(&file));
        unsigned left = load(1, 0, 5000, 0).rows;
        assert_true(before - left <= 128);
        before = left;
    }
    struct found found = load(1, 0, 5000, 0);
    assert_int_equal(found.first, 200);
    assert_int_equal(found.last, 290);
    assert_int_equal(load(10, 0, 5000, 0).rows, 30); /* another step's are left alone */
}

/* ---- what is in the way -------------------------------------------------------------------- */

static void assert_made_anew(const char *because)
{
    open_it();
    assert_true(fresh);
    if (!strstr(file.note, because))
        fail_msg("\"%s\" does not say \"%s\"", file.note, because);
    assert_true(exists(aside));
    fill(1, 1, 3);
    assert_int_equal(load(1, 0, 10, 0).rows, 3);
    history_file_close(&file);
    file.note[0] = '\0';
    open_it();
    assert_false(fresh);
}

static void garbage_is_set_aside(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 50; i++)
        write_file(path, "this is no database, whatever its name says; it is only text. ", 60 * i);
    assert_made_anew("not a database");
}

static void a_file_of_other_series_is_set_aside(void **unused)
{
    (void)unused;
    open_it();
    assert_int_equal(sqlite3_exec(file.db, "PRAGMA user_version=77", NULL, NULL, NULL), 0);
    history_file_close(&file);
    assert_made_anew("other series");
    /* once more: one is kept, the newest */
    assert_int_equal(sqlite3_exec(file.db, "PRAGMA user_version=78", NULL, NULL, NULL), 0);
    history_file_close(&file);
    assert_made_anew("other series");
}

static void another_programs_file_is_set_aside(void **unused)
{
    (void)unused;
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE metrics_events(x)", NULL, NULL, NULL), 0);
    sqlite3_close(db);
    assert_made_anew("another program's");
}

static void a_directory_is_set_aside(void **unused)
{
    (void)unused;
    char journal[160];
    snprintf(journal, sizeof journal, "%s-journal", path);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file(journal, "a journal of nothing", 0);
    assert_made_anew("unable to open");
    assert_false(exists(journal));
}

static void a_damaged_page_is_found_and_the_next_file_is_good(void **unused)
{
    (void)unused;
    struct found found = {0};
    open_it();
    fill(1, 1, 600);
    history_file_close(&file);
    for (off_t page = 4096 * 3; page < 4096 * 40; page += 4096)
        write_file(path, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", page);
    open_it();
    assert_false(history_file_load(&file, 1, 0, 5000, take, &found));
    assert_non_null(strstr(file.error, "malformed"));
    assert_null(file.db);
    assert_made_anew("damaged");
}

/* ---- trouble while it runs ----------------------------------------------------------------- */

static void a_file_taken_away_is_noticed(void **unused)
{
    (void)unused;
    open_it();
    assert_true(history_file_is_there(&file));
    assert_int_equal(rename(path, aside), 0);
    assert_false(history_file_is_there(&file));
    write_file(path, "", 0);
    assert_false(history_file_is_there(&file)); /* another file of that name is not it */
}

static void a_foreign_lock_passes(void **unused)
{
    (void)unused;
    sqlite3 *other;
    open_it();
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    assert_false(history_file_begin(&file));
    assert_non_null(strstr(file.error, "locked"));
    assert_non_null(file.db); /* nothing is wrong with it */
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    fill(1, 1, 3);
    /* met at the opening, it is no reason to set the file aside */
    assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    history_file_close(&file);
    assert_false(history_file_open(&file, &fresh));
    assert_null(file.db);
    assert_false(exists(aside));
    sqlite3_close(other);
    open_it();
    assert_false(fresh);
}

static void without_descriptors_nothing_is_set_aside(void **unused)
{
    (void)unused;
    struct rlimit before;
    open_it();
    fill(1, 1, 3);
    history_file_close(&file);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(next);
    /* none for the file; then one for it, and none for a journal or a directory */
    for (int more = 0; more < 2; more++) {
        struct rlimit limit = {(rlim_t)(next + more), before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        bool opened = history_file_open(&file, &fresh);
        bool written =
            opened && history_file_begin(&file) && put(1, 4) && history_file_commit(&file);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_false(written);
        assert_true(file.error[0]);
        history_file_close(&file);
        assert_false(exists(aside));
    }
    open_it();
    assert_false(fresh);
}

static void a_full_disk_passes(void **unused)
{
    (void)unused;
    int64_t t = 1;
    open_it();
    assert_int_equal(sqlite3_exec(file.db, "PRAGMA max_page_count=20", NULL, NULL, NULL), 0);
    assert_true(history_file_begin(&file));
    while (t < 10000 && put(1, t))
        t++;
    assert_non_null(strstr(file.error, "full"));
    assert_non_null(file.db);
    assert_int_equal(load(1, 0, 10000, 0).rows, 0); /* all of it was undone */
    assert_int_equal(sqlite3_exec(file.db, "PRAGMA max_page_count=2000", NULL, NULL, NULL), 0);
    fill(1, 1, 200);
    assert_int_equal(load(1, 0, 10000, 0).rows, 200);
}

/* For every connection that is opened from now on. */
static int one_page_is_enough(sqlite3 *db, char **error, const void *unused)
{
    (void)error;
    (void)unused;
    sqlite3_exec(db, "PRAGMA max_page_count=1", NULL, NULL, NULL);
    return SQLITE_OK;
}

static void half_made_is_not_open(void **unused)
{
    (void)unused;
    void (*hook)(void) = (void (*)(void))one_page_is_enough;
    open_it();
    assert_int_equal(sqlite3_exec(file.db, "PRAGMA user_version=77", NULL, NULL, NULL), 0);
    history_file_close(&file);
    assert_int_equal(sqlite3_auto_extension(hook), SQLITE_OK);
    bool opened = history_file_open(&file, &fresh);
    sqlite3_cancel_auto_extension(hook);
    assert_false(opened);
    if (!strstr(file.error, "it cannot be made") || !strstr(file.error, "full"))
        fail_msg("%s", file.error);
    assert_null(file.db);
    open_it(); /* and the next is whole */
    fill(1, 1, 3);
}

static void a_truncated_file_is_opened_anew(void **unused)
{
    (void)unused;
    open_it();
    fill(1, 1, 100);
    assert_int_equal(truncate(path, 0), 0);
    assert_false(history_file_begin(&file) && put(1, 101) && history_file_commit(&file));
    assert_null(file.db);
    open_it();
    assert_true(fresh);
    fill(1, 1, 101);
    assert_int_equal(load(1, 0, 1000, 0).rows, 101);
}

static void a_directory_that_is_gone_is_an_error_and_no_more(void **unused)
{
    (void)unused;
    struct history_file nowhere;
    history_file_init(&nowhere, "/tmp/bulkhead-history-nowhere");
    assert_false(history_file_open(&nowhere, &fresh));
    assert_null(nowhere.db);
    assert_true(strlen(nowhere.error) > 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(rows_outlive_the_process),
        CASE(pruning_goes_in_small_steps),
        CASE(garbage_is_set_aside),
        CASE(a_file_of_other_series_is_set_aside),
        CASE(another_programs_file_is_set_aside),
        CASE(a_directory_is_set_aside),
        CASE(a_damaged_page_is_found_and_the_next_file_is_good),
        CASE(a_file_taken_away_is_noticed),
        CASE(a_foreign_lock_passes),
        CASE(without_descriptors_nothing_is_set_aside),
        CASE(a_full_disk_passes),
        CASE(half_made_is_not_open),
        CASE(a_truncated_file_is_opened_anew),
        CASE(a_directory_that_is_gone_is_an_error_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
