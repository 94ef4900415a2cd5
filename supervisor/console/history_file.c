/* SPDX-License-Identifier: MIT */
#include "supervisor/console/history_file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID 0x626b6d68 /* "bkmh" */
#define BUSY_MS        200
#define PRUNE_ROWS     64 /* a call; a few times what comes in between two */
#define SQL_SIZE       8192

/* A number for this build's columns: FNV-1a of their names, 31 bits as user_version takes. */
static int32_t version_of_series(void)
{
    uint32_t hash = 2166136261u;
    for (unsigned i = 0; i < SERIES_NUMBER; i++)
        for (const char *c = series[i].name;; c++) {
            hash = (hash ^ (unsigned char)*c) * 16777619u;
            if (*c == '\0')
                break;
        }
    return (int32_t)(hash & 0x7fffffff);
}

void history_file_init(struct history_file *file, const char *data_dir)
{
    *file = (struct history_file){0};
    snprintf(file->path, sizeof file->path, "%s/%s", data_dir, HISTORY_FILE_NAME);
}

void history_file_close(struct history_file *file)
{
    sqlite3_finalize(file->insert);
    sqlite3_close(file->db);
    file->insert = NULL;
    file->db = NULL;
}

/* Say why the last call failed. What passes by itself leaves the file open. */
static bool fail(struct history_file *file, const char *what)
{
    int code = file->db ? sqlite3_errcode(file->db) : SQLITE_NOMEM;
    snprintf(file->error, sizeof file->error, "%s: %s", what,
             file->db ? sqlite3_errmsg(file->db) : "out of memory");
    if (file->db && !sqlite3_get_autocommit(file->db))
        sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
    file->damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
    if (code != SQLITE_BUSY && code != SQLITE_LOCKED && code != SQLITE_FULL)
        history_file_close(file);
    return false;
}

static bool run(struct history_file *file, const char *sql)
{
    return sqlite3_exec(file->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* What the last call failed of is nothing about the file: a lock, or this process has no memory or
 * no descriptor. Without descriptors SQLite says CANTOPEN, as it does of what is no file. */
static bool passes_by_itself(sqlite3 *db)
{
    int code = db ? sqlite3_errcode(db) : SQLITE_NOMEM, error = db ? sqlite3_system_errno(db) : 0;
    return code == SQLITE_BUSY || code == SQLITE_LOCKED || code == SQLITE_NOMEM ||
           (code == SQLITE_CANTOPEN && (error == EMFILE || error == ENFILE || error == ENOMEM));
}

/* One number that a statement gives. */
static bool ask(struct history_file *file, const char *sql, int64_t *number)
{
    sqlite3_stmt *statement = NULL;
    bool had = sqlite3_prepare_v2(file->db, sql, -1, &statement, NULL) == SQLITE_OK &&
               sqlite3_step(statement) == SQLITE_ROW;
    if (had)
        *number = sqlite3_column_int64(statement, 0);
    return sqlite3_finalize(statement) == SQLITE_OK && had;
}

/* ---- opening ------------------------------------------------------------------------------- */

/* For this connection. Not at its opening: it reads the file, which may be locked. */
static bool tune(struct history_file *file)
{
    return run(file, "PRAGMA synchronous=OFF;PRAGMA cache_size=-512");
}

static bool create(struct history_file *file)
{
    char sql[SQL_SIZE];
    int length = snprintf(sql, sizeof sql,
                          "BEGIN IMMEDIATE;PRAGMA application_id=%d;PRAGMA user_version=%d;"
                          "CREATE TABLE metrics_events(t INTEGER NOT NULL,step INTEGER NOT NULL",
                          APPLICATION_ID, version_of_series());
    for (unsigned i = 0; i < SERIES_NUMBER; i++)
        length += snprintf(sql + length, sizeof sql - (size_t)length, ",%s REAL", series[i].name);
    snprintf(sql + length, sizeof sql - (size_t)length,
             ");CREATE UNIQUE INDEX metrics_events_by_time ON metrics_events(step,t);COMMIT");
    return run(file, sql);
}

static bool prepare(struct history_file *file)
{
    char sql[SQL_SIZE];
    int length = snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO metrics_events(t,step");
    for (unsigned i = 0; i < SERIES_NUMBER; i++)
        length += snprintf(sql + length, sizeof sql - (size_t)length, ",%s", series[i].name);
    length += snprintf(sql + length, sizeof sql - (size_t)length, ")VALUES(?,?");
    for (unsigned i = 0; i < SERIES_NUMBER; i++)
        length += snprintf(sql + length, sizeof sql - (size_t)length, ",?");
    snprintf(sql + length, sizeof sql - (size_t)length, ")");
    return sqlite3_prepare_v3(file->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &file->insert, NULL) ==
           SQLITE_OK;
}

enum found { FOUND_OURS, FOUND_NOTHING, FOUND_OTHER, FOUND_TROUBLE };

/* What is in a file that was opened just now. */
static enum found inspect(struct history_file *file, const char **why)
{
    int64_t id = 0, version = 0, objects = 0;
    if (!ask(file, "PRAGMA application_id", &id) || !ask(file, "PRAGMA user_version", &version) ||
        !ask(file, "SELECT count(*) FROM sqlite_master", &objects)) {
        *why = sqlite3_errmsg(file->db);
        return passes_by_itself(file->db) ? FOUND_TROUBLE : FOUND_OTHER;
    }
    if (objects == 0 && id == 0 && version == 0)
        return FOUND_NOTHING;
    *why =
        id == APPLICATION_ID ? "it holds other series than this build" : "it is another program's";
    return id == APPLICATION_ID && version == version_of_series() && objects >= 2 ? FOUND_OURS
                                                                                  : FOUND_OTHER;
}

/* Make room for a new file: rename, never delete. A journal that is left beside it is deleted by
 * SQLite, which finds it beside a file without a page. */
static bool set_aside(struct history_file *file, const char *why)
{
    char aside[PATH_MAX + 16], cause[100];
    snprintf(cause, sizeof cause, "%s", why); /* closing ends the text */
    history_file_close(file);
    snprintf(aside, sizeof aside, "%s.aside", file->path);
    if (rename(file->path, aside) < 0 && errno != ENOENT) {
        snprintf(file->error, sizeof file->error, "%s, and it cannot be renamed: %s", cause,
                 strerror(errno));
        return false;
    }
    snprintf(file->note, sizeof file->note, "renamed to %s.aside: %s", HISTORY_FILE_NAME, cause);
    return true;
}

static bool connect_to(struct history_file *file)
{
    struct stat status;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(file->path, &file->db, flags, NULL) != SQLITE_OK)
        return false;
    sqlite3_busy_timeout(file->db, BUSY_MS);
    if (stat(file->path, &status) < 0) {
        status.st_dev = 0;
        status.st_ino = 0;
    }
    file->device = status.st_dev;
    file->inode = status.st_ino;
    return true;
}

/* The same once more with what was in the way set aside. */
static bool open_anew(struct history_file *file, const char *why)
{
    if (!set_aside(file, why))
        return false;
    if (!connect_to(file) || !tune(file) || !create(file) || !prepare(file)) {
        fail(file, "it cannot be made");
        history_file_close(file); /* half a file is none to write to */
        return false;
    }
    return true;
}

bool history_file_open(struct history_file *file, bool *fresh)
{
    const char *why = "";
    *fresh = true;
    if (file->damaged) {
        file->damaged = false;
        return open_anew(file, "it is damaged");
    }
    if (!connect_to(file)) {
        if (!passes_by_itself(file->db))
            return open_anew(file, sqlite3_errmsg(file->db));
        fail(file, "it cannot be opened");
        history_file_close(file);
        return false;
    }
    if (sqlite3_db_readonly(file->db, "main") == 1)
        return open_anew(file, "it may not be written");
    switch (inspect(file, &why)) {
    case FOUND_TROUBLE:
        fail(file, "it cannot be read");
        history_file_close(file);
        return false;
    case FOUND_OTHER:
        return open_anew(file, why);
    case FOUND_NOTHING:
        if (!tune(file) || !create(file)) {
            fail(file, "it cannot be made");
            history_file_close(file);
            return false;
        }
        break;
    case FOUND_OURS:
        *fresh = false;
        break;
    }
    if (!tune(file) || !prepare(file)) {
        fail(file, "it cannot be used");
        history_file_close(file);
        return false;
    }
    return true;
}

bool history_file_is_there(const struct history_file *file)
{
    struct stat status;
    return stat(file->path, &status) == 0 && status.st_dev == file->device &&
           status.st_ino == file->inode;
}

/* ---- rows ---------------------------------------------------------------------------------- */

bool history_file_load(struct history_file *file, unsigned step, int64_t after, int64_t until,
                       bool (*take)(void *argument, unsigned step, int64_t time,
                                    const float values[SERIES_NUMBER]),
                       void *argument)
{
    float values[SERIES_NUMBER];
    sqlite3_stmt *rows = NULL;
    int code = sqlite3_prepare_v2(
        file->db, "SELECT * FROM metrics_events WHERE step=? AND t>? AND t<=? ORDER BY t", -1,
        &rows, NULL);
    if (code != SQLITE_OK)
        return fail(file, "its rows cannot be read");
    sqlite3_bind_int64(rows, 1, step);
    sqlite3_bind_int64(rows, 2, after);
    sqlite3_bind_int64(rows, 3, until);
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        for (int i = 0; i < SERIES_NUMBER; i++)
            values[i] = sqlite3_column_type(rows, 2 + i) == SQLITE_NULL
                            ? NAN
                            : (float)sqlite3_column_double(rows, 2 + i);
        if (!take(argument, step, sqlite3_column_int64(rows, 0), values))
            break;
    }
    bool read = code == SQLITE_DONE || code == SQLITE_ROW;
    sqlite3_finalize(rows);
    return read || fail(file, "its rows cannot be read");
}

bool history_file_begin(struct history_file *file)
{
    return run(file, "BEGIN IMMEDIATE") || fail(file, "it cannot be written");
}

bool history_file_put(struct history_file *file, unsigned step, int64_t time,
                      const float values[SERIES_NUMBER])
{
    sqlite3_bind_int64(file->insert, 1, time);
    sqlite3_bind_int64(file->insert, 2, step);
    for (int i = 0; i < SERIES_NUMBER; i++) {
        if (isnan(values[i]))
            sqlite3_bind_null(file->insert, 3 + i);
        else
            sqlite3_bind_double(file->insert, 3 + i, (double)values[i]);
    }
    bool done = sqlite3_step(file->insert) == SQLITE_DONE;
    sqlite3_reset(file->insert);
    return done || fail(file, "it cannot be written");
}

bool history_file_prune(struct history_file *file, unsigned step, int64_t oldest, int64_t newest)
{
    char sql[400];
    snprintf(sql, sizeof sql,
             "DELETE FROM metrics_events WHERE rowid IN(SELECT rowid FROM metrics_events "
             "WHERE step=%u AND t<%lld LIMIT %d);"
             "DELETE FROM metrics_events WHERE rowid IN(SELECT rowid FROM metrics_events "
             "WHERE step=%u AND t>%lld LIMIT %d)",
             step, (long long)oldest, PRUNE_ROWS, step, (long long)newest, PRUNE_ROWS);
    return run(file, sql) || fail(file, "it cannot be written");
}

bool history_file_commit(struct history_file *file)
{
    return run(file, "COMMIT") || fail(file, "it cannot be written");
}
