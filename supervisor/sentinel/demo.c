/* SPDX-License-Identifier: MIT */
/*
 * The demo account. Its password is random and kept in DATADIR/demo.txt, for the owner's eyes.
 * The order of steps makes every crash harmless: while demo.txt is there, the account has the
 * password in it.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crypto/password.h"
#include "common/crypto/private_file.h"
#include "supervisor/sentinel/setup.h"

#define USER "demo"
#define FILE "demo.txt"

static int fail(struct db_error *error, sqlite3 *db)
{
    db_error_from(error, db, "app.db: the demo account cannot be made");
    return -1;
}

/* 1 it is there, 0 it is not, -1 and *error. */
static int user_exists(sqlite3 *db, struct db_error *error)
{
    sqlite3_stmt *statement = NULL;
    int result = -1;
    if (sqlite3_prepare_v2(db, "SELECT 1 FROM users WHERE name = '" USER "'", -1, &statement,
                           NULL) == SQLITE_OK) {
        int code = sqlite3_step(statement);
        result = code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : -1;
    }
    if (result < 0)
        fail(error, db);
    sqlite3_finalize(statement);
    return result;
}

/* Make the account, or give the one that is there another password. */
static int put_user(sqlite3 *db, const char *hash, struct db_error *error)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db,
                                  "INSERT INTO users(name, password, created_us)"
                                  " VALUES('" USER "', ?1, ?2)"
                                  " ON CONFLICT(name) DO UPDATE SET password = excluded.password",
                                  -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(statement, 1, hash, -1, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(statement, 2, (int64_t)clock_wall_us());
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    int result = code == SQLITE_DONE ? 0 : fail(error, db);
    sqlite3_finalize(statement);
    return result;
}

static int fail_file(struct db_error *error, int number)
{
    *error = (struct db_error){.code = DB_CODE_IOERR};
    snprintf(error->text, sizeof error->text, FILE ": it cannot be written: %s", strerror(number));
    return -1;
}

/* A new password for the account, and only then the file that tells it. */
static int renew(sqlite3 *db, const char *data_dir, const char *password, struct db_error *error)
{
    char hash[PASSWORD_HASH_SIZE], text[128], path[320];
    snprintf(path, sizeof path, "%.300s/" FILE, data_dir);
    if (unlink(path) < 0 && errno != ENOENT)
        return fail_file(error, errno);
    if (password_hash(password, strlen(password), hash) < 0) {
        *error = (struct db_error){.code = DB_CODE_NOMEM};
        snprintf(error->text, sizeof error->text, "the demo account's password cannot be hashed");
        return -1;
    }
    if (put_user(db, hash, error) < 0)
        return -1;
    int length = snprintf(text, sizeof text, "username: " USER "\npassword: %s\n", password);
    int number = -private_file_write(data_dir, FILE, text, (size_t)length);
    OPENSSL_cleanse(text, sizeof text);
    return number ? fail_file(error, number) : 0;
}

int setup_demo(sqlite3 *db, const char *data_dir, struct db_error *error)
{
    char path[320], password[21];
    struct stat status;
    int exists = user_exists(db, error);
    if (exists < 0)
        return -1;
    snprintf(path, sizeof path, "%.300s/" FILE, data_dir);
    if (exists && lstat(path, &status) == 0)
        return 0;
    password_random(password);
    int result = renew(db, data_dir, password, error);
    OPENSSL_cleanse(password, sizeof password);
    return result;
}
