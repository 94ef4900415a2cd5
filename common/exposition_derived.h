/* SPDX-License-Identifier: MIT */
/*
 * The metrics nobody counts: computed from the board and the live slots at the moment they are
 * asked for. Private to exposition.c.
 */
#ifndef BULKHEAD_EXPOSITION_DERIVED_H
#define BULKHEAD_EXPOSITION_DERIVED_H

#include <stdbool.h>
#include <stdio.h>

#include "common/region.h"

/* One look at the region, the same for all metrics of one exposition. */
struct exposition_view {
    const struct region *region;
    struct board board;
    uint64_t now_ns;
    bool used[SLOTS_MAX]; /* slot_view_was_used */
    bool live[SLOTS_MAX]; /* slot_view_is_live */
    bool openmetrics;     /* else Prometheus text */
};

/* Writes the sample lines of one metric. */
typedef void exposition_derived_writer(FILE *out, const struct exposition_view *view,
                                       const char *name);

/* One for each DERIVED row of metrics.def, in their order. */
extern exposition_derived_writer *const exposition_derived[];

#endif
