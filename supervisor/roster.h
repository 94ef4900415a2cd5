/* SPDX-License-Identifier: MIT */
/*
 * The kinds of children, in one const table. What differs between a worker and the sentinel is a
 * column here; nothing else in the supervisor asks which kind it has in hand.
 */
#ifndef BULKHEAD_ROSTER_H
#define BULKHEAD_ROSTER_H

#include <stdbool.h>

#include "common/region.h"

enum child_kind { KIND_WORKER, KIND_SENTINEL, KIND_KEEPER, KIND_CONSOLE, KIND_SETUP, KIND_COUNT };

/* CONSOLE: its own first, then the public ones, for its last resort. */
enum listener_share { LISTENERS_NONE, LISTENERS_PUBLIC, LISTENERS_CONSOLE };

struct roster_entry {
    const char *name;    /* in logs and events */
    const char *program; /* file beside the supervisor's own */
    const char *mode;    /* extra argument, NULL none */
    unsigned first_slot, slots;
    unsigned rights; /* enum region_rights */
    enum listener_share listeners;
    bool once;          /* runs to its end; its success is an exit with 0 */
    bool serves;        /* counts as a worker: fleet numbers, reload, drain */
    unsigned hang_s;    /* a heartbeat older than this is a hang; 0: hang.timeout */
    unsigned close_s;   /* longest time to let go of app.db when it must be opened anew */
    unsigned start_s;   /* longest time to get READY, or to the end of a `once` */
    unsigned stop_rank; /* 0 is stopped first; the next rank when all of it are gone */
};

extern const struct roster_entry roster[KIND_COUNT];

/* The kind that lives in a slot. */
enum child_kind roster_kind_of(unsigned slot);

#endif
