/* SPDX-License-Identifier: MIT */
/*
 * The parts of /api/state that a picture of the running server needs beside the board: the faults
 * under way, the routes that are shut, and its stocks. A stock is what fills and drains (a queue, a
 * compartment, the log): level, limit, and one counter of what came in or went out. The other flow
 * follows, because in - out is the change of the level; so a reader needs two looks for rates and
 * nothing here keeps any. It only reads the region.
 */
#ifndef BULKHEAD_STATE_STOCKS_H
#define BULKHEAD_STATE_STOCKS_H

#include "common/json_out.h"
#include "common/region.h"

/* Scheduled and active faults: [{id, kind, target, state, since, ends_in_ms, text}]. since is when
 * the fault began or is to begin. [] when no consistent table could be had. */
void state_put_faults(struct json_out *json, const struct region *region);

/* Routes refused because workers died of them: [{method, route, state, trial_in_ms}]; state is shut
 * or trial, trial_in_ms null while nothing is to be waited for. */
void state_put_routes(struct json_out *json, const struct region *region);

/* [{name, unit, level, waiting, limit, in_total, out_total}]. waiting is the part of level that is
 * not being worked at, null where there is no such thing; limit is what the live workers can hold
 * together, 0 when there are none; of in_total and out_total at most one is a number. */
void state_put_stocks(struct json_out *json, const struct region *region,
                      const struct board *board);

#endif
