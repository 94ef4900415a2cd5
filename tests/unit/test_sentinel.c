/* SPDX-License-Identifier: MIT */
/* The sentinel sees what happens to app.db, in time and without opening what is not ours. */
#include "tests/unit/sentinel_bed.h"

static void the_first_look_tells_everything(void **state)
{
    (void)state;
    char id[64];
    struct db_identity files;
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    /* Somebody tidied up; what the look sees must be the files it leaves. */
    unlink(fleet.paths.file[DB_FILE_WAL]);
    unlink(fleet.paths.file[DB_FILE_SHM]);
    uint64_t start_ns = clock_now_ns();
    start_sentinel();
    assert_true(clock_now_ns() - start_ns < 500 * NOISE * NS_PER_MS);
    assert_true(sees_all_well());
    assert_string_equal(watch.evidence, "");
    db_identity_stat(&fleet.paths, &files);
    assert_memory_equal(files.inode, watch.seen.inode, sizeof files.inode);
    assert_memory_equal(files.device, watch.seen.device, sizeof files.device);
    assert_true(files.inode[DB_FILE_WAL] != 0 && files.inode[DB_FILE_SHM] != 0);
    get_file(fleet.paths.app_id, id, sizeof id);
    id[strcspn(id, "\n")] = '\0';
    assert_string_equal(id, watch.seen.app_id);
    assert_true(watch.free_bytes > 0);
    assert_true(watch.wal_bytes > 0); /* the write probe's own frames */
    assert_true(watch.tick_ns >= start_ns && watch.tick >= 1);
    assert_int_equal(child_stop(), EXIT_ASKED);
}

static bool has_entered(void)
{
    return atomic_load(&region_slot(fleet.region, SENTINEL_SLOT)->generation) == fleet.generation;
}

/* Killed before it did anything it would else be charged with them once more. */
static void what_the_process_before_had_in_hand_is_not_its_own(void **state)
{
    (void)state;
    struct slot *slot = region_slot(fleet.region, SENTINEL_SLOT);
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    atomic_store(&slot->open_requests, 7);
    atomic_store(&slot->cell[3].in_request, 1);
    start_sentinel();
    assert_true(comes_true(has_entered, 2000));
    assert_int_equal(atomic_load(&slot->open_requests), 0);
    assert_int_equal(atomic_load(&slot->cell[3].in_request), 0);
    assert_int_equal(child_stop(), EXIT_ASKED);
}

/* On average, over some two seconds. */
static double ms_between_looks(void)
{
    const struct watch first = *look();
    after_looks(7);
    return (double)(watch.tick_ns - first.tick_ns) / (double)(watch.tick - first.tick) /
           (double)NS_PER_MS;
}

static void looks_come_four_times_a_second(void **state)
{
    (void)state;
    watching();
    after_looks(1);
    /* By the sentinel's own clock, and the best of three: a busy machine makes looks late. */
    double apart_ms = 1000;
    for (unsigned i = 0; i < 3 && apart_ms > 333; i++) {
        apart_ms = ms_between_looks();
        assert_true(apart_ms >= 200);
    }
    assert_true(apart_ms <= 333);
    uint64_t age =
        clock_now_ns() - atomic_load(&region_slot(fleet.region, SENTINEL_SLOT)->heartbeat_ns);
    assert_true(age < 400 * NOISE * NS_PER_MS);
    /* The next process goes on counting: a number said twice would be taken for silence. */
    uint64_t first = look()->tick;
    assert_int_equal(child_stop(), EXIT_ASKED);
    start_sentinel();
    assert_true(look()->tick > first);
}

static void a_moved_database_is_missed_and_welcomed_back(void **state)
{
    (void)state;
    enum { ROUNDS = 8 };
    char away[128];
    unsigned early = 0;
    in_data_dir(away, "elsewhere.db");
    watching();
    uint64_t inode = watch.seen.inode[DB_FILE_MAIN];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start_ns = clock_now_ns();
        assert_int_equal(rename(fleet.paths.file[DB_FILE_MAIN], away), 0);
        assert_true(comes_true(sees_missing, 500));
        early += watch.tick_ns - start_ns < 200 * NS_PER_MS;
        assert_non_null(strstr(watch.evidence, "app.db is gone from"));
        assert_int_equal(rename(away, fleet.paths.file[DB_FILE_MAIN]), 0);
        assert_true(comes_true(sees_all_well, 1000));
        assert_true(watch.seen.inode[DB_FILE_MAIN] == inode);
    }
    /* Mostly well before the next look would have come, which is 250 ms or more after the one that
     * found all well: asked of most rounds, for a busy machine makes some late. */
    print_message("%u of %u seen early\n", early, (unsigned)ROUNDS);
    assert_true(early > ROUNDS / 2);
    assert_int_equal(child_stop(), EXIT_ASKED);
}

static void a_missing_database_is_told_from_the_start(void **state)
{
    (void)state;
    char away[128];
    in_data_dir(away, "elsewhere.db");
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    assert_int_equal(rename(fleet.paths.file[DB_FILE_MAIN], away), 0);
    start_sentinel();
    assert_true(sees_missing());
    assert_int_equal(rename(away, fleet.paths.file[DB_FILE_MAIN]), 0);
    assert_true(comes_true(sees_all_well, 500));
}

static bool has_let_go(void)
{
    return atomic_load(&region_slot(fleet.region, SENTINEL_SLOT)->epoch_closed) == 1;
}

static void a_replaced_database_is_not_opened_before_the_epoch_changes(void **state)
{
    (void)state;
    char copy[128], old[128];
    struct stat status;
    in_data_dir(copy, "copy.db");
    watching();
    copy_file(fleet.paths.file[DB_FILE_MAIN], copy);
    assert_int_equal(stat(copy, &status), 0);
    assert_int_equal(rename(copy, fleet.paths.file[DB_FILE_MAIN]), 0);
    assert_true(comes_true(sees_replaced, 500));
    assert_non_null(strstr(watch.evidence, "another file"));
    after_looks(2);
    assert_true(sees_replaced());
    assert_false(has_open(status.st_ino));
    /* In its first phase the epoch only says: let go. The old identity is still on the board. */
    atomic_fetch_add(&fleet.region->board.words.db_epoch, 1);
    assert_true(comes_true(has_let_go, 600));
    after_looks(2);
    assert_false(has_open(status.st_ino));
    assert_true(sees_replaced());
    /* The supervisor sets the old sidecars aside and opens the new epoch. */
    in_data_dir(old, "wal.orphan");
    assert_int_equal(rename(fleet.paths.file[DB_FILE_WAL], old), 0);
    in_data_dir(old, "shm.orphan");
    assert_int_equal(rename(fleet.paths.file[DB_FILE_SHM], old), 0);
    const struct db_identity none = {0};
    publish_identity(&none);
    assert_true(comes_true(sees_all_well, 1000));
    assert_true(watch.seen.inode[DB_FILE_MAIN] == status.st_ino);
    assert_int_equal(child_stop(), EXIT_ASKED);
}

static void another_database_is_never_opened(void **state)
{
    (void)state;
    struct db_identity files;
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    put_file(fleet.paths.app_id, "0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee\n", 37);
    unlink(fleet.paths.file[DB_FILE_WAL]);
    unlink(fleet.paths.file[DB_FILE_SHM]);
    start_sentinel();
    assert_true(sees_replaced());
    assert_non_null(strstr(watch.evidence, "another database"));
    after_looks(2);
    /* Opening it, for however short a time, would have made its sidecars. */
    db_identity_stat(&fleet.paths, &files);
    assert_false(has_open(files.inode[DB_FILE_MAIN]));
    assert_true(files.inode[DB_FILE_WAL] == 0 && files.inode[DB_FILE_SHM] == 0);
}

static void a_lost_sidecar_is_noticed(void **state)
{
    (void)state;
    char away[128];
    in_data_dir(away, "elsewhere");
    watching();
    for (enum db_file file = DB_FILE_WAL; file < DB_FILE_COUNT; file++) {
        assert_int_equal(rename(fleet.paths.file[file], away), 0);
        assert_true(comes_true(sees_sidecar, 500));
        assert_non_null(strstr(watch.evidence,
                               file == DB_FILE_WAL ? "app.db-wal is gone" : "app.db-shm is gone"));
        assert_int_equal(rename(away, fleet.paths.file[file]), 0);
        assert_true(comes_true(sees_all_well, 500));
    }
    put_file(away, "x", 1);
    assert_int_equal(rename(away, fleet.paths.file[DB_FILE_WAL]), 0);
    assert_true(comes_true(sees_sidecar, 500));
    assert_non_null(strstr(watch.evidence, "another file"));
}

static void an_overwritten_header_is_corruption(void **state)
{
    (void)state;
    char zeros[100] = {0}, header[100];
    watching();
    int fd = open(fleet.paths.file[DB_FILE_MAIN], O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, header, sizeof header, 0), sizeof header);
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, 0), sizeof zeros);
    assert_true(comes_true(sees_corrupt, 1000));
    assert_string_not_equal(watch.evidence, "");
    assert_int_equal(pwrite(fd, header, sizeof header, 0), sizeof header);
    close(fd);
    assert_true(comes_true(sees_all_well, 1000));
}

static void a_truncated_database_is_corruption_and_stays_so(void **state)
{
    (void)state;
    watching();
    wait_ms(400);
    uint64_t bytes = file_bytes(DB_FILE_MAIN);
    assert_int_equal(truncate(fleet.paths.file[DB_FILE_MAIN], (off_t)bytes - 4096), 0);
    assert_true(comes_true(sees_corrupt, 1000));
    assert_non_null(strstr(watch.evidence, "shrank"));
    for (int i = 0; i < 8; i++) {
        wait_ms(100);
        assert_true(sees_corrupt());
    }
}

static void a_held_gate_is_named_unless_others_commit(void **state)
{
    (void)state;
    struct slot *holder = region_slot(fleet.region, 3);
    watching();
    atomic_store(&holder->pid, 4711);
    assert_int_equal(gate_lock(&fleet.region->gate, holder, clock_now_ns() + NS_PER_S), 0);
    /* At first it is the supervisor's to end: nobody is refused for it. */
    assert_true(comes_true(sees_no_write, 1000));
    assert_true(watch.write_skipped);
    assert_true(comes_true(sees_busy, 5000)); /* its own commits are no excuse */
    assert_non_null(strstr(watch.evidence, "slot 3 (pid 4711)"));
    assert_int_equal(watch.read_code, DB_CODE_OK);
    counter_increment(&holder->metrics.db_commits[0][0]);
    assert_true(comes_true(sees_skipped, 1000));
    assert_int_equal(watch.write_code, DB_CODE_OK);
    assert_true(comes_true(sees_busy, 1000)); /* nobody committed since */
    gate_unlock(&fleet.region->gate, holder);
    assert_true(comes_true(sees_all_well, 1000));
    assert_string_equal(watch.evidence, "");
}

static bool sees_a_slow_commit(void)
{
    return look()->write_us > 600000 && watch.write_skipped && watch.write_code == DB_CODE_OK;
}

static void a_commit_that_takes_long_is_time_of_the_disk(void **state)
{
    (void)state;
    struct slot *holder = region_slot(fleet.region, 3);
    watching();
    assert_int_equal(gate_lock(&fleet.region->gate, holder, clock_now_ns() + NS_PER_S), 0);
    gate_mark_commit(holder);
    assert_true(comes_true(sees_a_slow_commit, 1500));
    gate_unlock(&fleet.region->gate, holder);
    assert_true(comes_true(sees_all_well, 1000));
}

static void a_foreign_write_lock_is_seen_and_not_waited_for(void **state)
{
    (void)state;
    watching();
    sqlite3 *db = writer();
    must(db, "BEGIN IMMEDIATE");
    assert_true(comes_true(sees_busy, 1000));
    assert_non_null(strstr(watch.evidence, "not of this server"));
    assert_int_equal(watch.read_code, DB_CODE_OK);
    assert_true(watch.write_us < 200000 * NOISE);
    must(db, "ROLLBACK");
    assert_true(comes_true(sees_all_well, 1000));
    db_close(db);
}

static void a_dead_holder_of_the_gate_is_no_obstacle(void **state)
{
    (void)state;
    watching();
    pid_t pid = fork();
    if (pid == 0) {
        gate_lock(&fleet.region->gate, region_slot(fleet.region, 3), clock_now_ns() + NS_PER_S);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    after_looks(1);
    assert_true(sees_all_well());
}

static void an_orphan_ends(void **state)
{
    (void)state;
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    child_start(SENTINEL_SLOT, NULL, NULL, getpid() + 1, NULL);
    assert_int_equal(child_wait_exit(), EXIT_ASKED);
    child_start(KEEPER_SLOT, "--keeper", NULL, getpid() + 1, NULL);
    assert_int_equal(child_wait_exit(), EXIT_ASKED);
}

/* ---- after every handle was let go of ------------------------------------------------------- */

/* As the supervisor: name no files but those let go of, in a new epoch. */
static void seek(const struct db_identity *before)
{
    static struct board board;
    board.identity = (struct db_identity){0};
    board.identity_before = *before;
    change_publish(&fleet.region->board.change, &fleet.region->board.board, &board, sizeof board);
    atomic_fetch_add(&fleet.region->board.words.db_epoch, 1);
}

static unsigned orphans_in(const char *directory)
{
    DIR *listing = opendir(directory);
    const struct dirent *entry;
    unsigned count = 0;
    assert_non_null(listing);
    while ((entry = readdir(listing)))
        count += strstr(entry->d_name, ".orphan-") != NULL;
    closedir(listing);
    return count;
}

static void a_copy_is_taken_over_and_the_old_log_set_aside(void **state)
{
    (void)state;
    char sql[200], copy[128];
    watching();
    struct db_identity before = watch.seen;
    sqlite3 *db = writer();
    in_data_dir(copy, "copy.db");
    snprintf(sql, sizeof sql, "VACUUM INTO '%s'", copy);
    must(db, sql);
    must(db, "CREATE TABLE only_in_the_old_log (x)");
    db_close(db);
    assert_int_equal(rename(copy, fleet.paths.file[DB_FILE_MAIN]), 0);
    assert_true(comes_true(sees_replaced, 1000));
    assert_int_equal(orphans_in(fleet.data_dir), 0); /* others may still have them open */
    seek(&before);
    assert_true(comes_true(sees_all_well, 2000));
    assert_int_equal(orphans_in(fleet.data_dir), 2);
    assert_int_not_equal(watch.seen.inode[DB_FILE_WAL], before.inode[DB_FILE_WAL]);
    db = writer(); /* a copy by VACUUM is in no WAL mode: it is now */
    assert_int_equal(number(db, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'only%'"), 0);
    db_close(db);
}

static bool sees_damage(void)
{
    return look()->open_code == DB_CODE_CORRUPT;
}

static void what_was_let_go_of_is_read_through(void **state)
{
    (void)state;
    char noise[4096];
    watching();
    struct db_identity before = watch.seen;
    sqlite3 *db = writer();
    must(db, "INSERT INTO users (name, password, created_us) VALUES ('a', 'b', 1)");
    must(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    long long page = number(db, "SELECT rootpage FROM sqlite_schema WHERE name = 'users'");
    db_close(db);
    memset(noise, 0x5a, sizeof noise);
    int fd = open(fleet.paths.file[DB_FILE_MAIN], O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, noise, sizeof noise, (page - 1) * 4096), sizeof noise);
    close(fd);
    seek(&before);
    assert_true(comes_true(sees_damage, 2000));
    assert_non_null(strstr(watch.evidence, "app.db"));
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, fleet_begin, fleet_end)
    const struct CMUnitTest tests[] = {
        TEST(the_first_look_tells_everything),
        TEST(what_the_process_before_had_in_hand_is_not_its_own),
        TEST(looks_come_four_times_a_second),
        TEST(a_moved_database_is_missed_and_welcomed_back),
        TEST(a_missing_database_is_told_from_the_start),
        TEST(a_replaced_database_is_not_opened_before_the_epoch_changes),
        TEST(another_database_is_never_opened),
        TEST(a_lost_sidecar_is_noticed),
        TEST(an_overwritten_header_is_corruption),
        TEST(a_truncated_database_is_corruption_and_stays_so),
        TEST(a_held_gate_is_named_unless_others_commit),
        TEST(a_commit_that_takes_long_is_time_of_the_disk),
        TEST(a_foreign_write_lock_is_seen_and_not_waited_for),
        TEST(a_dead_holder_of_the_gate_is_no_obstacle),
        TEST(an_orphan_ends),
        TEST(a_copy_is_taken_over_and_the_old_log_set_aside),
        TEST(what_was_let_go_of_is_read_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
