/* SPDX-License-Identifier: MIT */
/* Opening app.db: the settings of every connection, and the files that are refused. */
#include "tests/unit/store_bed.h"

static int make(void **unused)
{
    (void)unused;
    bed_make();
    return 0;
}

/* Clean-up without a store. */
static int clean(void **unused)
{
    bed_start();
    return bed_teardown(unused);
}

static int64_t pragma(sqlite3 *db, const char *name)
{
    char sql[80];
    sqlite3_stmt *statement;
    snprintf(sql, sizeof sql, "PRAGMA %s", name);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    int64_t value = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    sqlite3_finalize(statement);
    return value;
}

static int config_of(sqlite3 *db, int which)
{
    int value = -1;
    sqlite3_db_config(db, which, -1, &value);
    return value;
}

static void every_connection_has_its_settings(void **unused)
{
    (void)unused;
    for (enum db_role role = DB_READER; role <= DB_CREATOR; role++) {
        sqlite3 *db = bed_open(role);
        int keep = -1;
        assert_int_equal(pragma(db, "wal_autocheckpoint"), 0);
        assert_int_equal(pragma(db, "synchronous"), 2);
        assert_int_equal(pragma(db, "mmap_size"), 0);
        assert_int_equal(pragma(db, "query_only"), role == DB_READER);
        assert_int_equal(pragma(db, "foreign_keys"), 1);
        assert_int_equal(pragma(db, "trusted_schema"), 0);
        assert_int_equal(pragma(db, "busy_timeout"), 0);
        assert_int_equal(config_of(db, SQLITE_DBCONFIG_DEFENSIVE), 1);
        assert_int_equal(config_of(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE), 1);
        sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
        assert_int_equal(keep, 1);
        db_close(db);
    }
}

static void durability_is_the_callers(void **unused)
{
    (void)unused;
    struct db_error error;
    sqlite3 *db;
    assert_int_equal(db_open(&bed.paths, DB_WRITER, DURABILITY_NORMAL, NULL, &db, &error), 0);
    assert_int_equal(pragma(db, "synchronous"), 1);
    db_close(db);
}

static void readers_cannot_write(void **unused)
{
    (void)unused;
    sqlite3 *db = bed_open(DB_READER);
    assert_int_equal(db_code_of(db_exec(db, "DELETE FROM users")), DB_CODE_READONLY);
    db_close(db);
}

static void closing_checkpoints_nothing(void **unused)
{
    (void)unused;
    struct stat before, after;
    assert_int_equal(stat(bed.paths.file[DB_FILE_WAL], &before), 0);
    assert_true(before.st_size > 0); /* what set-up wrote; every handle is closed */
    bed_exec("UPDATE probe SET tick = 1");
    assert_int_equal(stat(bed.paths.file[DB_FILE_WAL], &after), 0);
    assert_true(after.st_size > 0 && after.st_ino == before.st_ino);
}

/* Open as the worker would, with the identity the board has; returns the code. */
static enum db_code open_expecting(const struct db_identity *expected, enum db_role role)
{
    struct db_error error;
    sqlite3 *db;
    if (db_open(&bed.paths, role, DURABILITY_FULL, expected, &db, &error) == 0) {
        db_close(db);
        return DB_CODE_OK;
    }
    assert_null(db);
    assert_true(error.text[0] != '\0');
    return error.code;
}

static void copy_file(const char *from, const char *to)
{
    char buffer[4096];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    size_t n;
    assert_true(in && out);
    while ((n = fread(buffer, 1, sizeof buffer, in)) > 0)
        assert_int_equal(fwrite(buffer, 1, n, out), n);
    fclose(in);
    fclose(out);
}

static void other_files_are_refused(void **unused)
{
    (void)unused;
    struct db_identity identity;
    char spare[400];
    snprintf(spare, sizeof spare, "%s/spare", bed.dir);
    db_identity_stat(&bed.paths, &identity);
    snprintf(identity.app_id, sizeof identity.app_id, "%s", BED_APP_ID);
    assert_int_equal(open_expecting(&identity, DB_READER), DB_CODE_OK);

    for (enum db_file file = DB_FILE_MAIN; file < DB_FILE_COUNT; file++) {
        struct stat untouched;
        copy_file(bed.paths.file[file], spare);
        rename(spare, bed.paths.file[file]);
        assert_int_equal(stat(bed.paths.file[file], &untouched), 0);
        assert_int_equal(db_identity_check(&bed.paths, &identity),
                         file == DB_FILE_MAIN ? IDENTITY_REPLACED : IDENTITY_SIDECAR);
        assert_int_equal(open_expecting(&identity, DB_WRITER), DB_CODE_IDENTITY);
        db_identity_stat(&bed.paths, &identity); /* the new ones are in use now */
        assert_int_equal(open_expecting(&identity, DB_READER), DB_CODE_OK);
    }

    struct db_identity older = {0}; /* nothing known: nothing compared */
    assert_int_equal(open_expecting(&older, DB_READER), DB_CODE_OK);
    snprintf(identity.app_id, sizeof identity.app_id, "another");
    assert_int_equal(open_expecting(&identity, DB_READER), DB_CODE_IDENTITY);
}

static void a_missing_file_is_not_made(void **unused)
{
    (void)unused;
    struct db_identity identity;
    struct stat status;
    db_identity_stat(&bed.paths, &identity);
    for (enum db_file file = DB_FILE_MAIN; file < DB_FILE_COUNT; file++)
        unlink(bed.paths.file[file]);
    assert_int_equal(db_identity_check(&bed.paths, &identity), IDENTITY_MISSING);
    assert_int_equal(open_expecting(&identity, DB_WRITER), DB_CODE_IDENTITY);
    assert_int_equal(open_expecting(NULL, DB_WRITER), DB_CODE_CANTOPEN);
    assert_int_equal(open_expecting(NULL, DB_READER), DB_CODE_CANTOPEN);
    assert_int_equal(stat(bed.paths.file[DB_FILE_MAIN], &status), -1);
}

static void links_and_strangers_are_refused(void **unused)
{
    (void)unused;
    char spare[400];
    const char *file = bed.paths.file[DB_FILE_MAIN];
    snprintf(spare, sizeof spare, "%s/spare", bed.dir);
    rename(file, spare);
    assert_int_equal(symlink(spare, file), 0);
    assert_int_equal(open_expecting(NULL, DB_WRITER), DB_CODE_CANTOPEN);
    unlink(file);
    unlink(bed.paths.file[DB_FILE_WAL]); /* with it, page 1 would be read from there */
    unlink(bed.paths.file[DB_FILE_SHM]);

    FILE *out = fopen(file, "wb");
    assert_non_null(out);
    for (int i = 0; i < 1000; i++)
        fputs("no database at all", out);
    fclose(out);
    assert_int_equal(open_expecting(NULL, DB_WRITER), DB_CODE_NOTADB);
    unlink(file);

    /* A database in another journal mode is nobody's of ours. */
    sqlite3 *db;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(db_exec(db, "CREATE TABLE t(x)"), 0);
    sqlite3_close(db);
    assert_int_equal(open_expecting(NULL, DB_WRITER), DB_CODE_OTHER);
}

static void a_link_to_the_directory_is_followed(void **unused)
{
    (void)unused;
    char link_path[80];
    struct db_paths paths;
    struct db_error error;
    sqlite3 *db;
    snprintf(link_path, sizeof link_path, "%s-link", bed.dir);
    assert_int_equal(symlink(bed.dir, link_path), 0);
    db_paths_set(&paths, link_path);
    unlink(link_path);
    assert_int_equal(db_open(&paths, DB_READER, DURABILITY_FULL, NULL, &db, &error), 0);
    db_close(db);
}

static void the_schema_is_made_once(void **unused)
{
    (void)unused;
    struct db_error error;
    char app_id[40];
    sqlite3 *db = bed_open(DB_WRITER);
    assert_int_equal(schema_check(db, &error), 0);
    assert_int_equal(db_read_app_id(db, app_id), 0);
    assert_string_equal(app_id, BED_APP_ID);
    assert_int_equal(schema_create(db, "other", &error), -1);
    assert_int_equal(error.code, DB_CODE_OTHER);
    assert_int_equal(sqlite3_get_autocommit(db), 1);
    assert_int_equal(db_exec(db, "PRAGMA user_version = 7"), 0);
    assert_int_equal(schema_check(db, &error), -1);
    assert_non_null(strstr(error.text, "version 7"));
    db_close(db);
}

static void the_id_file_is_read(void **unused)
{
    (void)unused;
    char app_id[40];
    assert_int_equal(db_read_app_id_file(&bed.paths, app_id), -1);
    FILE *out = fopen(bed.paths.app_id, "w");
    assert_non_null(out);
    fputs(BED_APP_ID "\n", out);
    fclose(out);
    assert_int_equal(db_read_app_id_file(&bed.paths, app_id), 0);
    assert_string_equal(app_id, BED_APP_ID);
}

static void codes_have_kinds(void **unused)
{
    (void)unused;
    static const struct {
        int code;
        enum db_code kind;
    } pairs[] = {
        {SQLITE_OK, DB_CODE_OK},
        {SQLITE_DONE, DB_CODE_OK},
        {SQLITE_BUSY_SNAPSHOT, DB_CODE_BUSY},
        {SQLITE_BUSY_RECOVERY, DB_CODE_BUSY},
        {SQLITE_READONLY_DBMOVED, DB_CODE_READONLY},
        {SQLITE_INTERRUPT, DB_CODE_INTERRUPT},
        {SQLITE_IOERR_FSYNC, DB_CODE_FSYNC},
        {SQLITE_CORRUPT_INDEX, DB_CODE_CORRUPT},
        {SQLITE_FULL, DB_CODE_FULL},
        {SQLITE_CANTOPEN_SYMLINK, DB_CODE_CANTOPEN},
        {SQLITE_PROTOCOL, DB_CODE_PROTOCOL},
        {SQLITE_NOTADB, DB_CODE_NOTADB},
        {SQLITE_NOMEM, DB_CODE_NOMEM},
        {SQLITE_CONSTRAINT_UNIQUE, DB_CODE_CONSTRAINT},
        {SQLITE_MISUSE, DB_CODE_OTHER},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        assert_int_equal(db_code_of(pairs[i].code), pairs[i].kind);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_connection_has_its_settings, make, clean),
        cmocka_unit_test_setup_teardown(durability_is_the_callers, make, clean),
        cmocka_unit_test_setup_teardown(readers_cannot_write, make, clean),
        cmocka_unit_test_setup_teardown(closing_checkpoints_nothing, make, clean),
        cmocka_unit_test_setup_teardown(other_files_are_refused, make, clean),
        cmocka_unit_test_setup_teardown(a_missing_file_is_not_made, make, clean),
        cmocka_unit_test_setup_teardown(links_and_strangers_are_refused, make, clean),
        cmocka_unit_test_setup_teardown(a_link_to_the_directory_is_followed, make, clean),
        cmocka_unit_test_setup_teardown(the_schema_is_made_once, make, clean),
        cmocka_unit_test_setup_teardown(the_id_file_is_read, make, clean),
        cmocka_unit_test(codes_have_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
