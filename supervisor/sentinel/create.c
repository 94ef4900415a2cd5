/* SPDX-License-Identifier: MIT */
/*
 * The birth of app.db. It is made as app.db.new and gets its name when it is whole and on the
 * disk, so a file called app.db is never half a database, whenever the power fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/crypto/private_file.h"
#include "common/db/schema.h"
#include "common/uuid7.h"
#include "supervisor/sentinel/setup.h"

static void temporary_paths(struct db_paths *temporary, const struct db_paths *paths)
{
    static const char *const suffixes[DB_FILE_COUNT] = {"", "-wal", "-shm"};
    *temporary = *paths;
    for (int i = 0; i < DB_FILE_COUNT; i++)
        snprintf(temporary->file[i], sizeof temporary->file[i], "%.310s.new%s",
                 paths->file[DB_FILE_MAIN], suffixes[i]);
}

static void remove_files(const struct db_paths *paths)
{
    for (int i = 0; i < DB_FILE_COUNT; i++)
        unlink(paths->file[i]);
}

static int fail(struct db_error *error, const char *path, const char *what, int number)
{
    const char *name = strrchr(path, '/');
    *error = (struct db_error){.code = number == ENOSPC ? DB_CODE_FULL : DB_CODE_IOERR};
    snprintf(error->text, sizeof error->text, "%.40s: %s: %s", name ? name + 1 : path, what,
             strerror(number));
    return -1;
}

/* Everything of it in the one file: the sidecars go, they bear the temporary name. */
static int fill(const struct db_paths *temporary, const char *id, struct db_error *error)
{
    sqlite3 *db;
    if (db_open(temporary, DB_CREATOR, DURABILITY_FULL, NULL, &db, error) < 0)
        return -1;
    int result = schema_create(db, id, error);
    /* Nobody else has this file: no gate to take. */
    if (result == 0 && sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL,
                                                 NULL) != SQLITE_OK) {
        db_error_from(error, db, "app.db.new: its log cannot be moved into it");
        result = -1;
    }
    db_close(db);
    return result;
}

static int sync_file(const char *path, struct db_error *error)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return fail(error, path, "cannot be opened", errno);
    int result = fsync(fd) < 0 ? fail(error, path, "cannot be brought to the disk", errno) : 0;
    close(fd);
    return result;
}

int setup_create_database(const struct db_paths *paths, const char *data_dir, char id[40],
                          struct db_error *error)
{
    struct db_paths temporary;
    char uuid[UUID_TEXT_SIZE];
    temporary_paths(&temporary, paths);
    remove_files(&temporary); /* of a run that was killed */
    uuid7_make(uuid);
    snprintf(id, 40, "%s", uuid);
    int result = fill(&temporary, id, error);
    if (result == 0)
        result = sync_file(temporary.file[DB_FILE_MAIN], error);
    if (result == 0) {
        unlink(temporary.file[DB_FILE_WAL]);
        unlink(temporary.file[DB_FILE_SHM]);
        if (rename(temporary.file[DB_FILE_MAIN], paths->file[DB_FILE_MAIN]) < 0)
            result = fail(error, paths->file[DB_FILE_MAIN], "cannot be given its name", errno);
    }
    if (result < 0) {
        remove_files(&temporary);
        return -1;
    }
    int number = -private_file_sync_directory(data_dir);
    return number ? fail(error, paths->file[DB_FILE_MAIN], "its name cannot be brought to the disk",
                         number)
                  : 0;
}
