/* SPDX-License-Identifier: MIT */
/* Backups: their names, when one is due, which are deleted, and what a report answers. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/region.h"
#include "supervisor/backup_desk.h"
#include "supervisor/sentinel/backup_files.h"
#include "supervisor/verdict.h"

#define NOON UINT64_C(1700000000) /* 2023-11-14T22:13:20Z */

static char directory[64];

static int begin(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/bulkhead-backup-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static void path_of(char out[200], const char *name)
{
    snprintf(out, 200, "%s/%.100s", directory, name);
}

static void make(const char *name)
{
    char path[200];
    path_of(path, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static bool exists(const char *name)
{
    char path[200];
    path_of(path, name);
    return access(path, F_OK) == 0;
}

static int end(void **state)
{
    (void)state;
    char path[400];
    DIR *listing = opendir(directory);
    const struct dirent *entry;
    while (listing && (entry = readdir(listing))) {
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        unlink(path);
    }
    closedir(listing);
    return rmdir(directory);
}

static void a_name_tells_its_time(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        "app.db",
        "app-20231114T221320Z.db.new",
        "app-20231114T221320Z.dbx",
        "app-20231314T221320Z.db",
        "app-2023111T221320Z.db",
        "app- 0231114T221320Z.db",
        "x-app-20231114T221320Z.db",
        "app-19690101T000000Z.db",
    };
    char name[BACKUP_NAME_SIZE];
    backup_name(name, NOON);
    assert_string_equal(name, "app-20231114T221320Z.db");
    assert_int_equal(backup_name_time(name), NOON);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(backup_name_time(others[i]), 0);
}

static void one_is_due_after_the_newest_or_the_birth(void **state)
{
    (void)state;
    assert_false(backup_is_due(NOON, 0, 60, NOON + 3599));
    assert_true(backup_is_due(NOON, 0, 60, NOON + 3600));
    assert_false(backup_is_due(0, NOON, 60, NOON + 3599));
    assert_true(backup_is_due(0, NOON, 60, NOON + 3600));
    assert_false(backup_is_due(NOON, NOON - 7200, 60, NOON + 10));
    assert_false(backup_is_due(NOON, 0, 0, NOON + 1000000)); /* only on request */
    assert_false(backup_is_due(NOON, 0, 60, NOON - 100));
}

static void room_is_for_the_copy_and_what_keeps_writes_allowed(void **state)
{
    (void)state;
    const uint64_t mib = UINT64_C(1) << 20;
    assert_int_equal(backup_room_needed(1000, 100000 * mib, 0), 64 * mib + 1000);
    assert_int_equal(backup_room_needed(1000, 100000 * mib, 64 * mib), 80 * mib + 1000);
    assert_int_equal(backup_room_needed(1000, 100000 * mib, 1000 * mib), 1250 * mib + 1000);
    /* 2 % of the disk are the most that is kept */
    assert_int_equal(backup_room_needed(1000, 20000 * mib, 1000 * mib), 500 * mib + 1000);
    assert_int_equal(backup_room_needed(1000, 100 * mib, 1000 * mib), 64 * mib + 1000);

    /* and the copy, once made, is none of a full disk */
    const struct verdict_limits limits = {.reserve_bytes = 1000 * mib};
    struct watch watch = {.identity = IDENTITY_SAME, .room_bytes = 100000 * mib};
    watch.free_bytes = backup_room_needed(1000, watch.room_bytes, limits.reserve_bytes) - 1000;
    assert_int_equal(verdict_of_look(&watch, &limits, DB_STATE_FULL), DB_STATE_UP);
    watch.free_bytes--;
    assert_int_equal(verdict_of_look(&watch, &limits, DB_STATE_FULL), DB_STATE_FULL);
}

static void a_clock_that_was_wrong_does_not_end_backups(void **state)
{
    (void)state;
    assert_int_equal(backup_newest(directory, NOON), 0);
    make("app-20231114T221320Z.db");
    make("app-20231113T221320Z.db");
    make("app-20331113T221320Z.db");
    assert_int_equal(backup_newest(directory, NOON + 5), NOON);
    assert_int_equal(backup_newest("/nonexistent", NOON), 0);
}

static void the_oldest_go_and_nothing_else(void **state)
{
    (void)state;
    make("app-20231111T000000Z.db");
    make("app-20231112T000000Z.db");
    make("app-20231113T000000Z.db");
    make("app-20231114T000000Z.db.new");
    make("app-1.db");
    make("notes");
    assert_int_equal(backup_prune(directory, 2, "app-20231113T000000Z.db", NOON), 0);
    assert_false(exists("app-20231111T000000Z.db"));
    assert_true(exists("app-20231112T000000Z.db") && exists("app-20231113T000000Z.db"));
    assert_true(exists("app-20231114T000000Z.db.new") && exists("app-1.db") && exists("notes"));
    assert_int_equal(backup_prune(directory, 7, "app-20231113T000000Z.db", NOON), 0);
    assert_true(exists("app-20231112T000000Z.db"));
}

static void the_one_just_made_stays_whatever_its_name(void **state)
{
    (void)state;
    make("app-20231112T000000Z.db"); /* made last, by a clock set back */
    make("app-20231113T000000Z.db");
    make("app-20231114T000000Z.db");
    assert_int_equal(backup_prune(directory, 2, "app-20231112T000000Z.db", NOON), 0);
    assert_true(exists("app-20231112T000000Z.db") && exists("app-20231114T000000Z.db"));
    assert_false(exists("app-20231113T000000Z.db"));
    assert_int_equal(backup_prune(directory, 1, "app-20231112T000000Z.db", NOON), 0);
    assert_true(exists("app-20231112T000000Z.db") && !exists("app-20231114T000000Z.db"));
}

static void those_of_the_future_go_first(void **state)
{
    (void)state;
    make("app-20231113T000000Z.db");
    make("app-20231114T221320Z.db"); /* now */
    make("app-20331113T000000Z.db");
    make("app-20331114T000000Z.db");
    assert_int_equal(backup_prune(directory, 2, "app-20231114T221320Z.db", NOON), 0);
    assert_true(exists("app-20231113T000000Z.db") && exists("app-20231114T221320Z.db"));
    assert_false(exists("app-20331113T000000Z.db") || exists("app-20331114T000000Z.db"));
}

static void what_was_left_unfinished_goes_and_nothing_else(void **state)
{
    (void)state;
    make("app-20231113T000000Z.db");
    make("app-20231114T000000Z.db.new");
    make("app-20231114T000000Z.db.new-journal");
    make("mine.db.new");
    backup_remove_unfinished(directory);
    assert_true(exists("app-20231113T000000Z.db") && exists("mine.db.new"));
    assert_false(exists("app-20231114T000000Z.db.new"));
    assert_false(exists("app-20231114T000000Z.db.new-journal"));
}

static void a_report_answers_requests_up_to_its_number(void **state)
{
    (void)state;
    struct backup_report report = {.request = 3, .result = BACKUP_DONE};
    assert_true(backup_desk_is_answered(&report, 2));
    assert_true(backup_desk_is_answered(&report, 3));
    assert_false(backup_desk_is_answered(&report, 4)); /* its snapshot is older than the request */
    report.result = BACKUP_FAILED;
    assert_true(backup_desk_is_answered(&report, 3));
    report.result = BACKUP_RUNNING;
    assert_false(backup_desk_is_answered(&report, 3));
    report.result = 77; /* a corrupt page */
    assert_false(backup_desk_is_answered(&report, 3));
}

int main(void)
{
#define FILES(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_tells_its_time),
        cmocka_unit_test(one_is_due_after_the_newest_or_the_birth),
        cmocka_unit_test(room_is_for_the_copy_and_what_keeps_writes_allowed),
        FILES(a_clock_that_was_wrong_does_not_end_backups),
        FILES(the_oldest_go_and_nothing_else),
        FILES(the_one_just_made_stays_whatever_its_name),
        FILES(those_of_the_future_go_first),
        FILES(what_was_left_unfinished_goes_and_nothing_else),
        cmocka_unit_test(a_report_answers_requests_up_to_its_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
