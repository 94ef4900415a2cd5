/* SPDX-License-Identifier: MIT */
#include "common/db/schema.h"

#include <stdio.h>

#define TEXT_OF(number)  #number
#define NUMBER(constant) TEXT_OF(constant)

/* items.body comes last: a list reads the columns before it and never walks the overflow pages of
 * a long body. Text ids in UUIDv7 order make (user_id, id) the index of "newest first".
 * idempotency.item_id is what the Location of a replayed answer needs; its second index is what the
 * keeper purges by. */
static const char *const statements[] = {
    "CREATE TABLE meta("
    " key TEXT PRIMARY KEY,"
    " value TEXT NOT NULL) STRICT, WITHOUT ROWID",

    "CREATE TABLE users("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE,"
    " password TEXT NOT NULL,"
    " created_us INTEGER NOT NULL) STRICT",

    "CREATE TABLE items("
    " user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,"
    " id TEXT NOT NULL,"
    " title TEXT NOT NULL,"
    " version INTEGER NOT NULL,"
    " created_us INTEGER NOT NULL,"
    " updated_us INTEGER NOT NULL,"
    " body TEXT) STRICT",

    "CREATE UNIQUE INDEX items_by_user ON items(user_id, id)",

    "CREATE TABLE idempotency("
    " user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,"
    " key TEXT NOT NULL,"
    " request_hash BLOB NOT NULL,"
    " status INTEGER NOT NULL,"
    " item_id TEXT NOT NULL,"
    " created_us INTEGER NOT NULL,"
    " answer TEXT NOT NULL,"
    " PRIMARY KEY(user_id, key)) STRICT, WITHOUT ROWID",

    "CREATE INDEX idempotency_by_age ON idempotency(created_us)",

    "CREATE TABLE probe("
    " id INTEGER PRIMARY KEY CHECK(id = 1),"
    " tick INTEGER NOT NULL) STRICT",

    "INSERT INTO probe(id, tick) VALUES(1, 0)",
    "PRAGMA user_version = " NUMBER(SCHEMA_VERSION),
};

/* The number one statement answers with; -1 and *error when it cannot be had. */
static long long ask(sqlite3 *db, const char *sql, struct db_error *error)
{
    sqlite3_stmt *statement = NULL;
    long long answer = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        answer = sqlite3_column_int64(statement, 0);
    else
        db_error_from(error, db, "app.db: its schema cannot be read");
    sqlite3_finalize(statement);
    return answer;
}

static int write_app_id(sqlite3 *db, const char *app_id)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, "INSERT INTO meta(key, value) VALUES('app_id', ?1)", -1,
                                  &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(statement, 1, app_id, -1, SQLITE_STATIC);
    if (code == SQLITE_OK && sqlite3_step(statement) != SQLITE_DONE)
        code = SQLITE_ERROR;
    sqlite3_finalize(statement);
    return code;
}

static int create_all(sqlite3 *db, const char *app_id, struct db_error *error)
{
    long long tables = ask(db, "SELECT count(*) FROM sqlite_schema", error);
    if (tables < 0)
        return -1;
    if (tables > 0) {
        error->code = DB_CODE_OTHER;
        snprintf(error->text, sizeof error->text, "app.db: it is not empty");
        return -1;
    }
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++)
        if (db_exec(db, statements[i]))
            goto failed;
    if (write_app_id(db, app_id) == SQLITE_OK && db_exec(db, "COMMIT") == 0)
        return 0;
failed:
    db_error_from(error, db, "app.db: its tables cannot be made");
    return -1;
}

int schema_create(sqlite3 *db, const char *app_id, struct db_error *error)
{
    *error = (struct db_error){0};
    if (db_exec(db, "BEGIN IMMEDIATE")) {
        db_error_from(error, db, "app.db: its tables cannot be made");
        return -1;
    }
    if (create_all(db, app_id, error) == 0)
        return 0;
    if (!sqlite3_get_autocommit(db))
        db_exec(db, "ROLLBACK");
    return -1;
}

int schema_check(sqlite3 *db, struct db_error *error)
{
    *error = (struct db_error){0};
    long long version = ask(db, "PRAGMA user_version", error);
    if (version < 0)
        return -1;
    if (version == SCHEMA_VERSION)
        return 0;
    error->code = DB_CODE_OTHER;
    snprintf(error->text, sizeof error->text, "app.db: its schema is version %lld, not %d", version,
             SCHEMA_VERSION);
    return -1;
}
