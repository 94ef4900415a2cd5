/* SPDX-License-Identifier: MIT */
#include "supervisor/sentinel/inspect.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

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

/* ---- a checkpoint that was killed half-way --------------------------------------------------- */

/* sqlite.org/fileformat2.html: the database header, the WAL header, the header of a frame. */
#define HEADER_SIZE       100
#define HEADER_PAGE_SIZE  16 /* 16 bits; 1 means 65536 */
#define HEADER_PAGES      28
#define WAL_HEADER_SIZE   32
#define WAL_SALT          16 /* 8 bytes; those of a frame that counts are the same */
#define FRAME_HEADER_SIZE 24
#define FRAME_SALT        8
#define LOCK_BYTE         0x40000000 /* the page with it has locks and is never written */

static uint32_t number_at(const unsigned char *bytes, size_t offset)
{
    uint32_t number;
    memcpy(&number, bytes + offset, sizeof number);
    return be32toh(number);
}

/* How many of the pages first..last have a frame in the -wal. Checksums are left to SQLite. */
static uint32_t count_pages_in_wal(const char *path, uint32_t page_size, uint32_t first,
                                   uint32_t last)
{
    unsigned char header[WAL_HEADER_SIZE], frame[FRAME_HEADER_SIZE];
    uint32_t lock_page = LOCK_BYTE / page_size + 1;
    uint32_t found = first <= lock_page && lock_page <= last;
    bool *seen = calloc((size_t)(last - first) + 1, sizeof *seen);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (seen && fd >= 0 && pread(fd, header, sizeof header, 0) == (ssize_t)sizeof header)
        for (off_t at = WAL_HEADER_SIZE;
             pread(fd, frame, sizeof frame, at) == (ssize_t)sizeof frame &&
             memcmp(frame + FRAME_SALT, header + WAL_SALT, 8) == 0;
             at += (off_t)(FRAME_HEADER_SIZE + page_size)) {
            uint32_t page = number_at(frame, 0);
            if (page < first || page > last || seen[page - first])
                continue;
            seen[page - first] = true;
            found++;
        }
    if (fd >= 0)
        close(fd);
    free(seen);
    return found;
}

/* A checkpoint writes page 1, which counts the pages, before those at the end of the file. Killed
 * in between it leaves a file shorter than it says, and nothing is lost: the -wal still has the
 * rest. Alone such a file is corrupt to SQLite. */
static bool is_half_checkpointed(const struct db_paths *paths, sqlite3 *db)
{
    unsigned char header[HEADER_SIZE];
    sqlite3_file *file = NULL;
    sqlite3_int64 size = 0;
    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || !file ||
        !file->pMethods || file->pMethods->xRead(file, header, sizeof header, 0) != SQLITE_OK ||
        file->pMethods->xFileSize(file, &size) != SQLITE_OK)
        return false;
    uint32_t page_size = number_at(header, HEADER_PAGE_SIZE) >> 16;
    page_size = page_size == 1 ? 65536 : page_size;
    if (page_size < 512 || size / page_size >= UINT32_MAX)
        return false;
    uint32_t counted = number_at(header, HEADER_PAGES), there = (uint32_t)(size / page_size);
    return counted > there && count_pages_in_wal(paths->file[DB_FILE_WAL], page_size, there + 1,
                                                 counted) == counted - there;
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
    if (inspection->kind == INSPECT_DAMAGED && is_half_checkpointed(paths, db) &&
        sqlite3_db_config(db, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1, NULL) == SQLITE_OK) {
        /* With this SQLite takes the file's own length for its size (lockBtree() in btree.c). */
        *inspection = (struct inspection){0};
        look_inside(db, inspection);
    }
    sqlite3_close(db);
}
