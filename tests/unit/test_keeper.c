/* SPDX-License-Identifier: MIT */
/* The keeper empties the log only behind the gate, purges in small steps and saves what others
 * lose. */
#include "tests/unit/sentinel_bed.h"

static bool wal_is_empty(void)
{
    return file_bytes(DB_FILE_WAL) == 0;
}

/* A keeper beside a connection of ours, the identity on the board. */
static sqlite3 *keeping(void)
{
    struct db_identity identity;
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    sqlite3 *db = writer();
    db_identity_stat(&fleet.paths, &identity);
    assert_int_equal(db_read_app_id(db, identity.app_id), 0);
    publish_identity(&identity);
    must(db, "INSERT INTO users(id, name, password, created_us) VALUES(1, 'u', 'x', 0)");
    child_start(KEEPER_SLOT, "--keeper", NULL, getpid(), NULL);
    assert_true(comes_true(child_is_ready, 3000));
    return db;
}

/* Rows of about so many KiB, one transaction. */
static void grow_wal(sqlite3 *db, unsigned kib)
{
    char sql[400];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %u)"
             " INSERT INTO items(user_id, id, title, version, created_us, updated_us, body)"
             " SELECT 1, lower(hex(randomblob(16))), 't', 1, 0, 0, hex(randomblob(8192)) FROM n",
             kib / 16);
    must(db, sql);
}

static uint64_t checkpoint_errors(void)
{
    uint64_t errors = 0;
    for (unsigned code = 0; code < DB_CODE_COUNT; code++)
        errors += atomic_load(
            &region_slot(fleet.region, KEEPER_SLOT)->metrics.db_errors[DB_OP_CHECKPOINT][code]);
    return errors;
}

static void the_log_is_emptied_only_behind_the_gate(void **state)
{
    (void)state;
    struct slot *own = region_slot(fleet.region, 0);
    sqlite3 *db = keeping();
    assert_int_equal(gate_lock(&fleet.region->gate, own, clock_now_ns() + NS_PER_S), 0);
    grow_wal(db, 6 * 1024);
    uint64_t main_bytes = file_bytes(DB_FILE_MAIN);
    assert_true(file_bytes(DB_FILE_WAL) > 6 << 20);
    for (int i = 0; i < 20; i++) {
        wait_ms(100);
        assert_true(file_bytes(DB_FILE_WAL) > 6 << 20);
        /* not even partly moved */
        assert_true(file_bytes(DB_FILE_MAIN) == main_bytes);
    }
    gate_unlock(&fleet.region->gate, own);
    assert_true(comes_true(wal_is_empty, 1500));
    assert_true(file_bytes(DB_FILE_MAIN) > 6 << 20);
    assert_int_equal(checkpoint_errors(), 0);
    db_close(db);
    assert_int_equal(child_stop(), EXIT_ASKED);
}

static void a_small_log_is_left_alone(void **state)
{
    (void)state;
    sqlite3 *db = keeping();
    grow_wal(db, 512);
    wait_ms(2500);
    assert_true(file_bytes(DB_FILE_WAL) > 512 << 10);
    grow_wal(db, 1024);
    assert_true(comes_true(wal_is_empty, 2500));
    db_close(db);
}

static void behind_the_fence_nothing_is_done(void **state)
{
    (void)state;
    sqlite3 *db = keeping();
    atomic_store(&fleet.region->board.words.db_writable, 0);
    wait_ms(150);
    grow_wal(db, 6 * 1024);
    wait_ms(1500);
    assert_true(file_bytes(DB_FILE_WAL) > 6 << 20);
    atomic_store(&fleet.region->board.words.db_writable, 1);
    assert_true(comes_true(wal_is_empty, 1500));
    db_close(db);
}

static void a_full_disk_forbids_writes_but_not_the_checkpoint(void **state)
{
    (void)state;
    sqlite3 *db = keeping();
    atomic_store(&fleet.region->board.words.db_state, DB_STATE_FULL);
    atomic_store(&fleet.region->board.words.db_writable, 0);
    wait_ms(150);
    grow_wal(db, 6 * 1024);
    assert_true(comes_true(wal_is_empty, 1500));
    db_close(db);
}

static void a_file_that_is_not_the_boards_is_not_touched(void **state)
{
    (void)state;
    struct db_identity identity;
    sqlite3 *db = keeping();
    db_identity_stat(&fleet.paths, &identity);
    identity.inode[DB_FILE_MAIN]++;
    publish_identity(&identity);
    wait_ms(150);
    grow_wal(db, 6 * 1024);
    wait_ms(1500);
    assert_true(file_bytes(DB_FILE_WAL) > 6 << 20);
    db_close(db);
}

static void a_reader_in_the_way_is_put_up_with(void **state)
{
    (void)state;
    struct slot *own = region_slot(fleet.region, 0);
    uint64_t longest_ns = 0;
    sqlite3 *db = keeping(), *reader = writer();
    must(reader, "BEGIN");
    assert_int_equal(number(reader, "SELECT count(*) FROM items"), 0);
    grow_wal(db, 6 * 1024);
    /* Writers keep getting their turn while it tries. */
    for (uint64_t end = clock_now_ns() + 3 * NS_PER_S; clock_now_ns() < end;) {
        uint64_t start_ns = clock_now_ns();
        assert_int_equal(gate_lock(&fleet.region->gate, own, start_ns + NS_PER_S), 0);
        longest_ns =
            clock_now_ns() - start_ns > longest_ns ? clock_now_ns() - start_ns : longest_ns;
        gate_unlock(&fleet.region->gate, own);
        wait_ms(1);
    }
    assert_true(longest_ns < 200 * NOISE * NS_PER_MS);
    assert_true(file_bytes(DB_FILE_WAL) > 6 << 20);
    assert_int_equal(checkpoint_errors(), 0);
    must(reader, "COMMIT");
    assert_true(comes_true(wal_is_empty, 2500));
    db_close(reader);
    db_close(db);
}

static sqlite3 *purged_db;

static bool only_the_young_are_left(void)
{
    return number(purged_db, "SELECT count(*) FROM idempotency") == 7;
}

static void old_answers_are_purged_in_small_steps(void **state)
{
    (void)state;
    char sql[500];
    long long before, least = 1000;
    sqlite3 *db = purged_db = keeping();
    const struct slot *slot = region_slot(fleet.region, KEEPER_SLOT);
    for (int old = 0; old < 2; old++) {
        uint64_t created_us = clock_wall_us() - (old ? UINT64_C(25) : 23) * 3600 * US_PER_S;
        snprintf(sql, sizeof sql,
                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %u)"
                 " INSERT INTO idempotency(user_id, key, request_hash, status, item_id, created_us,"
                 " answer) SELECT 1, '%s' || i, x'00', 201, 'i', %llu, '{}' FROM n",
                 old ? 450 : 7, old ? "old" : "young", (unsigned long long)created_us);
        must(db, sql);
    }
    uint64_t commits = atomic_load(&slot->metrics.db_commits[0][0]);
    before = 457;
    for (uint64_t end = clock_now_ns() + 6 * NS_PER_S; clock_now_ns() < end && before > 7;) {
        long long now = number(db, "SELECT count(*) FROM idempotency");
        assert_true(before - now <= 200);
        before = now;
        least = now < least ? now : least;
        wait_ms(20);
    }
    assert_true(comes_true(only_the_young_are_left, 3000));
    assert_int_equal(atomic_load(&slot->metrics.db_commits[0][0]) - commits, 3);
    assert_int_equal(number(db, "SELECT count(*) FROM idempotency WHERE key LIKE 'young%'"), 7);
    db_close(db);
}

static bool keeper_let_go(void)
{
    return atomic_load(&region_slot(fleet.region, KEEPER_SLOT)->epoch_closed) == 1;
}

static void what_was_in_a_lost_log_is_saved_before_letting_go(void **state)
{
    (void)state;
    sqlite3 *db = keeping();
    grow_wal(db, 256);
    long long rows = number(db, "SELECT count(*) FROM items");
    assert_int_equal(rows, 16);
    assert_int_equal(unlink(fleet.paths.file[DB_FILE_WAL]), 0);
    /* fence, then the first phase of the new epoch */
    atomic_store(&fleet.region->board.words.db_writable, 0);
    atomic_fetch_add(&fleet.region->board.words.db_epoch, 1);
    assert_true(comes_true(keeper_let_go, 1000));
    assert_int_equal(region_slot(fleet.region, KEEPER_SLOT)->outbox_head, 1);
    assert_non_null(strstr(region_slot(fleet.region, KEEPER_SLOT)->outbox[0].text, "saved"));
    db_close(db);
    unlink(fleet.paths.file[DB_FILE_SHM]);
    db = writer();
    assert_int_equal(number(db, "SELECT count(*) FROM items"), rows);
    db_close(db);
}

static void a_new_epoch_means_new_handles(void **state)
{
    (void)state;
    struct db_identity files;
    sqlite3 *db = keeping();
    db_identity_stat(&fleet.paths, &files);
    assert_true(has_open(files.inode[DB_FILE_MAIN]));
    next_epoch();
    assert_true(comes_true(keeper_let_go, 1000));
    wait_ms(300);
    assert_false(has_open(files.inode[DB_FILE_MAIN])); /* no identity: nothing to open */
    assert_int_equal(db_read_app_id(db, files.app_id), 0);
    publish_identity(&files);
    grow_wal(db, 6 * 1024);
    assert_true(comes_true(wal_is_empty, 3000));
    db_close(db);
    assert_int_equal(child_stop(), EXIT_ASKED);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, fleet_begin, fleet_end)
    const struct CMUnitTest tests[] = {
        TEST(the_log_is_emptied_only_behind_the_gate),
        TEST(a_small_log_is_left_alone),
        TEST(behind_the_fence_nothing_is_done),
        TEST(a_full_disk_forbids_writes_but_not_the_checkpoint),
        TEST(a_file_that_is_not_the_boards_is_not_touched),
        TEST(a_reader_in_the_way_is_put_up_with),
        TEST(old_answers_are_purged_in_small_steps),
        TEST(what_was_in_a_lost_log_is_saved_before_letting_go),
        TEST(a_new_epoch_means_new_handles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
