/* SPDX-License-Identifier: MIT */
/*
 * What the console remembers, and what a look at the region adds to it: rows of a second and of
 * ten, the components, what the objectives count. history.h says what always holds of it. Pure:
 * times are given, nobody locks here; the looks themselves are made by their own modules.
 */
#ifndef BULKHEAD_CONSOLE_MEMORY_H
#define BULKHEAD_CONSOLE_MEMORY_H

#include "common/series.h"
#include "supervisor/console/components.h"
#include "supervisor/console/ring.h"
#include "supervisor/console/slo.h"

/* One look at everything. */
struct look {
    struct series_look series;
    struct components_look components;
};

struct memory {
    struct ring fine, coarse, components;
    struct slo slo;
    uint64_t slo_second;           /* of the last look */
    int64_t first_time, last_time; /* wall seconds of the first and last look; 0: none yet */
    unsigned workers;
    /* how the next row is made */
    struct look look[2];
    unsigned newest; /* which of them is the last one */
    bool looked;
    uint64_t slo_origin_ns; /* of the first look, which is in the middle of its second */
    struct series_look coarse_begin;
    struct series_levels coarse_levels;
};

/* False without memory. */
bool memory_make(struct memory *memory);
void memory_free(struct memory *memory);

/* Where to put the next look. It is no part of what is remembered yet: no lock is needed to fill
 * it. */
struct look *memory_next_look(struct memory *memory);

/* Take the look that was put there, made in wall second `time`. A second look in the same second is
 * not taken (the clock was set back by less than one), nor are looks of before forgotten then. */
void memory_take(struct memory *memory, int64_t time);

/* Take a row of an earlier console, where there is none of that time and it is not of the future.
 */
void memory_recall(struct memory *memory, unsigned step, int64_t time,
                   const float values[SERIES_NUMBER]);

/* The ring of a step. */
const struct ring *memory_ring(const struct memory *memory, unsigned step);

#endif
