/* SPDX-License-Identifier: MIT */
/*
 * How each part of the service is, second by second: how much it had to do, which share of it came
 * to nothing, how long it took. A part is the listener, the door, a compartment, a worker, or what
 * the workers see of the database.
 *
 * The share is of what was not served as asked, by whosever fault: of the compartments and workers
 * answers 429, 500, 503 and 504; of the door what it refused itself as overloaded or as a repeat
 * (requests without time left are left out: their count is the compartments' too); of the listener
 * connections turned away; of the database calls that failed or were not even made, and all of it
 * while the verdict is not up.
 *
 * Pure but for components_look, which reads the region.
 */
#ifndef BULKHEAD_CONSOLE_COMPONENTS_H
#define BULKHEAD_CONSOLE_COMPONENTS_H

#include "common/json_out.h"
#include "common/series.h"

enum component {
    COMPONENT_LISTENER,
    COMPONENT_DOOR,
    COMPONENT_AUTH,
    COMPONENT_READ,
    COMPONENT_WRITE,
    COMPONENT_DB_READ,
    COMPONENT_DB_WRITE,
    COMPONENT_DATABASE,
    COMPONENT_WORKER, /* the first of as many as there are slots */
    COMPONENTS_MAX = COMPONENT_WORKER + WORKER_SLOTS_MAX
};

enum cell { CELL_REQUESTS_PER_S, CELL_ERROR_SHARE, CELL_P95_MS, CELL_VALUES };

/* Running totals that the series do not have. 400 KB: not for a stack. */
struct components_look {
    uint64_t at_ns;
    uint64_t door_refused;
    struct database_calls {
        uint64_t timed;   /* failed or not */
        uint64_t failed;  /* of those */
        uint64_t aborted; /* failed before there was one to time, or never made */
    } reads, writes;      /* a write is a COMMIT */
    struct {
        bool live;
        uint64_t requests, unserved;
        struct histogram_sum times;
    } slot[WORKER_SLOTS_MAX];
};

void components_look(struct components_look *look, const struct region *region,
                     const struct board *board, uint64_t now_ns);

/* The cells of what lies between two looks; values are those of the same second. A cell of a worker
 * that does not live is all NAN. */
void components_between(const struct components_look *before, const struct components_look *after,
                        const double values[SERIES_NUMBER],
                        float cells[COMPONENTS_MAX][CELL_VALUES]);

/* [{"id":…,"label":…,"group":…},…]: the fixed ones and `workers` workers. */
void components_describe(struct json_out *json, unsigned workers);

#endif
