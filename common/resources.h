/* SPDX-License-Identifier: MIT */
/*
 * What this process uses of what it may have: descriptors and memory, as the kernel tells it.
 * Looking needs no descriptor and no memory once it has begun, so it also works when there are
 * none. One thread looks. It judges nothing (worker/resource_watch.c does).
 */
#ifndef BULKHEAD_RESOURCES_H
#define BULKHEAD_RESOURCES_H

#include <stdbool.h>
#include <stdint.h>

struct resource_use {
    uint64_t open_fds, max_fds; /* max: RLIMIT_NOFILE */
    uint64_t resident_bytes;
    uint64_t address_bytes, address_limit_bytes; /* mapped; limit: RLIMIT_AS, 0 none */
    uint64_t group_bytes, group_limit_bytes;     /* without page cache; of the nearest control group
                                                    that has a limit (memory.max), 0 none */
};

/* Take the descriptors that looking needs, while there are some; a look does it otherwise. */
void resources_open(void);

/* False when the kernel did not say. */
bool resources_read(struct resource_use *use);

#endif
