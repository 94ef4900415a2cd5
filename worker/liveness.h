/* SPDX-License-Identifier: MIT */
/*
 * What each request thread is doing, told to the supervisor through its cell in the slot: the
 * evidence in a hang, and who was lost in a death. It owns the cells and request_stage_seconds;
 * it judges nothing. Cells are written by their own thread alone, except at the start.
 */
#ifndef BULKHEAD_LIVENESS_H
#define BULKHEAD_LIVENESS_H

#include <stdint.h>

#include "common/region.h"

/* Before the first request: take over the slot. The process before this one may have died in the
 * middle of requests; its cells and gauges are not ours. */
void liveness_start(struct slot *slot);

/* From now on a thread that crashes leaves the number of its cell in slot.crashed_cell. The signal
 * then ends the process as it would have. A signal that somebody has taken already stays theirs: a
 * sanitizer's runtime reports on it. */
void liveness_mark_crashes(void);

/* A request of this thread began. thread: front_door_thread_index(). */
void liveness_begin(unsigned thread, uint64_t now_ns);

/* What the request is, and when it must be over (monotonic; 0 never). */
void liveness_request(enum endpoint endpoint, uint64_t deadline_ns);

/* The thread goes on to another stage; the time in the one before is recorded. Does nothing in a
 * thread that handles no request. */
void liveness_stage(enum stage stage);

/* The same for a caller who has just looked at the clock. */
void liveness_stage_at(enum stage stage, uint64_t now_ns);

/* The response is out. */
void liveness_end(uint64_t now_ns);

#endif
