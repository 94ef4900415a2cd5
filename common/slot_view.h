/* SPDX-License-Identifier: MIT */
/*
 * How readers of the region look at a slot: whether its process is the one the board speaks of,
 * what the slot is called, how old its heartbeat is. Exposition, state and bulkheadctl share it,
 * so that they never disagree. It only reads, and trusts no number to be in range.
 */
#ifndef BULKHEAD_SLOT_VIEW_H
#define BULKHEAD_SLOT_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/region.h"

#define SLOT_LABEL_SIZE 12

/* Worker slots in use, by the board; never more than there are. */
unsigned slot_view_worker_slots(const struct board *board);

/* "0", "1" … for workers, "sentinel", "keeper", "console", "setup" for helpers. */
void slot_view_label(unsigned index, char out[SLOT_LABEL_SIZE]);

/* Whether a process ever ran in this slot. Its counters count from then on, alive or not. */
bool slot_view_was_used(const struct region *region, unsigned index);

/* Whether the board says the slot's process is there and the slot's own words are that process's
 * (and not its predecessor's). Only then do its gauges, cells and heartbeat mean anything. */
bool slot_view_is_live(const struct region *region, const struct board *board, unsigned index);

/* Nanoseconds since the heartbeat of a live slot. */
uint64_t slot_view_heartbeat_age_ns(const struct region *region, unsigned index, uint64_t now_ns);

#endif
