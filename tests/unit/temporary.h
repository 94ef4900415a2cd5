/* SPDX-License-Identifier: MIT */
/* A directory for a test's files, in memory where there is room: there an fsync waits for nobody,
 * and what a test measures is not what a compiler writes meanwhile. */
#ifndef BULKHEAD_TEMPORARY_H
#define BULKHEAD_TEMPORARY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Several tests run at once; a container's /dev/shm may be 64 MiB. */
#define TEMPORARY_LEAST_BYTES (UINT64_C(256) << 20)

static inline bool temporary_directory(char *out, size_t size, const char *name)
{
    static const char memory[] = "/dev/shm";
    struct statvfs space;
    bool fits = access(memory, W_OK) == 0 && statvfs(memory, &space) == 0 &&
                (uint64_t)space.f_bavail * space.f_frsize >= TEMPORARY_LEAST_BYTES;
    int length = snprintf(out, size, "%s/bulkhead-%s-XXXXXX", fits ? memory : "/tmp", name);
    return length > 0 && (size_t)length < size && mkdtemp(out) != NULL;
}

#endif
