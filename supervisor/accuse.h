/* SPDX-License-Identifier: MIT */
/* Shows the workers' counters to blame.c once a second, and kills and restarts whom it accuses
 * (class `local_db_fault`, never charged: its next process may well be right). */
#ifndef BULKHEAD_ACCUSE_H
#define BULKHEAD_ACCUSE_H

#include <stdint.h>

struct supervisor;

/* In every pass while serving; does something once a second. */
void accuse_step(struct supervisor *supervisor, uint64_t now_ns);

#endif
