/* SPDX-License-Identifier: MIT */
/*
 * How each fault does its harm to this process, once it is decided and counted (common/fault.c).
 * It decides nothing. What can last asks `goes_on` whether the fault is still active.
 */
#ifndef BULKHEAD_FAULT_ACT_H
#define BULKHEAD_FAULT_ACT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/region.h"

/* Whether the fault of this id still is active. */
typedef bool fault_goes_on(uint32_t id);

void fault_act_crash(enum fault_crash how);

/* STOP: the whole process, by SIGSTOP. SPIN, THREAD: this thread, until the fault ends. */
void fault_act_hang(enum fault_hang how, uint32_t id, fault_goes_on *goes_on);

/* Let delay_ms pass, or the rest of the fault when that is shorter. */
void fault_act_wait(uint64_t delay_ms, uint32_t id, fault_goes_on *goes_on);

/* Write over another slot's numbers, or over the gate's mutex. */
void fault_act_scribble(struct region *region, unsigned own_slot, enum fault_into into);

/* Take the descriptors of app.db, -wal and -shm away from under this process's SQLite. */
void fault_act_close_fds(const char *data_dir);

#endif
