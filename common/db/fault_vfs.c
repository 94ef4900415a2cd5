/* SPDX-License-Identifier: MIT */
#include "common/db/fault_vfs.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "common/check.h"
#include "common/fault.h"

/* Offset of the write lock among a -shm's eight, and of the first reader's (sqlite.org/walformat,
 * section 2.3). */
#define WAL_WRITE_LOCK 0
#define WAL_READ_LOCK  3

struct wrapped {
    sqlite3_file base;
    bool wal;           /* app.db-wal; else app.db */
    bool read_begun;    /* the statement under way has asked for a reader's lock before */
    sqlite3_file *real; /* lies behind this struct */
};

static struct wrapped *own(sqlite3_file *file)
{
    return (struct wrapped *)file;
}

static sqlite3_file *real(sqlite3_file *file)
{
    return own(file)->real;
}

#define CALL(file, method, ...) real(file)->pMethods->method(real(file), ##__VA_ARGS__)

/* What an effect is called by the operating system interface, for an operation of `ioerr` kind. */
static int code_of(enum fault_db effect, int ioerr)
{
    switch (effect) {
    case FAULT_DB_FULL:
        return SQLITE_FULL;
    case FAULT_DB_READONLY:
        return SQLITE_READONLY;
    case FAULT_DB_LOCKED:
        return SQLITE_BUSY;
    default:
        return ioerr;
    }
}

/* ---- reading and writing ------------------------------------------------------------------- */

static int faulty_close(sqlite3_file *file)
{
    return CALL(file, xClose);
}

static int faulty_read(sqlite3_file *file, void *to, int amount, sqlite3_int64 offset)
{
    struct fault_io_effect met =
        fault_database((struct fault_io){.op = FAULT_OP_READ, .wal = own(file)->wal});
    if (met.strikes && met.effect != FAULT_DB_BITFLIP)
        return code_of(met.effect, SQLITE_IOERR_READ);
    int code = CALL(file, xRead, to, amount, offset);
    if (met.strikes && code == SQLITE_OK && amount > 0)
        ((unsigned char *)to)[(met.random >> 3) % (unsigned)amount] ^=
            (unsigned char)(1u << (met.random & 7));
    return code;
}

static int faulty_write(sqlite3_file *file, const void *from, int amount, sqlite3_int64 offset)
{
    struct fault_io_effect met =
        fault_database((struct fault_io){.op = FAULT_OP_WRITE, .wal = own(file)->wal});
    if (!met.strikes)
        return CALL(file, xWrite, from, amount, offset);
    if (met.effect == FAULT_DB_TORN && amount > 1)
        CALL(file, xWrite, from, amount / 2, offset);
    return code_of(met.effect, SQLITE_IOERR_WRITE);
}

static int faulty_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct fault_io_effect met =
        fault_database((struct fault_io){.op = FAULT_OP_WRITE, .wal = own(file)->wal});
    /* A full disk gives room back, and half of it is none less. */
    bool harmless = met.effect == FAULT_DB_FULL || met.effect == FAULT_DB_TORN;
    return met.strikes && !harmless ? code_of(met.effect, SQLITE_IOERR_TRUNCATE)
                                    : CALL(file, xTruncate, size);
}

static int faulty_sync(sqlite3_file *file, int flags)
{
    struct fault_io_effect met =
        fault_database((struct fault_io){.op = FAULT_OP_SYNC, .wal = own(file)->wal});
    return met.strikes ? code_of(met.effect, SQLITE_IOERR_FSYNC) : CALL(file, xSync, flags);
}

static int faulty_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return CALL(file, xFileSize, size);
}

/* ---- locks --------------------------------------------------------------------------------- */

static int faulty_lock(sqlite3_file *file, int lock)
{
    return CALL(file, xLock, lock);
}

static int faulty_unlock(sqlite3_file *file, int lock)
{
    return CALL(file, xUnlock, lock);
}

static int faulty_check_reserved(sqlite3_file *file, int *locked)
{
    return CALL(file, xCheckReservedLock, locked);
}

static int faulty_control(sqlite3_file *file, int operation, void *argument)
{
    return CALL(file, xFileControl, operation, argument);
}

static int faulty_sector_size(sqlite3_file *file)
{
    return CALL(file, xSectorSize);
}

static int faulty_device(sqlite3_file *file)
{
    return CALL(file, xDeviceCharacteristics);
}

static int faulty_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **map)
{
    return CALL(file, xShmMap, page, size, extend, map);
}

/* A read transaction takes a reader's lock first: what is down shows here even to those who have
 * every page they need in their cache. SQLite asks again when somebody has committed since it
 * looked at the log (wal.c, walTryBeginRead): a delay as long as the time between two commits would
 * be one without end, so it is waited for once. */
static int faulty_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    bool taken = (flags & SQLITE_SHM_LOCK) != 0, exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
    bool reads = taken && !exclusive && offset >= WAL_READ_LOCK;
    struct fault_io_effect met = {0};
    if (taken)
        met = fault_database((struct fault_io){
            .op = reads ? FAULT_OP_BEGIN : FAULT_OP_ALL,
            .again = reads && own(file)->read_begun,
            .write_lock = exclusive && offset == WAL_WRITE_LOCK,
        });
    if (reads)
        own(file)->read_begun = true;
    return met.strikes ? code_of(met.effect, SQLITE_IOERR_SHMLOCK)
                       : CALL(file, xShmLock, offset, count, flags);
}

static void faulty_shm_barrier(sqlite3_file *file)
{
    CALL(file, xShmBarrier);
}

static int faulty_shm_unmap(sqlite3_file *file, int delete_it)
{
    return CALL(file, xShmUnmap, delete_it);
}

/* Version 2: with the -shm's methods, without memory mapping, which db_open switches off. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = faulty_close,
    .xRead = faulty_read,
    .xWrite = faulty_write,
    .xTruncate = faulty_truncate,
    .xSync = faulty_sync,
    .xFileSize = faulty_size,
    .xLock = faulty_lock,
    .xUnlock = faulty_unlock,
    .xCheckReservedLock = faulty_check_reserved,
    .xFileControl = faulty_control,
    .xSectorSize = faulty_sector_size,
    .xDeviceCharacteristics = faulty_device,
    .xShmMap = faulty_shm_map,
    .xShmLock = faulty_shm_lock,
    .xShmBarrier = faulty_shm_barrier,
    .xShmUnmap = faulty_shm_unmap,
};

/* ---- opening ------------------------------------------------------------------------------- */

static sqlite3_vfs vfs, *below;

static bool ends_with(const char *name, const char *end)
{
    size_t length = name ? strlen(name) : 0, of_end = strlen(end);
    return length >= of_end && strcmp(name + length - of_end, end) == 0;
}

static int faulty_open(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags, int *out)
{
    struct wrapped *wrapped = own(file);
    bool wal = (flags & SQLITE_OPEN_WAL) && ends_with(name, "/app.db-wal");
    bool main_file = (flags & SQLITE_OPEN_MAIN_DB) && ends_with(name, "/app.db");
    (void)self;
    if (!wal && !main_file)
        return below->xOpen(below, name, file, flags, out);
    wrapped->wal = wal;
    wrapped->read_begun = false;
    wrapped->real = (sqlite3_file *)(wrapped + 1);
    wrapped->real->pMethods = NULL;
    wrapped->base.pMethods = NULL;
    if (fault_database((struct fault_io){.wal = wal}).strikes)
        return SQLITE_CANTOPEN;
    int code = below->xOpen(below, name, wrapped->real, flags, out);
    if (wrapped->real->pMethods) {
        CHECK(wrapped->real->pMethods->iVersion >= 2);
        wrapped->base.pMethods = &methods;
    }
    return code;
}

static int statement_begins(unsigned what, void *db, void *statement, void *sql)
{
    sqlite3_file *file = NULL;
    (void)what, (void)statement, (void)sql;
    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK &&
        file->pMethods == &methods)
        own(file)->read_begun = false;
    return 0;
}

/* Run for each new connection. */
static int watch_statements(sqlite3 *db, char **error, const void *api)
{
    (void)error, (void)api;
    return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, statement_begins, db);
}

void fault_vfs_install(void)
{
    if (below)
        return;
    below = sqlite3_vfs_find(NULL);
    CHECK(below != NULL);
    vfs = *below;
    vfs.zName = "bulkhead-faults";
    vfs.szOsFile = below->szOsFile + (int)sizeof(struct wrapped);
    vfs.xOpen = faulty_open;
    CHECK(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
    CHECK(sqlite3_auto_extension((void (*)(void))watch_statements) == SQLITE_OK);
}
