/* SPDX-License-Identifier: MIT */
#include "supervisor/sentinel/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "common/db/schema.h"

const char *inspect_network_filesystem(const char *directory)
{
    /* statfs(2); linux/magic.h does not have them all */
    static const struct {
        uint32_t magic;
        const char *name;
    } network[] = {
        {0x6969, "NFS"},
        {0x517B, "SMB"},
        {0xFF534D42, "CIFS"},
        {0xFE534D42, "SMB2"},
    };
    struct statfs status;
    if (statfs(directory, &status) < 0)
        return NULL;
    for (size_t i = 0; i < sizeof network / sizeof network[0]; i++)
        if ((uint32_t)status.f_type == network[i].magic)
            return network[i].name;
    return NULL;
}

static void conclude(struct inspection *inspection, enum inspect_kind kind, const char *why)
{
    inspection->kind = kind;
    snprintf(inspection->text, sizeof inspection->text, "app.db: %s", why);
}

/* file:PATH?immutable=1 with everything but unreserved characters and '/' escaped (RFC 3986). */
static void make_uri(char *uri, size_t size, const char *path)
{
    size_t n = (size_t)snprintf(uri, size, "file:");
    for (; *path && n + 32 < size; path++) {
        unsigned char c = (unsigned char)*path;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-._~/", c))
            uri[n++] = *path;
        else
            n += (size_t)snprintf(uri + n, size - n, "%%%02X", c);
    }
    snprintf(uri + n, size - n, "?immutable=1");
}

/* True when there is a file SQLite may be asked about. */
static bool look_at_file(const char *path, struct inspection *inspection)
{
    struct stat status;
    if (lstat(path, &status) < 0) {
        if (errno == ENOENT)
            conclude(inspection, INSPECT_ABSENT, "there is no such file");
        else
            conclude(inspection, INSPECT_UNREADABLE, strerror(errno));
        return false;
    }
    if (S_ISLNK(status.st_mode))
        conclude(inspection, INSPECT_FOREIGN, "it is a symbolic link; name its directory instead");
    else if (!S_ISREG(status.st_mode))
        conclude(inspection, INSPECT_FOREIGN, "it is not a regular file");
    else if (status.st_size == 0)
        conclude(inspection, INSPECT_DAMAGED, "it is empty, not a database");
    else
        return true;
    return false;
}

static void conclude_from_error(struct inspection *inspection, sqlite3 *db)
{
    switch (db_code_of(sqlite3_extended_errcode(db))) {
    case DB_CODE_NOTADB:
    case DB_CODE_CORRUPT:
    case DB_CODE_OTHER:
        conclude(inspection, INSPECT_DAMAGED, sqlite3_errmsg(db));
        break;
    default:
        conclude(inspection, INSPECT_UNREADABLE, sqlite3_errmsg(db));
        break;
    }
}

static void look_inside(sqlite3 *db, struct inspection *inspection)
{
    struct db_error error;
    /* The first statement makes SQLite read every table's definition, damaged ones too. */
    if (db_read_app_id(db, inspection->app_id) < 0) {
        int code = sqlite3_errcode(db);
        if (code == SQLITE_ERROR || db_code_of(code) == DB_CODE_OK) /* no such table, no such row */
            conclude(inspection, INSPECT_FOREIGN, "it is a database of another program");
        else
            conclude_from_error(inspection, db);
    } else if (schema_check(db, &error) < 0) {
        inspection->kind = INSPECT_FOREIGN;
        snprintf(inspection->text, sizeof inspection->text, "%s", error.text);
    } else {
        inspection->kind = INSPECT_OURS;
    }
}

void inspect_database(const struct db_paths *paths, struct inspection *inspection)
{
    char uri[3 * sizeof paths->file[0] + 64];
    sqlite3 *db = NULL;
    *inspection = (struct inspection){0};
    if (!look_at_file(paths->file[DB_FILE_MAIN], inspection))
        return;
    make_uri(uri, sizeof uri, paths->file[DB_FILE_MAIN]);
    if (sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
                        NULL) == SQLITE_OK &&
        sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL) == SQLITE_OK)
        look_inside(db, inspection);
    else
        conclude_from_error(inspection, db);
    sqlite3_close(db);
}
