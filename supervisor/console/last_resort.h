/* SPDX-License-Identifier: MIT */
/*
 * The last resort: when no worker can serve, the console answers on the public listeners, so that
 * clients and probes learn why instead of waiting in the kernel's queue. This file decides, from
 * the board and a clock, when that is; it is pure. last_resort_answer.h says what is answered,
 * last_resort_serve.h has the sockets.
 *
 * It begins when no worker slot has been READY or DEGRADED for LAST_RESORT_PATIENCE_NS (the usual
 * restart of a whole fleet takes a twentieth of that, and its clients had better wait), or at once
 * when every slot that is in use waits: restarting any of them is put off. It ends as soon as one
 * is READY or DEGRADED, and never runs in a stop: there the queue is left for the next service.
 */
#ifndef BULKHEAD_LAST_RESORT_H
#define BULKHEAD_LAST_RESORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/region.h"

#define LAST_RESORT_PATIENCE_NS (UINT64_C(1000) * 1000 * 1000)
#define LAST_RESORT_CAUSE_SIZE  160

struct last_resort {
    uint64_t served_ns; /* somebody served, or nothing was known yet */
    bool active;
};

void last_resort_init(struct last_resort *resort, uint64_t now_ns);

/* Whether to accept on the public listeners now. board: NULL when it could not be read or was never
 * published, which changes nothing; stopping: the whole service ends. */
bool last_resort_decide(struct last_resort *resort, const struct board *board, bool stopping,
                        uint64_t now_ns);

/* Why no worker serves, as a part of a sentence: "2 wait to be restarted, 1 is starting; the last
 * one ended as failed_to_start". */
void last_resort_cause(const struct board *board, char out[LAST_RESORT_CAUSE_SIZE]);

#endif
