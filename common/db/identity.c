/* SPDX-License-Identifier: MIT */
/*
 * Which files app.db and its sidecars are. A process goes on reading and writing a file that was
 * unlinked or replaced, and every answer it gives from it is lost; so the files are compared by
 * (device, inode) with those the supervisor published. stat(2) only: opening and closing app.db
 * would drop the POSIX locks that SQLite holds on it for this process.
 */
#include "common/db/db.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* SQLite refuses a path with a symbolic link anywhere in it (SQLITE_OPEN_NOFOLLOW). A link to the
 * data directory is an administrator's choice, one at app.db itself is not: resolve the former. */
static const char *resolved(const char *data_dir, char *buffer)
{
    return realpath(data_dir, buffer) && strlen(buffer) <= 300 ? buffer : data_dir;
}

void db_paths_set(struct db_paths *paths, const char *data_dir)
{
    static const char *const names[DB_FILE_COUNT] = {"app.db", "app.db-wal", "app.db-shm"};
    char buffer[PATH_MAX];
    const char *directory = resolved(data_dir, buffer);
    for (int i = 0; i < DB_FILE_COUNT; i++)
        snprintf(paths->file[i], sizeof paths->file[i], "%.300s/%s", directory, names[i]);
    snprintf(paths->app_id, sizeof paths->app_id, "%.300s/app.id", directory);
}

int db_identity_stat(const struct db_paths *paths, struct db_identity *identity)
{
    int number = 0;
    *identity = (struct db_identity){0};
    for (int i = 0; i < DB_FILE_COUNT; i++) {
        struct stat status;
        if (stat(paths->file[i], &status) < 0) {
            if (number == 0 && errno != ENOENT)
                number = errno;
            continue;
        }
        identity->device[i] = (uint64_t)status.st_dev;
        identity->inode[i] = (uint64_t)status.st_ino;
    }
    return number;
}

uint64_t db_wal_bytes(const struct db_paths *paths)
{
    struct stat status;
    return stat(paths->file[DB_FILE_WAL], &status) < 0 ? 0 : (uint64_t)status.st_size;
}

static bool same_file(const struct db_identity *a, const struct db_identity *b, enum db_file file)
{
    return a->inode[file] == b->inode[file] && a->device[file] == b->device[file];
}

enum identity_verdict db_identity_check(const struct db_paths *paths,
                                        const struct db_identity *expected)
{
    if (expected->inode[DB_FILE_MAIN] == 0)
        return IDENTITY_SAME;
    struct db_identity now;
    if (db_identity_stat(paths, &now) != 0)
        return IDENTITY_HIDDEN;
    if (now.inode[DB_FILE_MAIN] == 0)
        return IDENTITY_MISSING;
    if (!same_file(&now, expected, DB_FILE_MAIN))
        return IDENTITY_REPLACED;
    for (enum db_file file = DB_FILE_WAL; file < DB_FILE_COUNT; file++)
        if (expected->inode[file] != 0 && !same_file(&now, expected, file))
            return IDENTITY_SIDECAR;
    return IDENTITY_SAME;
}

int db_read_app_id(sqlite3 *db, char out[40])
{
    sqlite3_stmt *statement;
    int result = -1;
    out[0] = '\0';
    if (sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE key = 'app_id'", -1, &statement,
                           NULL) != SQLITE_OK)
        return -1;
    if (sqlite3_step(statement) == SQLITE_ROW) {
        const unsigned char *text = sqlite3_column_text(statement, 0);
        if (text && text[0] != '\0' && sqlite3_column_bytes(statement, 0) < 40) {
            snprintf(out, 40, "%s", (const char *)text);
            result = 0;
        }
    }
    sqlite3_finalize(statement);
    return result;
}

int db_read_app_id_file(const struct db_paths *paths, char out[40])
{
    out[0] = '\0';
    int fd = open(paths->app_id, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -1;
    ssize_t length = read(fd, out, 39);
    close(fd);
    out[length > 0 ? length : 0] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    return out[0] == '\0' ? -1 : 0;
}
