/* SPDX-License-Identifier: MIT */
/*
 * A worker's watch over its own descriptors and memory: once a second, on the thread of its
 * heartbeat, never in a request. It sets the gauges and names a shortage before it is one, once,
 * and again only when it was over meanwhile. It changes nothing: who runs out of descriptors
 * accepts later (common/http/accept.c), who gets no memory answers 503 or 500.
 */
#ifndef BULKHEAD_RESOURCE_WATCH_H
#define BULKHEAD_RESOURCE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/child.h"
#include "common/resources.h"

#define RESOURCE_LOW_PERCENT  70 /* of the limit: named */
#define RESOURCE_OK_PERCENT   60 /* below: over */
#define RESOURCE_GROWTH_BYTES (UINT64_C(64) << 20)

enum resource_kind { RESOURCE_FDS, RESOURCE_MEMORY, RESOURCE_KINDS };
enum resource_change { RESOURCE_NO_CHANGE, RESOURCE_LOW, RESOURCE_OK };

struct resource_watch {
    uint64_t looked_ns;
    uint64_t ready_bytes; /* resident when it began to serve; 0 before */
    bool low[RESOURCE_KINDS];
};

/* What a look makes of one resource. Pure. text, one line, is set when something changed.
 * Descriptors are measured by RLIMIT_NOFILE; memory by the limit that is nearest to being reached,
 * of the control group or RLIMIT_AS, and where there is none by what the worker had when it began:
 * low at twice as much and 64 MiB, over at half the way back. */
enum resource_change resource_judge(struct resource_watch *watch, enum resource_kind kind,
                                    const struct resource_use *use, char *text, size_t size);

/* Look: at once when the worker begins to serve, then when a second has passed since the last time.
 * The first look, which opens what it needs, belongs before the first request. */
void resource_watch_tick(struct resource_watch *watch, struct child *child, uint64_t now_ns);

#endif
