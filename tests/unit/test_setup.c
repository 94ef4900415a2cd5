/* SPDX-License-Identifier: MIT */
/* Set-up creates only where nothing was, and leaves every doubt to a person. */
#include "tests/unit/setup_bed.h"

#include <sys/resource.h>

#include "common/crypto/key_file.h"
#include "common/crypto/password.h"
#include "supervisor/sentinel/setup.h"

/* ---- creating ----------------------------------------------------------------------------- */

static void an_empty_directory_gets_everything(void **state)
{
    (void)state;
    char id[64], in_meta[64], names[32][64], path[128], error[256], mode[16];
    struct key_file keys;
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    assert_files(ALL_FILES);
    get_file(fleet.paths.app_id, id, sizeof id);
    ask_text(fleet.paths.file[DB_FILE_MAIN], "SELECT value FROM meta WHERE key = 'app_id'", in_meta,
             sizeof in_meta);
    assert_int_equal(strlen(in_meta), 36);
    assert_memory_equal(id, in_meta, 36);
    ask_text(fleet.paths.file[DB_FILE_MAIN], "PRAGMA journal_mode", mode, sizeof mode);
    assert_string_equal(mode, "wal");
    assert_int_equal(key_file_read(fleet.data_dir, &keys, error, sizeof error), 0);
    for (unsigned i = list_files(names); i-- > 0;) {
        struct stat status;
        in_data_dir(path, names[i]);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
}

static void a_second_run_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    uint64_t before = fingerprint_with(false);
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    assert_files(ALL_FILES);
    assert_true(fingerprint_with(false) == before);
}

static void small_files_only(void)
{
    struct rlimit size = {20000, 20000};
    signal(SIGXFSZ, SIG_IGN); /* writes beyond fail like those to a full disk */
    setrlimit(RLIMIT_FSIZE, &size);
}

static void a_failure_leaves_nothing_half_made(void **state)
{
    (void)state;
    child_start(SETUP_SLOT, "--setup", NULL, getpid(), small_files_only);
    assert_int_equal(child_wait_exit(), EXIT_TEMPORARY);
    assert_non_null(strstr(last_words(SETUP_SLOT), "app.db"));
    assert_files("");
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    assert_files(ALL_FILES);
}

static void leftovers_of_a_killed_run_are_no_trap(void **state)
{
    (void)state;
    char path[128];
    static const char *const names[] = {"app.db.new", "app.db.new-wal", "app.db.new-shm",
                                        "app.id.new"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        in_data_dir(path, names[i]);
        put_file(path, "half", 4);
    }
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    assert_files(ALL_FILES);
}

static void a_link_to_the_directory_is_followed(void **state)
{
    (void)state;
    char link_path[80];
    snprintf(link_path, sizeof link_path, "%s.link", fleet.data_dir);
    assert_int_equal(symlink(fleet.data_dir, link_path), 0);
    snprintf(fleet.region->header.data_dir, sizeof fleet.region->header.data_dir, "%s", link_path);
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    unlink(link_path);
    assert_files(ALL_FILES);
}

/* ---- leaving alone ------------------------------------------------------------------------ */

static void a_database_that_was_here_is_not_replaced_by_an_empty_one(void **state)
{
    (void)state;
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    unlink(fleet.paths.file[DB_FILE_MAIN]);
    assert_int_equal(run_setup("--demo"), EXIT_ASKED);
    assert_files("app.db-shm app.db-wal app.id jwt.key");
    unlink(fleet.paths.file[DB_FILE_WAL]);
    unlink(fleet.paths.file[DB_FILE_SHM]);
    assert_int_equal(run_setup("--demo"), EXIT_ASKED);
    assert_files("app.id jwt.key");
}

static void another_database_is_left_alone(void **state)
{
    (void)state;
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    put_file(fleet.paths.app_id, "0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee\n", 37);
    uint64_t before = fingerprint();
    assert_int_equal(run_setup("--demo"), EXIT_ASKED);
    assert_true(fingerprint() == before);
}

static void a_restored_copy_is_adopted(void **state)
{
    (void)state;
    char id[64], again[64], copy[128];
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    get_file(fleet.paths.app_id, id, sizeof id);
    /* VACUUM INTO makes a file that is not in WAL mode. */
    in_data_dir(copy, "copy");
    char sql[200];
    snprintf(sql, sizeof sql, "VACUUM INTO '%s'", copy);
    run_sql(fleet.paths.file[DB_FILE_MAIN], sql);
    unlink(fleet.paths.file[DB_FILE_WAL]);
    unlink(fleet.paths.file[DB_FILE_SHM]);
    unlink(fleet.paths.app_id);
    assert_int_equal(rename(copy, fleet.paths.file[DB_FILE_MAIN]), 0);
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    assert_files(ALL_FILES);
    get_file(fleet.paths.app_id, again, sizeof again);
    assert_string_equal(id, again);
}

static void sidecars_without_their_database_need_a_person(void **state)
{
    (void)state;
    put_file(fleet.paths.file[DB_FILE_WAL], "frames", 6);
    uint64_t before = fingerprint();
    assert_int_equal(run_setup(NULL), EXIT_TEMPORARY);
    assert_non_null(strstr(last_words(SETUP_SLOT), "app.db-wal"));
    assert_true(fingerprint() == before);
}

/* Set-up over app.db as it is now: refused, and not a byte moved. */
static void assert_refused(const char *cause)
{
    uint64_t before = fingerprint();
    assert_int_equal(run_setup("--demo"), EXIT_TEMPORARY);
    assert_non_null(strstr(last_words(SETUP_SLOT), "app.db"));
    if (!strstr(last_words(SETUP_SLOT), cause))
        fail_msg("\"%s\" does not say \"%s\"", last_words(SETUP_SLOT), cause);
    assert_true(fingerprint() == before);
}

static void what_is_no_database_is_refused_and_kept(void **state)
{
    (void)state;
    static char bytes[8192];
    const char *main_file = fleet.paths.file[DB_FILE_MAIN];
    put_file(main_file, bytes, 0);
    assert_refused("empty");
    memset(bytes, 'x', sizeof bytes);
    put_file(main_file, bytes, sizeof bytes);
    assert_refused("not a database");
    put_file(main_file, bytes, 10);
    assert_refused("not a database");
    /* the same with an app.id: it was a database of ours once */
    put_file(fleet.paths.app_id, "0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee\n", 37);
    assert_refused("not a database");
    unlink(main_file);
    assert_int_equal(symlink("/etc/hostname", main_file), 0);
    assert_refused("link");
    unlink(main_file);
    assert_int_equal(mkfifo(main_file, 0600), 0);
    uint64_t start_ns = clock_now_ns();
    assert_int_equal(run_setup(NULL), EXIT_TEMPORARY);
    assert_true(clock_now_ns() - start_ns < 5 * NS_PER_S);
}

static void a_damaged_database_is_refused_and_kept(void **state)
{
    (void)state;
    static char page[4096];
    const char *main_file = fleet.paths.file[DB_FILE_MAIN];
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    /* The tree of tables, behind a header that is in order. */
    memset(page, 0xa5, sizeof page);
    int fd = open(main_file, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, page, 3900, 100), 3900);
    close(fd);
    assert_refused("malformed");
    fd = open(main_file, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, page, 100, 0), 100);
    close(fd);
    assert_refused("not a database");
}

/* Rows enough for many pages, all of them in the -wal and in app.db, and both files left. */
static void fill_and_checkpoint(void)
{
    sqlite3 *db;
    int persist = 1;
    assert_int_equal(sqlite3_open(fleet.paths.file[DB_FILE_MAIN], &db), SQLITE_OK);
    sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_wal_autocheckpoint(db, 0);
    const char *sql =
        "INSERT INTO users VALUES(1, 'a', 'x', 0);"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
        " INSERT INTO items SELECT 1, i, 'title', 1, 0, 0, hex(zeroblob(1000)) FROM n;"
        "PRAGMA wal_checkpoint(PASSIVE)";
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void a_checkpoint_killed_half_way_is_no_damage(void **state)
{
    (void)state;
    struct stat before, after, wal;
    struct inspection inspection;
    char said[64];
    const char *main_file = fleet.paths.file[DB_FILE_MAIN];
    const char *wal_file = fleet.paths.file[DB_FILE_WAL];
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    assert_int_equal(stat(main_file, &before), 0);
    fill_and_checkpoint();
    assert_int_equal(stat(main_file, &after), 0);
    assert_int_equal(stat(wal_file, &wal), 0);
    assert_true(after.st_size > before.st_size + 100 * 4096 && wal.st_size > after.st_size / 2);
    for (off_t size = after.st_size - 1; size > before.st_size; size -= 20 * 4096 + 100) {
        assert_int_equal(truncate(main_file, size), 0);
        inspect_database(&fleet.paths, &inspection);
        if (inspection.kind != INSPECT_OURS)
            fail_msg("%ld bytes left of app.db: %s", (long)size, inspection.text);
        assert_int_equal(strlen(inspection.app_id), 36);
    }
    assert_int_equal(truncate(main_file, before.st_size), 0);
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    ask_text(main_file, "PRAGMA integrity_check", said, sizeof said);
    assert_string_equal(said, "ok");
    ask_text(main_file, "SELECT count(*) FROM items", said, sizeof said);
    assert_string_equal(said, "300");
}

static void a_short_file_whose_rest_is_nowhere_is_damage(void **state)
{
    (void)state;
    struct stat before, wal;
    const char *main_file = fleet.paths.file[DB_FILE_MAIN];
    const char *wal_file = fleet.paths.file[DB_FILE_WAL];
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    assert_int_equal(stat(main_file, &before), 0);
    fill_and_checkpoint();
    assert_int_equal(truncate(main_file, before.st_size), 0);
    assert_int_equal(stat(wal_file, &wal), 0);
    assert_int_equal(truncate(wal_file, wal.st_size / 2), 0);
    assert_refused("malformed");
    assert_int_equal(truncate(wal_file, 0), 0);
    assert_refused("malformed");
}

static void somebody_elses_database_is_refused_and_kept(void **state)
{
    (void)state;
    const char *main_file = fleet.paths.file[DB_FILE_MAIN];
    run_sql(main_file, "CREATE TABLE notes(text)");
    assert_refused("another program");
    unlink(main_file);
    run_sql(main_file, "PRAGMA journal_mode = WAL; CREATE TABLE meta(key, value)");
    assert_refused("another program");
}

static void a_database_of_a_newer_version_is_refused_and_kept(void **state)
{
    (void)state;
    assert_int_equal(run_setup(NULL), EXIT_ASKED);
    run_sql(fleet.paths.file[DB_FILE_MAIN], "PRAGMA user_version = 999");
    assert_refused("version 999");
}

/* Every finding has one answer. */
static void the_decision_is_pure(void **state)
{
    (void)state;
    char why[200];
    struct findings none = {.database = {.kind = INSPECT_ABSENT}};
    assert_int_equal(setup_decide(&none, why, sizeof why), SETUP_CREATE);
    struct findings only_shm = none;
    only_shm.has_sidecar[DB_FILE_SHM] = true;
    assert_int_equal(setup_decide(&only_shm, why, sizeof why), SETUP_REFUSE);
    struct findings only_id = {.database = {.kind = INSPECT_ABSENT}, .has_id = true};
    assert_int_equal(setup_decide(&only_id, why, sizeof why), SETUP_LEAVE);
    struct findings unreadable = {.database = {.kind = INSPECT_UNREADABLE, .text = "x"}};
    assert_int_equal(setup_decide(&unreadable, why, sizeof why), SETUP_REFUSE);
    struct findings adopt = {.database = {.kind = INSPECT_OURS, .app_id = "a"}};
    assert_int_equal(setup_decide(&adopt, why, sizeof why), SETUP_ADOPT);
    struct findings empty_id = {.database = {.kind = INSPECT_OURS, .app_id = "a"}, .has_id = true};
    assert_int_equal(setup_decide(&empty_id, why, sizeof why), SETUP_REFUSE);
    struct findings keep = {
        .database = {.kind = INSPECT_OURS, .app_id = "a"}, .has_id = true, .id = "a"};
    assert_int_equal(setup_decide(&keep, why, sizeof why), SETUP_KEEP);
    struct findings other = {
        .database = {.kind = INSPECT_OURS, .app_id = "b"}, .has_id = true, .id = "a"};
    assert_int_equal(setup_decide(&other, why, sizeof why), SETUP_LEAVE);
}

/* ---- the demo account --------------------------------------------------------------------- */

static void read_demo(char text[128], char password[21])
{
    char path[128];
    struct stat status;
    in_data_dir(path, "demo.txt");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    get_file(path, text, 128);
    assert_int_equal(sscanf(text, "username: demo\npassword: %20[^\n]", password), 1);
    assert_int_equal(strlen(text), strlen("username: demo\npassword: \n") + 20);
}

static void demo_hash(char out[PASSWORD_HASH_SIZE])
{
    ask_text(fleet.paths.file[DB_FILE_MAIN], "SELECT password FROM users WHERE name = 'demo'", out,
             PASSWORD_HASH_SIZE);
}

static void the_demo_account_works_and_is_kept(void **state)
{
    (void)state;
    char text[128], again[128], password[21], hash[PASSWORD_HASH_SIZE], same[PASSWORD_HASH_SIZE];
    assert_int_equal(run_setup("--demo"), EXIT_ASKED);
    assert_files("app.db app.db-shm app.db-wal app.id demo.txt jwt.key");
    read_demo(text, password);
    demo_hash(hash);
    assert_true(password_matches(password, 20, hash));
    assert_int_equal(run_setup("--demo"), EXIT_ASKED);
    read_demo(again, password);
    demo_hash(same);
    assert_string_equal(text, again);
    assert_string_equal(hash, same);
}

static void a_lost_demo_file_means_a_new_password(void **state)
{
    (void)state;
    char text[128], before[21], after[21], hash[PASSWORD_HASH_SIZE], path[128];
    assert_int_equal(run_setup("--demo"), EXIT_ASKED);
    read_demo(text, before);
    in_data_dir(path, "demo.txt");
    unlink(path);
    assert_int_equal(run_setup("--demo"), EXIT_ASKED);
    read_demo(text, after);
    demo_hash(hash);
    assert_string_not_equal(before, after);
    assert_true(password_matches(after, 20, hash));
    assert_false(password_matches(before, 20, hash));
}

static void a_demo_file_of_another_database_is_not_believed(void **state)
{
    (void)state;
    char text[128], password[21], hash[PASSWORD_HASH_SIZE], path[128];
    static const char stale[] = "username: demo\npassword: aaaaaaaaaaaaaaaaaaaa\n";
    in_data_dir(path, "demo.txt");
    put_file(path, stale, sizeof stale - 1);
    assert_int_equal(run_setup("--demo"), EXIT_ASKED);
    read_demo(text, password);
    demo_hash(hash);
    assert_true(password_matches(password, 20, hash));
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, fleet_begin, fleet_end)
    const struct CMUnitTest tests[] = {
        TEST(an_empty_directory_gets_everything),
        TEST(a_second_run_changes_nothing),
        TEST(a_failure_leaves_nothing_half_made),
        TEST(leftovers_of_a_killed_run_are_no_trap),
        TEST(a_link_to_the_directory_is_followed),
        TEST(a_database_that_was_here_is_not_replaced_by_an_empty_one),
        TEST(another_database_is_left_alone),
        TEST(a_restored_copy_is_adopted),
        TEST(sidecars_without_their_database_need_a_person),
        TEST(what_is_no_database_is_refused_and_kept),
        TEST(a_damaged_database_is_refused_and_kept),
        TEST(a_checkpoint_killed_half_way_is_no_damage),
        TEST(a_short_file_whose_rest_is_nowhere_is_damage),
        TEST(somebody_elses_database_is_refused_and_kept),
        TEST(a_database_of_a_newer_version_is_refused_and_kept),
        TEST(the_decision_is_pure),
        TEST(the_demo_account_works_and_is_kept),
        TEST(a_lost_demo_file_means_a_new_password),
        TEST(a_demo_file_of_another_database_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
