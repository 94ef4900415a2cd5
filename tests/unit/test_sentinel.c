/* SPDX-License-Identifier: MIT */
/* The sentinel sees what happens to app.db, in time and without opening what is not ours; the
 * keeper empties the log only behind the gate, purges in small steps and saves what others lose. */
#include "tests/unit/sentinel_child.h"

#include <sqlite3.h>

#include "common/db/schema.h"
#include "common/exit_codes.h"

/* ---- what the test does as the supervisor ------------------------------------------------- */

static struct watch watch;

static const struct watch *look(void)
{
    struct watch copy;
    if (region_read_watch(fleet.region, &copy))
        watch = copy;
    return &watch;
}

static void publish_identity(const struct db_identity *identity)
{
    static struct board board;
    board.identity = *identity;
    change_publish(&fleet.region->board.change, &fleet.region->board.board, &board, sizeof board);
}

/* Everything let go of; open what is there now. */
static void next_epoch(void)
{
    const struct db_identity none = {0};
    publish_identity(&none);
    atomic_fetch_add(&fleet.region->board.words.db_epoch, 1);
}

static bool sees_same(void)
{
    return look()->identity == IDENTITY_SAME;
}

static bool sees_missing(void)
{
    return look()->identity == IDENTITY_MISSING;
}

static bool sees_replaced(void)
{
    return look()->identity == IDENTITY_REPLACED;
}

static bool sees_sidecar(void)
{
    return look()->identity == IDENTITY_SIDECAR;
}

static bool sees_all_well(void)
{
    return sees_same() && watch.open_code == DB_CODE_OK && watch.read_code == DB_CODE_OK &&
           watch.write_code == DB_CODE_OK && !watch.write_skipped;
}

static bool sees_busy(void)
{
    return look()->write_code == DB_CODE_BUSY;
}

static bool sees_skipped(void)
{
    return look()->write_skipped;
}

static bool sees_no_write(void)
{
    return look()->write_code != DB_CODE_OK || watch.write_skipped;
}

static bool sees_corrupt(void)
{
    look();
    return watch.read_code == DB_CODE_CORRUPT || watch.open_code == DB_CODE_NOTADB;
}

static void start_sentinel(void)
{
    child_start(SENTINEL_SLOT, NULL, NULL, getpid(), NULL);
    assert_true(comes_true(child_is_ready, 3000));
}

/* Set up, running, with the identity on the board. */
static void watching(void)
{
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    start_sentinel();
    assert_true(sees_all_well());
    publish_identity(&look()->seen);
}

/* Whether the running child has a file open, by inode. */
static bool has_open(uint64_t inode)
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

static sqlite3 *writer(void)
{
    sqlite3 *db;
    struct db_error error;
    if (db_open(&fleet.paths, DB_WRITER, DURABILITY_NORMAL, NULL, &db, &error) < 0)
        fail_msg("%s", error.text);
    sqlite3_busy_timeout(db, 2000);
    return db;
}

static void must(sqlite3 *db, const char *sql)
{
    if (db_exec(db, sql))
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static uint64_t file_bytes(enum db_file file)
{
    struct stat status;
    return stat(fleet.paths.file[file], &status) == 0 ? (uint64_t)status.st_size : 0;
}

static long long number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    long long value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static void wait_ms(unsigned ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

/* ---- sentinel ----------------------------------------------------------------------------- */

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
    assert_true(clock_now_ns() - start_ns < 500 * SLOW * NS_PER_MS);
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

static void looks_come_four_times_a_second(void **state)
{
    (void)state;
    watching();
    wait_ms(300);
    uint64_t first = look()->tick;
    wait_ms(2000);
    uint64_t looks = look()->tick - first;
    assert_true(looks >= 6 && looks <= 10);
    uint64_t age =
        clock_now_ns() - atomic_load(&region_slot(fleet.region, SENTINEL_SLOT)->heartbeat_ns);
    assert_true(age < 400 * NS_PER_MS);
    /* The next process goes on counting: a number said twice would be taken for silence. */
    first = look()->tick;
    assert_int_equal(child_stop(), EXIT_ASKED);
    start_sentinel();
    assert_true(look()->tick > first);
}

static void a_moved_database_is_missed_and_welcomed_back(void **state)
{
    (void)state;
    enum { ROUNDS = 8 };
    char away[128];
    uint64_t missed_ns = 0;
    in_data_dir(away, "elsewhere.db");
    watching();
    uint64_t inode = watch.seen.inode[DB_FILE_MAIN];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start_ns = clock_now_ns();
        assert_int_equal(rename(fleet.paths.file[DB_FILE_MAIN], away), 0);
        assert_true(comes_true(sees_missing, 500));
        missed_ns += clock_now_ns() - start_ns;
        assert_non_null(strstr(watch.evidence, "app.db is gone from"));
        assert_int_equal(rename(away, fleet.paths.file[DB_FILE_MAIN]), 0);
        assert_true(comes_true(sees_all_well, 1000));
        assert_true(watch.seen.inode[DB_FILE_MAIN] == inode);
    }
    /* On average well before the next look would have come. */
    assert_true(missed_ns < ROUNDS * 200 * SLOW * NS_PER_MS);
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
    wait_ms(600);
    assert_true(sees_replaced());
    assert_false(has_open(status.st_ino));
    /* In its first phase the epoch only says: let go. The old identity is still on the board. */
    atomic_fetch_add(&fleet.region->board.words.db_epoch, 1);
    wait_ms(600);
    assert_int_equal(atomic_load(&region_slot(fleet.region, SENTINEL_SLOT)->epoch_closed), 1);
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
    wait_ms(600);
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
    assert_true(watch.write_us < 200000 * SLOW);
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
    uint64_t tick = look()->tick;
    wait_ms(600);
    assert_true(look()->tick > tick);
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

/* ---- keeper ------------------------------------------------------------------------------- */

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
    assert_true(longest_ns < 200 * SLOW * NS_PER_MS);
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
        TEST(the_first_look_tells_everything),
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
