/* SPDX-License-Identifier: MIT */
/*
 * Reading back what was acknowledged. Before the run it marks every account's newest item; after
 * it, it walks each list from the newest item down to that mark, then gets every item by its id.
 * The ledger judges; this module asks. A server that refuses or fails is asked again for 30 s.
 */
#ifndef BULKHEAD_LOADTEST_AUDIT_H
#define BULKHEAD_LOADTEST_AUDIT_H

#include <stdbool.h>

#include "tools/loadtest/engine.h"
#include "tools/loadtest/session.h"

enum audit_state {
    AUDIT_SKIPPED,     /* not asked for */
    AUDIT_COMPLETE,    /* every acknowledged write was asked for and answered */
    AUDIT_INCOMPLETE,  /* some question got no answer within its 30 s, or none of use */
    AUDIT_INTERRUPTED, /* Ctrl-C */
};

struct audit;

struct audit *audit_open(struct engine *engine, struct accounts *accounts, bool show_progress);
void audit_close(struct audit *audit);

/* Mark the newest items. 0, -EINTR, or -EIO with *outcome saying why. */
int audit_mark(struct audit *audit, struct outcome *outcome);

/* Read everything back; an interrupt during the call ends it. *list_complete: every list was walked
 * down to its mark. *failure: of AUDIT_INCOMPLETE, the last question that got no usable answer. */
enum audit_state audit_run(struct audit *audit, bool *list_complete, struct outcome *failure);

const char *audit_state_name(enum audit_state state);

#endif
