/* SPDX-License-Identifier: MIT */
/*
 * The board, the slots and the events as JSON: what the console's /api and `bulkheadctl --json`
 * print. It only reads the region; texts in it are made printable by the supervisor and escaped
 * here. Nothing of a user is in the region, so nothing of a user can come out.
 */
#ifndef BULKHEAD_STATE_JSON_H
#define BULKHEAD_STATE_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "common/json_out.h"
#include "common/region.h"

/* Enough for state_json of a full fleet. */
#define STATE_JSON_SIZE (128 * 1024)

/* Most events one events_json gives, and a buffer enough for them. */
#define EVENTS_PAGE      256
#define EVENTS_JSON_SIZE (512 * 1024)

/* Health, fleet, slots, database, classes, listeners, faults, routes, stocks. Returns the length, 0 when no consistent
 * board could be had or the buffer is too small. */
size_t state_json(const struct region *region, char *out, size_t size);

/* The slots alone, as one array. As state_json. */
size_t state_slots_json(const struct region *region, char *out, size_t size);

/* What a slot is doing at the gate. */
const char *gate_stage_name(uint32_t stage);

/* One event as one object. */
void state_event_json(struct json_out *json, const struct event *event);

/* {"last_id":…,"events":[…]}, oldest first: the first EVENTS_PAGE events later than `since` that
 * the ring still holds. last_id is the newest there is. Returns the length, 0 on overflow. */
size_t state_events_json(const struct region *region, uint64_t since, char *out, size_t size);

/* The id of the newest event, and the `since` from which the ring still holds all. */
uint64_t state_last_event(const struct region *region);
uint64_t state_oldest_since(const struct region *region);

#endif
