/* SPDX-License-Identifier: MIT */
/* Letting go of the files and finding them anew; and which sidecars may stay. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/reopen.h"
#include "supervisor/sentinel/orphans.h"

#define S UINT64_C(1000000000)

static void what_makes_it_let_go(void **unused)
{
    (void)unused;
    for (unsigned state = 0; state < DB_STATE_COUNT; state++) {
        struct reopen reopen = {0};
        struct reopen_facts facts = {.state = (enum db_state)state, .identity_known = true};
        bool expected = state == DB_STATE_REPLACED || state == DB_STATE_CORRUPT;
        assert_int_equal(reopen_step(&reopen, &facts, S), expected ? REOPEN_CLOSE : REOPEN_NOTHING);
        assert_int_equal(reopen.phase, expected ? REOPEN_CLOSING : REOPEN_SETTLED);
        reopen = (struct reopen){0};
        facts.fsync_failed = true;
        assert_int_equal(reopen_step(&reopen, &facts, S), REOPEN_CLOSE);
        /* before any files are known there is nothing to let go of */
        reopen = (struct reopen){0};
        facts.identity_known = false;
        assert_int_equal(reopen_step(&reopen, &facts, S), REOPEN_NOTHING);
    }
}

static void the_first_files_are_adopted(void **unused)
{
    (void)unused;
    struct reopen reopen = {0};
    struct reopen_facts facts = {.state = DB_STATE_UP};
    assert_int_equal(reopen_step(&reopen, &facts, S), REOPEN_NOTHING);
    facts.found = true;
    assert_int_equal(reopen_step(&reopen, &facts, S), REOPEN_ADOPT);
    facts.identity_known = true;
    assert_int_equal(reopen_step(&reopen, &facts, S), REOPEN_NOTHING);
}

static void all_close_before_anybody_opens(void **unused)
{
    (void)unused;
    struct reopen reopen = {0};
    struct reopen_facts facts = {.state = DB_STATE_REPLACED, .identity_known = true};
    assert_int_equal(reopen_step(&reopen, &facts, 10 * S), REOPEN_CLOSE);
    facts.found = true; /* a look from before */
    assert_int_equal(reopen_step(&reopen, &facts, 10 * S + S / 2), REOPEN_NOTHING);
    assert_int_equal(reopen_step(&reopen, &facts, 11 * S), REOPEN_KILL);
    assert_int_equal(reopen_step(&reopen, &facts, 12 * S), REOPEN_KILL); /* some may take longer */
    assert_int_equal(reopen.phase, REOPEN_CLOSING);
    facts.all_closed = true;
    facts.found = false;
    assert_int_equal(reopen_step(&reopen, &facts, 13 * S), REOPEN_OPEN);
    facts.identity_known = false;
    assert_int_equal(reopen_step(&reopen, &facts, 14 * S), REOPEN_NOTHING);
    assert_int_equal(reopen.phase, REOPEN_SEEKING);
    facts.found = true;
    assert_int_equal(reopen_step(&reopen, &facts, 15 * S), REOPEN_ADOPT);
    assert_int_equal(reopen.phase, REOPEN_SETTLED);
}

static void which_sidecars_are_orphans(void **unused)
{
    (void)unused;
    static const struct {
        uint64_t before_main, before_wal, now_main, now_wal;
        bool orphan;
    } rows[] = {
        {1, 2, 1, 2, false}, /* all as it was */
        {1, 2, 9, 2, true},  /* app.db replaced, the old log beside it */
        {1, 2, 9, 8, false}, /* replaced together */
        {1, 2, 1, 8, true},  /* somebody put another log there */
        {1, 2, 1, 0, false}, /* it is gone */
        {1, 2, 9, 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct db_identity before = {.inode = {rows[i].before_main, rows[i].before_wal, 0}};
        struct db_identity now = {.inode = {rows[i].now_main, rows[i].now_wal, 0}};
        assert_int_equal(orphan_is(DB_FILE_WAL, &before, &now), rows[i].orphan);
    }
}

static void touch(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
}

static void orphans_are_renamed_and_kept(void **unused)
{
    (void)unused;
    char directory[] = "/tmp/bulkhead-orphans-XXXXXX", command[64];
    struct db_paths paths;
    struct db_identity before, now;
    struct orphans first, second;
    struct stat status;
    assert_non_null(mkdtemp(directory));
    db_paths_set(&paths, directory);
    for (int i = 0; i < DB_FILE_COUNT; i++)
        touch(paths.file[i]);
    assert_int_equal(db_identity_stat(&paths, &before), 0);
    now = before;
    now.inode[DB_FILE_MAIN]++;
    assert_int_equal(orphans_set_aside(&paths, &before, &now, &first), 0);
    assert_int_equal(first.count, 2);
    assert_string_equal(first.names, "app.db-wal, app.db-shm");
    for (int i = DB_FILE_WAL; i < DB_FILE_COUNT; i++) {
        char aside[400];
        snprintf(aside, sizeof aside, "%s%s", paths.file[i], first.suffix);
        assert_int_equal(stat(aside, &status), 0);
        assert_true(stat(paths.file[i], &status) < 0);
        touch(paths.file[i]);
    }
    /* a second pair does not overwrite the first */
    assert_int_equal(orphans_set_aside(&paths, &now, &before, &second), 0);
    assert_int_equal(second.count, 2);
    assert_string_not_equal(first.suffix, second.suffix);
    /* what cannot be renamed is named */
    assert_int_not_equal(orphans_set_aside(&paths, &before, &now, &second), 0);
    assert_string_equal(second.names, "app.db-wal");
    snprintf(command, sizeof command, "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_makes_it_let_go),
        cmocka_unit_test(the_first_files_are_adopted),
        cmocka_unit_test(all_close_before_anybody_opens),
        cmocka_unit_test(which_sidecars_are_orphans),
        cmocka_unit_test(orphans_are_renamed_and_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
