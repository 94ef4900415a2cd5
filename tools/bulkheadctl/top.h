/* SPDX-License-Identifier: MIT */
/*
 * top: what one look at the region gives, and its picture. top_look and top_draw decide what is
 * seen; top.c has the loop, the keys and the clock.
 */
#ifndef BULKHEADCTL_TOP_H
#define BULKHEADCTL_TOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/region.h"
#include "tools/bulkheadctl/screen.h"

/* Counters of a moment, all slots added up. */
struct top_counts {
    uint64_t at_ns; /* 0: none taken */
    uint64_t commits;
    struct histogram_sum lock_wait;
};

struct top_look {
    struct board board;
    uint64_t now_ns, now_wall_us;
    double commits_per_s;
    double lock_wait_ms; /* p95 of the time since the look before; 0 when nobody waited */
};

/* Read the region. before: what the look before left here, updated. False when the board cannot be
 * read now. */
bool top_take(struct top_look *look, const struct region *region, struct top_counts *before);

/* The picture; pid: the supervisor's as seen here. paused: the user stopped the clock. */
void top_draw(struct frame *frame, const struct top_look *look, const struct region *region,
              pid_t pid, bool paused);

/* The same look as a line of JSON: the console's /api/state with what top adds. Returns its length,
 * 0 when it could not be had. */
size_t top_json(const struct top_look *look, const struct region *region, char *out, size_t size);

#endif
