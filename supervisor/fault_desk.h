/* SPDX-License-Identifier: MIT */
/*
 * The fault table in the running supervisor: it copies what slots say, publishes the table, writes
 * fault_start and fault_end, names a fault as the cause of what it did, and answers the control
 * socket's `faults` verbs. The decisions are those of supervisor/faults.c.
 */
#ifndef BULKHEAD_FAULT_DESK_H
#define BULKHEAD_FAULT_DESK_H

#include <stddef.h>
#include <stdint.h>

struct supervisor;

/* With every tick, after the dead are found and before they are buried: a strike is known before
 * what it did. */
void fault_desk_step(struct supervisor *supervisor, uint64_t now_ns);

/* The event of the fault that explains trouble with the database; 0 none. */
uint64_t fault_desk_cause_of_database(const struct supervisor *supervisor);

/* "set SPEC", "clear ID", "clear all", "list", "beat": the words after "faults ". One JSON line
 * without its end in out (at least FAULT_DESK_ANSWER bytes). */
#define FAULT_DESK_ANSWER 32768
void fault_desk_obey(struct supervisor *supervisor, const char *words, char *out, size_t size);

#endif
