/* SPDX-License-Identifier: MIT */
/* What the parts of the keeper share: its connection, its clock, and the way through the gate. */
#ifndef BULKHEAD_SENTINEL_KEEPER_H
#define BULKHEAD_SENTINEL_KEEPER_H

#include "supervisor/sentinel/backup.h"
#include "supervisor/sentinel/governor.h"
#include "supervisor/sentinel/handle.h"

struct keeper {
    struct handle handle;
    struct board board; /* the newest copy that could be had */
    struct governor governor;
    struct backup backup;
    uint64_t next_second_ns, next_open_ns, next_deaths_ns;
};

/* The size of app.db-wal now. */
uint64_t keeper_wal_bytes(const struct keeper *keeper);

/* Take the gate, soon or not at all, and make sure that the files are still the board's. While it
 * is held other locks are waited for only briefly. False: it is not held. */
bool keeper_enter_gate(struct keeper *keeper);
void keeper_leave_gate(struct keeper *keeper);

/* Remove some of what is too old to be asked for (purge.c). One short hold of the gate, none when
 * there is nothing to remove. */
void keeper_purge(struct keeper *keeper);

#endif
