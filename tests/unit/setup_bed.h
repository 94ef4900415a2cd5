/* SPDX-License-Identifier: MIT */
/* What the tests of set-up and check share: what lies in the data directory, and whether anything
 * of it changed. */
#ifndef BULKHEAD_SETUP_BED_H
#define BULKHEAD_SETUP_BED_H

#include "tests/unit/sentinel_child.h"

#include <sqlite3.h>

#include "common/exit_codes.h"

static inline int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static inline unsigned list_files(char names[32][64])
{
    unsigned count = 0;
    DIR *listing = opendir(fleet.data_dir);
    const struct dirent *entry;
    assert_non_null(listing);
    while ((entry = readdir(listing)))
        if (entry->d_name[0] != '.' && count < 32)
            snprintf(names[count++], 64, "%.63s", entry->d_name);
    closedir(listing);
    qsort(names, count, sizeof names[0], by_name);
    return count;
}

static inline void assert_files(const char *expected)
{
    char names[32][64], all[1024] = "";
    unsigned count = list_files(names);
    for (unsigned i = 0; i < count; i++) {
        strcat(all, i ? " " : "");
        strcat(all, names[i]);
    }
    assert_string_equal(all, expected);
}

/* Names, inodes and bytes of everything in the directory (FNV-1a); -shm changes with every opening
 * by SQLite, so its bytes can be left out. */
static inline uint64_t fingerprint_with(bool shm_bytes)
{
    static char data[1 << 20];
    char names[32][64], path[128];
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    unsigned count = list_files(names);
    for (unsigned i = 0; i < count; i++) {
        struct stat status;
        in_data_dir(path, names[i]);
        assert_int_equal(lstat(path, &status), 0);
        size_t length = get_file(path, data, sizeof data);
        for (const char *c = names[i]; *c; c++)
            hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
        hash = (hash ^ status.st_ino) * UINT64_C(0x100000001b3);
        if (!shm_bytes && strstr(names[i], "-shm"))
            length = 0;
        for (size_t b = 0; b < length; b++)
            hash = (hash ^ (unsigned char)data[b]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static inline uint64_t fingerprint(void)
{
    return fingerprint_with(true);
}

static inline void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static inline void ask_text(const char *path, const char *sql, char *out, size_t size)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    int persist = 1;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    snprintf(out, size, "%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

#define ALL_FILES "app.db app.db-shm app.db-wal app.id jwt.key"

#endif
