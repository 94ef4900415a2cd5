/* SPDX-License-Identifier: MIT */
/*
 * Route quarantine at work: asks route_guard, tells the workers through the board's words, writes
 * the events. It owns the guards; the worker's side is worker/route_gate.c.
 */
#ifndef BULKHEAD_ROUTES_H
#define BULKHEAD_ROUTES_H

#include <stdbool.h>
#include <stdint.h>

struct supervisor;
struct slot_record;

/* Judge the death whose report was begun last. Sets record->excused when a route that is now shut
 * is to blame: then the slot is not charged, and earlier deaths by that route are forgiven. */
void routes_judge_death(struct supervisor *supervisor, struct slot_record *record, uint64_t now_ns);

/* Hold and end trials, and show the workers where every route stands. */
void routes_step(struct supervisor *supervisor, uint64_t now_ns);

#endif
