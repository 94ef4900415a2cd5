/* SPDX-License-Identifier: MIT */
/*
 * The life of a slot as a table: state × event → state and action. Pure: it knows no process, no
 * clock and no signal. Every cell is written down; an event that means nothing in a state keeps
 * the state and does nothing, because late news is normal (a child may say READY after it was
 * told to drain).
 *
 *   EMPTY → STARTING → READY ⇄ DEGRADED → DRAINING → KILLING → DEAD → BACKOFF → STARTING
 *                                                               └→ QUARANTINED → STARTING
 */
#ifndef BULKHEAD_LIFECYCLE_H
#define BULKHEAD_LIFECYCLE_H

#include "common/labels.h"

#define LIFE_EVENT_LIST(X)                                                                    \
    X(FILL, "fill")             /* a process is wanted here */                                \
    X(SAID_READY, "said_ready") /* the child's own word */                                    \
    X(SAID_DEGRADED, "said_degraded")                                                         \
    X(ASKED_TO_DRAIN, "asked_to_drain") /* finish what you have, then go */                   \
    X(ASKED_TO_DIE, "asked_to_die")     /* at once */                                         \
    X(CONDEMNED, "condemned")           /* hangs, or cannot go on: killed_as says why */      \
    X(OVERDUE, "overdue")               /* longer in this state than it may be */             \
    X(EXITED, "exited")                 /* reaped, or it could not even be forked */          \
    X(LEAVE_EMPTY, "leave_empty")       /* what the restart policy said of a dead slot … */ \
    X(RESTART, "restart")                                                                     \
    X(WAIT, "wait")                                                                           \
    X(QUARANTINE, "quarantine")                                                               \
    X(WAIT_OVER, "wait_over") /* … and the wait it ordered has ended */

#define X(id, name) LIFE_##id,
enum life_event { LIFE_EVENT_LIST(X) LIFE_EVENT_COUNT };
#undef X

enum life_action {
    ACT_NONE,
    ACT_SPAWN,
    ACT_ANNOUNCE_READY,
    ACT_ANNOUNCE_DEGRADED,
    ACT_TERM,
    ACT_KILL,
    ACT_BURY,       /* obituary, then the policy is asked */
    ACT_UNKILLABLE, /* say so, again and again; the slot is not reused */
    ACT_COUNT,
};

struct life_step {
    enum slot_state next;
    enum life_action action;
};

struct life_step lifecycle_step(enum slot_state state, enum life_event event);

const char *life_event_name(enum life_event event);

#endif
