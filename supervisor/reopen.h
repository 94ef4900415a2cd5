/* SPDX-License-Identifier: MIT */
/*
 * Letting go of the database files and finding them anew, in two phases, as a pure machine. When
 * the files are not those in use, or their content cannot be trusted, every handle must be closed
 * before any is opened: a process that opens a replaced app.db while the old -wal still lies beside
 * it corrupts it, and two processes with different ideas of the -shm lose each other's commits.
 *
 *   SETTLED → CLOSING: the epoch is raised; every child closes and says so in its slot. The board
 *             keeps the old identity, so that the keeper may save what only open handles still see.
 *   CLOSING → SEEKING: nobody has a handle. The board names no files; the sentinel looks for ours.
 *   SEEKING → SETTLED: the sentinel found, opened and wrote them; they are the identity now.
 *
 * Invariant: outside SETTLED the fence is up, whatever the verdict says.
 */
#ifndef BULKHEAD_REOPEN_H
#define BULKHEAD_REOPEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/labels.h"

#define CLOSE_LIMIT_NS UINT64_C(1000000000) /* the shortest patience with who has not let go */

enum reopen_phase { REOPEN_SETTLED, REOPEN_CLOSING, REOPEN_SEEKING, REOPEN_PHASE_COUNT };

struct reopen {
    enum reopen_phase phase;
    uint64_t since_ns;
};

struct reopen_facts {
    enum db_state state;
    bool identity_known; /* the board names files */
    bool found;          /* the sentinel has files of ours open and can read them */
    bool fsync_failed;   /* a commit's or checkpoint's, since the last step */
    bool all_closed;     /* nobody has a handle of an older epoch */
};

enum reopen_action {
    REOPEN_NOTHING,
    REOPEN_CLOSE, /* raise the epoch */
    REOPEN_KILL,  /* end who has not closed, each as long as its kind may take */
    REOPEN_OPEN,  /* name no files, let the sentinel seek */
    REOPEN_ADOPT, /* the files the sentinel saw are those in use */
};

/* What to do now. Called at every tick; each action but KILL is returned once. */
enum reopen_action reopen_step(struct reopen *reopen, const struct reopen_facts *facts,
                               uint64_t now_ns);

#endif
