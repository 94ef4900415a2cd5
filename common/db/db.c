/* SPDX-License-Identifier: MIT */
/*
 * Opening app.db, and the names of SQLite's failures. Every connection of every process comes from
 * here, so that none forgets a setting; docs/architecture.md ("The database") says what each
 * guards.
 */
#include "common/db/db.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/config.h"

/* While a connection is being opened another process may be recovering the log or be the first to
 * map the -shm file: this long it is waited for. Afterwards the caller's deadlines rule. */
#define OPEN_BUSY_MS 250

/* What the -wal file may keep on disk after a checkpoint emptied it. */
#define WAL_KEPT_BYTES "4194304"

enum db_code db_code_of(int sqlite_code)
{
    switch (sqlite_code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return DB_CODE_OK;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return DB_CODE_BUSY;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return DB_CODE_READONLY;
    case SQLITE_INTERRUPT:
        return DB_CODE_INTERRUPT;
    case SQLITE_IOERR:
        return sqlite_code == SQLITE_IOERR_FSYNC || sqlite_code == SQLITE_IOERR_DIR_FSYNC
                   ? DB_CODE_FSYNC
                   : DB_CODE_IOERR;
    case SQLITE_CORRUPT:
        return DB_CODE_CORRUPT;
    case SQLITE_FULL:
        return DB_CODE_FULL;
    case SQLITE_CANTOPEN:
        return DB_CODE_CANTOPEN;
    case SQLITE_PROTOCOL:
        return DB_CODE_PROTOCOL;
    case SQLITE_NOTADB:
        return DB_CODE_NOTADB;
    case SQLITE_NOMEM:
        return DB_CODE_NOMEM;
    case SQLITE_CONSTRAINT:
        return DB_CODE_CONSTRAINT;
    default:
        return DB_CODE_OTHER;
    }
}

enum db_code db_code_of_call(sqlite3 *db, int sqlite_code)
{
    if ((sqlite_code & 0xff) == SQLITE_IOERR && db && sqlite3_system_errno(db) == EROFS)
        return DB_CODE_READONLY;
    return db_code_of(sqlite_code);
}

static void set_error(struct db_error *error, enum db_code code, const char *what, const char *why)
{
    error->code = code;
    error->sqlite_code = 0;
    snprintf(error->text, sizeof error->text, "%s: %s", what, why);
}

void db_error_from(struct db_error *error, sqlite3 *db, const char *what)
{
    int code = db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
    set_error(error, db_code_of_call(db, code), what, db ? sqlite3_errmsg(db) : "out of memory");
    error->sqlite_code = code;
}

int db_exec(sqlite3 *db, const char *sql)
{
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : sqlite3_extended_errcode(db);
}

/* 0 when the files are those expected. */
static int compare_identity(const struct db_paths *paths, const struct db_identity *expected,
                            struct db_error *error)
{
    static const char *const why[] = {
        [IDENTITY_MISSING] = "the file is gone",
        [IDENTITY_REPLACED] = "it is another file than the one in use",
        [IDENTITY_SIDECAR] = "its -wal or -shm is not the one in use",
        [IDENTITY_HIDDEN] = "its files cannot be looked at",
    };
    if (!expected)
        return 0;
    enum identity_verdict verdict = db_identity_check(paths, expected);
    if (verdict == IDENTITY_SAME)
        return 0;
    set_error(error, DB_CODE_IDENTITY, "app.db", why[verdict]);
    return -1;
}

/* Settings that touch no file. */
static int configure(sqlite3 *db)
{
    int code = sqlite3_busy_timeout(db, OPEN_BUSY_MS);
    if (code == SQLITE_OK)
        code = sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    /* Checkpoints are the keeper's alone, behind the gate: neither after a commit nor on closing.
     */
    if (code == SQLITE_OK)
        code = sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_wal_autocheckpoint(db, 0);
    return code;
}

static bool in_wal_mode(sqlite3 *db)
{
    sqlite3_stmt *statement;
    bool wal = false;
    if (sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &statement, NULL) != SQLITE_OK)
        return false;
    if (sqlite3_step(statement) == SQLITE_ROW)
        wal = strcmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
    return sqlite3_finalize(statement) == SQLITE_OK && wal;
}

/* Settings that read the file, the first read among them. 0, or -1 and *error. */
static int prepare_file(sqlite3 *db, enum db_role role, uint64_t durability, struct db_error *error)
{
    int keep = 1;
    bool failed = sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep) != SQLITE_OK ||
                  db_exec(db, "PRAGMA mmap_size = 0") ||
                  (role >= DB_ADOPTER && db_exec(db, "PRAGMA journal_mode = WAL")) ||
                  db_exec(db, "SELECT count(*) FROM sqlite_schema") ||
                  db_exec(db, durability == DURABILITY_NORMAL ? "PRAGMA synchronous = NORMAL"
                                                              : "PRAGMA synchronous = FULL") ||
                  db_exec(db, "PRAGMA temp_store = MEMORY") ||
                  db_exec(db, "PRAGMA journal_size_limit = " WAL_KEPT_BYTES) ||
                  (role == DB_READER && db_exec(db, "PRAGMA query_only = 1"));
    if (failed) {
        db_error_from(error, db, "app.db cannot be opened");
        return -1;
    }
    if (!in_wal_mode(db)) {
        set_error(error, DB_CODE_OTHER, "app.db", "it is not in WAL mode; run set-up");
        return -1;
    }
    /* Where the file cannot be written SQLite opens it read-only without a word. */
    if (role != DB_READER && sqlite3_db_readonly(db, "main") == 1) {
        set_error(error, DB_CODE_READONLY, "app.db", "it can only be opened read-only");
        return -1;
    }
    return 0;
}

static int compare_app_id(sqlite3 *db, const struct db_identity *expected, struct db_error *error)
{
    char app_id[40];
    if (!expected || expected->app_id[0] == '\0')
        return 0;
    if (db_read_app_id(db, app_id) == 0 && strcmp(app_id, expected->app_id) == 0)
        return 0;
    /* No such table or row is a stranger's database; a failing read is a failing read. */
    enum db_code code = db_code_of(sqlite3_errcode(db));
    if (code != DB_CODE_OK && code != DB_CODE_OTHER)
        db_error_from(error, db, "app.db: its id cannot be read");
    else
        set_error(error, DB_CODE_IDENTITY, "app.db", "the id in it is not the one of app.id");
    return -1;
}

int db_open(const struct db_paths *paths, enum db_role role, uint64_t durability,
            const struct db_identity *expected, sqlite3 **db, struct db_error *error)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
                SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_PRIVATECACHE |
                (role == DB_CREATOR ? SQLITE_OPEN_CREATE : 0);
    *db = NULL;
    *error = (struct db_error){0};
    if (compare_identity(paths, expected, error))
        return -1;
    if (sqlite3_open_v2(paths->file[DB_FILE_MAIN], db, flags, NULL) != SQLITE_OK ||
        configure(*db) != SQLITE_OK) {
        db_error_from(error, *db, "app.db cannot be opened");
        goto failed;
    }
    /* Only a read makes SQLite map the sidecars, so the files are compared again after one. */
    if (prepare_file(*db, role, durability, error) || compare_identity(paths, expected, error) ||
        compare_app_id(*db, expected, error))
        goto failed;
    sqlite3_busy_timeout(*db, 0);
    return 0;
failed:
    db_close(*db);
    *db = NULL;
    return -1;
}

void db_close(sqlite3 *db)
{
    /* v2: a statement somebody forgot must not keep a half-closed handle's locks for ever. */
    sqlite3_close_v2(db);
}
