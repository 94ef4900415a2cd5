/* SPDX-License-Identifier: MIT */
/*
 * One slot's step: an event goes through the lifecycle table, its action is done here. The callers
 * (reconcile.c, reload.c) say what happened; they never touch a state or a pid themselves.
 */
#ifndef BULKHEAD_SLOTS_H
#define BULKHEAD_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/lifecycle.h"

struct supervisor;
struct slot_record;

/* Feed one event to a slot and do what the table says. */
void slot_take(struct supervisor *supervisor, struct slot_record *record, enum life_event event,
               uint64_t now_ns);

/* Bury when it has exited; then, if it is wanted, ask the restart policy. */
void slot_settle(struct supervisor *supervisor, struct slot_record *record, uint64_t now_ns);

/* The child's own word on its phase, and evidence that it hangs. */
void slot_listen(struct supervisor *supervisor, struct slot_record *record, uint64_t now_ns);

/* Ask it to drain by `order` (enum slot_order). */
void slot_drain(struct supervisor *supervisor, struct slot_record *record, unsigned order,
                uint64_t now_ns);

/* Look whether the process has ended; only records it. */
void slot_reap(struct slot_record *record);

/* True when the kernel killed a process of the host for memory since the last call. */
bool slot_count_oom_kills(struct supervisor *supervisor);

/* True while a process is in the slot. */
bool slot_is_alive(const struct slot_record *record);

#endif
