/* SPDX-License-Identifier: MIT */
#include "supervisor/sentinel/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "common/config.h"
#include "common/crypto/private_file.h"
#include "supervisor/sentinel/inspect.h"

#define RESERVE_BYTES (UINT64_C(64) << 20)
#define BUSY_LIMIT_MS 2000

static const char *const endings[DB_FILE_COUNT] = {"", "-wal", "-shm"};

static int fail(struct restore *restore, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int fail(struct restore *restore, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(restore->error, sizeof restore->error, format, arguments);
    va_end(arguments);
    return -1;
}

static int fail_file(struct restore *restore, const char *what, const char *why)
{
    restore->step_failed_for_good = true;
    return fail(restore, "%.300s: %s%.150s; nothing was changed", restore->source, what, why);
}

static bool exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

static int sync_directory(struct restore *restore)
{
    int error = private_file_sync_directory(restore->data_dir);
    return error ? fail(restore, "%s: it cannot be brought to the disk: %s", restore->data_dir,
                        strerror(-error))
                 : 0;
}

/* ---- COPY, VERIFY: nothing of the old database is touched ---------------------------------- */

/* inspect_database asks about app.db of a data directory; here it is another file. */
static void inspect_file(const char *path, struct inspection *inspection)
{
    static struct db_paths paths;
    snprintf(paths.file[DB_FILE_MAIN], sizeof paths.file[DB_FILE_MAIN], "%s", path);
    if (strlen(path) >= sizeof paths.file[DB_FILE_MAIN]) {
        *inspection = (struct inspection){.kind = INSPECT_UNREADABLE};
        snprintf(inspection->text, sizeof inspection->text, "app.db: its path is too long");
        return;
    }
    inspect_database(&paths, inspection);
}

static const char *without_name(const char *text)
{
    return strncmp(text, "app.db: ", 8) == 0 ? text + 8 : text;
}

static int examine_source(struct restore *restore, struct stat *status)
{
    struct inspection inspection;
    struct stat own, wal;
    char beside[4200];
    if (stat(restore->source, status) < 0)
        return fail_file(restore, "", strerror(errno));
    if (stat(restore->paths.file[DB_FILE_MAIN], &own) == 0 && own.st_dev == status->st_dev &&
        own.st_ino == status->st_ino)
        return fail_file(restore, "it is the database of that directory itself", "");
    snprintf(beside, sizeof beside, "%s-wal", restore->source);
    if (stat(beside, &wal) == 0 && wal.st_size > 0)
        return fail_file(restore, "a -wal lies beside it, so it is not all there; move it in with:",
                         " sqlite3 FILE 'PRAGMA journal_mode=DELETE'");
    inspect_file(restore->source, &inspection);
    if (inspection.kind != INSPECT_OURS)
        return fail_file(restore, "", without_name(inspection.text));
    return 0;
}

static int examine_room(struct restore *restore, uint64_t bytes)
{
    struct statvfs room;
    if (statvfs(restore->data_dir, &room) < 0)
        return fail(restore, "%s: %s", restore->data_dir, strerror(errno));
    uint64_t free_bytes = (uint64_t)room.f_bavail * room.f_frsize;
    if (free_bytes >= bytes + RESERVE_BYTES)
        return 0;
    return fail(restore, "%s: %llu MiB are free, %llu MiB are needed; nothing was changed",
                restore->data_dir, (unsigned long long)(free_bytes >> 20),
                (unsigned long long)((bytes + RESERVE_BYTES) >> 20));
}

/* Root restores for the service, which must be able to write to the file. */
static int give_to_owner(int fd, const char *data_dir)
{
    struct stat status;
    if (geteuid() != 0)
        return 0;
    return stat(data_dir, &status) < 0 || fchown(fd, status.st_uid, status.st_gid) < 0 ? -1 : 0;
}

static int copy_bytes(int from, int to)
{
    static char buffer[1 << 16];
    ssize_t n;
    while ((n = read(from, buffer, sizeof buffer)) > 0)
        for (ssize_t done = 0; done < n;) {
            ssize_t written = write(to, buffer + done, (size_t)(n - done));
            if (written < 0)
                return -1;
            done += written;
        }
    return n < 0 ? -1 : 0;
}

/* The copy and what SQLite made beside it: of a run that was killed, a journal would be rolled back
 * into the next copy. */
static void remove_copy(const struct restore *restore)
{
    static const char *const beside[] = {"", "-journal", "-wal", "-shm"};
    char path[360];
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        snprintf(path, sizeof path, "%s%s", restore->copy, beside[i]);
        unlink(path);
    }
}

static int step_copy(struct restore *restore)
{
    struct stat status;
    remove_copy(restore);
    if (examine_source(restore, &status) < 0 || examine_room(restore, (uint64_t)status.st_size) < 0)
        return -1;
    int from = open(restore->source, O_RDONLY | O_CLOEXEC);
    int to = open(restore->copy, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int result = 0;
    if (from < 0 || to < 0 || copy_bytes(from, to) < 0 ||
        give_to_owner(to, restore->data_dir) < 0 || fsync(to) < 0)
        result = fail(restore, "%s cannot be copied to %s: %s; nothing was changed",
                      restore->source, restore->copy, strerror(errno));
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return result;
}

/* "ok", or what is wrong. The copy alone, as from a read-only disc: nothing is made beside it. */
static void quick_check(const char *path, char verdict[128])
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    char uri[400];
    snprintf(uri, sizeof uri, "%s", path);
    if (sqlite3_open_v2(uri, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK &&
        !db_exec(db, "PRAGMA trusted_schema = 0") &&
        !db_exec(db, "PRAGMA locking_mode = EXCLUSIVE") &&
        !db_exec(db, "PRAGMA journal_mode = DELETE") &&
        sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        snprintf(verdict, 128, "%.120s", (const char *)sqlite3_column_text(statement, 0));
    else
        snprintf(verdict, 128, "%.120s", db ? sqlite3_errmsg(db) : "out of memory");
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

static int sync_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -1;
    int result = fsync(fd);
    close(fd);
    return result;
}

/* The copy and not FILE: it is what will be used. */
static int step_verify(struct restore *restore)
{
    struct inspection inspection;
    char verdict[128];
    inspect_file(restore->copy, &inspection);
    if (inspection.kind == INSPECT_OURS)
        quick_check(restore->copy, verdict);
    else
        snprintf(verdict, sizeof verdict, "%.120s", without_name(inspection.text));
    snprintf(restore->app_id, sizeof restore->app_id, "%s", inspection.app_id);
    if (strcmp(verdict, "ok") == 0 && sync_file(restore->copy) == 0)
        return 0;
    return fail_file(restore, "it is damaged: ", verdict);
}

/* ---- the old database ---------------------------------------------------------------------- */

static int step_merge(struct restore *restore)
{
    struct inspection inspection;
    struct db_error error;
    sqlite3 *db;
    inspect_database(&restore->paths, &inspection);
    restore->old_exists = inspection.kind != INSPECT_ABSENT;
    restore->old_is_complete = false;
    if (inspection.kind != INSPECT_OURS)
        return 0;
    if (db_open(&restore->paths, DB_CREATOR, DURABILITY_FULL, NULL, &db, &error) < 0)
        return 0; /* damaged where the first look did not see it */
    sqlite3_busy_timeout(db, BUSY_LIMIT_MS);
    /* The lock of the directory is ours, so no server writes behind this. */
    int code = sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    db_close(db);
    if (db_code_of(code) == DB_CODE_BUSY)
        return fail(restore,
                    "another program has %s open; end it and try again; nothing was changed",
                    restore->paths.file[DB_FILE_MAIN]);
    restore->old_is_complete = code == SQLITE_OK;
    return 0;
}

static int write_id(struct restore *restore)
{
    char line[48];
    int length = snprintf(line, sizeof line, "%s\n", restore->app_id);
    int error = private_file_write(restore->data_dir, "app.id", line, (size_t)length);
    return error ? fail(restore, "app.id cannot be written: %s", strerror(-error)) : 0;
}

static int step_keep(struct restore *restore)
{
    const char *from = restore->paths.file[DB_FILE_MAIN], *to = restore->aside[DB_FILE_MAIN];
    /* Soon nothing is in place: with app.id there, set-up makes no empty database then. */
    if (!restore->old_is_complete && write_id(restore) < 0)
        return -1;
    if (!restore->old_exists)
        return 0;
    if ((restore->old_is_complete ? link(from, to) : rename(from, to)) < 0)
        return fail(restore, "%s cannot be set aside: %s", from, strerror(errno));
    return sync_directory(restore);
}

static int step_aside(struct restore *restore)
{
    for (int i = DB_FILE_WAL; i < DB_FILE_COUNT; i++) {
        const char *from = restore->paths.file[i];
        if (exists(from) && rename(from, restore->aside[i]) < 0)
            return fail(restore, "%s cannot be set aside: %s", from, strerror(errno));
    }
    return sync_directory(restore);
}

static int step_forget(struct restore *restore)
{
    if (!restore->old_is_complete || !exists(restore->paths.app_id))
        return 0;
    if (unlink(restore->paths.app_id) < 0)
        return fail(restore, "app.id cannot be removed: %s", strerror(errno));
    return sync_directory(restore);
}

static int step_replace(struct restore *restore)
{
    if (rename(restore->copy, restore->paths.file[DB_FILE_MAIN]) < 0)
        return fail(restore, "%s cannot be given its name: %s", restore->copy, strerror(errno));
    return sync_directory(restore);
}

int restore_take(struct restore *restore, enum restore_step step)
{
    static int (*const steps[RESTORE_STEP_COUNT])(struct restore *) = {
        [RESTORE_COPY] = step_copy,       [RESTORE_VERIFY] = step_verify,
        [RESTORE_MERGE] = step_merge,     [RESTORE_KEEP] = step_keep,
        [RESTORE_ASIDE] = step_aside,     [RESTORE_FORGET] = step_forget,
        [RESTORE_REPLACE] = step_replace, [RESTORE_ADOPT] = write_id,
    };
    int result = steps[step](restore);
    if (result < 0)
        remove_copy(restore);
    return result;
}

/* One name for the three files that nothing bears yet. */
static void choose_aside(struct restore *restore)
{
    char stamp[24];
    time_t now = time(NULL);
    bool taken = true;
    while (taken) {
        struct tm utc;
        gmtime_r(&now, &utc);
        strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
        taken = false;
        for (int i = 0; i < DB_FILE_COUNT; i++) {
            snprintf(restore->aside[i], sizeof restore->aside[i], "%.319s.before-restore-%s%s",
                     restore->paths.file[DB_FILE_MAIN], stamp, endings[i]);
            taken |= exists(restore->aside[i]);
        }
        now++;
    }
}

int restore_begin(struct restore *restore, const char *data_dir, const char *file)
{
    char real[4096];
    *restore = (struct restore){0};
    if (!realpath(data_dir, real) || strlen(real) > 299)
        return fail(restore, "%s: %s", data_dir,
                    strlen(data_dir) > 299 ? "the path is too long" : strerror(errno));
    snprintf(restore->data_dir, sizeof restore->data_dir, "%.299s", real);
    if (!realpath(file, restore->source)) {
        restore->step_failed_for_good = true;
        return fail(restore, "%.300s: %s", file, strerror(errno));
    }
    db_paths_set(&restore->paths, restore->data_dir);
    snprintf(restore->copy, sizeof restore->copy, "%.310s.restore",
             restore->paths.file[DB_FILE_MAIN]);
    choose_aside(restore);
    return 0;
}
