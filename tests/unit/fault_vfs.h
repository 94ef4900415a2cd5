/* SPDX-License-Identifier: MIT */
/*
 * A VFS before SQLite's own that can be told to fail the next write or sync, as a full or broken
 * disk would. It is the default once installed, so the code under test needs no branch for it.
 */
#ifndef BULKHEAD_FAULT_VFS_H
#define BULKHEAD_FAULT_VFS_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

/* The code the next xWrite or xSync fails with; 0 none. Taken once. */
static _Atomic int fault_write, fault_sync;

struct fault_file {
    sqlite3_file base;
    sqlite3_file *real; /* lies behind this struct */
};

static sqlite3_file *fault_real(sqlite3_file *file)
{
    return ((struct fault_file *)file)->real;
}

static int fault_xClose(sqlite3_file *file)
{
    return fault_real(file)->pMethods->xClose(fault_real(file));
}

static int fault_xRead(sqlite3_file *file, void *to, int amount, sqlite3_int64 offset)
{
    return fault_real(file)->pMethods->xRead(fault_real(file), to, amount, offset);
}

static int fault_xWrite(sqlite3_file *file, const void *from, int amount, sqlite3_int64 offset)
{
    int fault = atomic_exchange(&fault_write, 0);
    return fault ? fault
                 : fault_real(file)->pMethods->xWrite(fault_real(file), from, amount, offset);
}

static int fault_xTruncate(sqlite3_file *file, sqlite3_int64 size)
{
    return fault_real(file)->pMethods->xTruncate(fault_real(file), size);
}

static int fault_xSync(sqlite3_file *file, int flags)
{
    int fault = atomic_exchange(&fault_sync, 0);
    return fault ? fault : fault_real(file)->pMethods->xSync(fault_real(file), flags);
}

static int fault_xFileSize(sqlite3_file *file, sqlite3_int64 *size)
{
    return fault_real(file)->pMethods->xFileSize(fault_real(file), size);
}

static int fault_xLock(sqlite3_file *file, int lock)
{
    return fault_real(file)->pMethods->xLock(fault_real(file), lock);
}

static int fault_xUnlock(sqlite3_file *file, int lock)
{
    return fault_real(file)->pMethods->xUnlock(fault_real(file), lock);
}

static int fault_xCheckReservedLock(sqlite3_file *file, int *locked)
{
    return fault_real(file)->pMethods->xCheckReservedLock(fault_real(file), locked);
}

static int fault_xFileControl(sqlite3_file *file, int operation, void *argument)
{
    return fault_real(file)->pMethods->xFileControl(fault_real(file), operation, argument);
}

static int fault_xSectorSize(sqlite3_file *file)
{
    return fault_real(file)->pMethods->xSectorSize(fault_real(file));
}

static int fault_xDeviceCharacteristics(sqlite3_file *file)
{
    return fault_real(file)->pMethods->xDeviceCharacteristics(fault_real(file));
}

static int fault_xShmMap(sqlite3_file *file, int page, int size, int extend, void volatile **map)
{
    return fault_real(file)->pMethods->xShmMap(fault_real(file), page, size, extend, map);
}

static int fault_xShmLock(sqlite3_file *file, int offset, int count, int flags)
{
    return fault_real(file)->pMethods->xShmLock(fault_real(file), offset, count, flags);
}

static void fault_xShmBarrier(sqlite3_file *file)
{
    fault_real(file)->pMethods->xShmBarrier(fault_real(file));
}

static int fault_xShmUnmap(sqlite3_file *file, int delete_it)
{
    return fault_real(file)->pMethods->xShmUnmap(fault_real(file), delete_it);
}

static const sqlite3_io_methods fault_methods = {
    .iVersion = 2,
    .xClose = fault_xClose,
    .xRead = fault_xRead,
    .xWrite = fault_xWrite,
    .xTruncate = fault_xTruncate,
    .xSync = fault_xSync,
    .xFileSize = fault_xFileSize,
    .xLock = fault_xLock,
    .xUnlock = fault_xUnlock,
    .xCheckReservedLock = fault_xCheckReservedLock,
    .xFileControl = fault_xFileControl,
    .xSectorSize = fault_xSectorSize,
    .xDeviceCharacteristics = fault_xDeviceCharacteristics,
    .xShmMap = fault_xShmMap,
    .xShmLock = fault_xShmLock,
    .xShmBarrier = fault_xShmBarrier,
    .xShmUnmap = fault_xShmUnmap,
};

static sqlite3_vfs fault_vfs, *fault_below;

static int fault_xOpen(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    struct fault_file *fault = (struct fault_file *)file;
    (void)vfs;
    fault->real = (sqlite3_file *)(fault + 1);
    fault->real->pMethods = NULL;
    fault->base.pMethods = NULL;
    int code = fault_below->xOpen(fault_below, name, fault->real, flags, out);
    if (fault->real->pMethods)
        fault->base.pMethods = &fault_methods;
    return code;
}

/* Once, before the first connection. Everything but opening is the VFS's below. */
static void fault_install(void)
{
    if (fault_below)
        return;
    fault_below = sqlite3_vfs_find(NULL);
    fault_vfs = *fault_below;
    fault_vfs.zName = "fault";
    fault_vfs.szOsFile = fault_below->szOsFile + (int)sizeof(struct fault_file);
    fault_vfs.xOpen = fault_xOpen;
    sqlite3_vfs_register(&fault_vfs, 1);
}

#endif
