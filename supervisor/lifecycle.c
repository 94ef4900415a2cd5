/* SPDX-License-Identifier: MIT */
#include "supervisor/lifecycle.h"

#include "common/check.h"

#define STAY(state)            \
    {                          \
        SLOT_##state, ACT_NONE \
    }

static const struct life_step table[][LIFE_EVENT_COUNT] =
    {
        [SLOT_EMPTY] =
            {
                [LIFE_FILL] = {SLOT_STARTING, ACT_SPAWN},
                [LIFE_SAID_READY] = STAY(EMPTY),
                [LIFE_SAID_DEGRADED] = STAY(EMPTY),
                [LIFE_ASKED_TO_DRAIN] = STAY(EMPTY),
                [LIFE_ASKED_TO_DIE] = STAY(EMPTY),
                [LIFE_CONDEMNED] = STAY(EMPTY),
                [LIFE_OVERDUE] = STAY(EMPTY),
                [LIFE_EXITED] = STAY(EMPTY),
                [LIFE_LEAVE_EMPTY] = STAY(EMPTY),
                [LIFE_RESTART] = STAY(EMPTY),
                [LIFE_WAIT] = STAY(EMPTY),
                [LIFE_QUARANTINE] = STAY(EMPTY),
                [LIFE_WAIT_OVER] = STAY(EMPTY),
            },
        [SLOT_STARTING] =
            {
                [LIFE_FILL] = STAY(STARTING),
                [LIFE_SAID_READY] = {SLOT_READY, ACT_ANNOUNCE_READY},
                [LIFE_SAID_DEGRADED] = {SLOT_DEGRADED, ACT_ANNOUNCE_DEGRADED},
                [LIFE_ASKED_TO_DRAIN] = {SLOT_DRAINING, ACT_TERM},
                [LIFE_ASKED_TO_DIE] = {SLOT_KILLING, ACT_KILL},
                [LIFE_CONDEMNED] = {SLOT_KILLING, ACT_KILL},
                [LIFE_OVERDUE] = {SLOT_KILLING, ACT_KILL},
                [LIFE_EXITED] = {SLOT_DEAD, ACT_BURY},
                [LIFE_LEAVE_EMPTY] = STAY(STARTING),
                [LIFE_RESTART] = STAY(STARTING),
                [LIFE_WAIT] = STAY(STARTING),
                [LIFE_QUARANTINE] = STAY(STARTING),
                [LIFE_WAIT_OVER] = STAY(STARTING),
            },
        [SLOT_READY] =
            {
                [LIFE_FILL] = STAY(READY),
                [LIFE_SAID_READY] = STAY(READY),
                [LIFE_SAID_DEGRADED] = {SLOT_DEGRADED, ACT_ANNOUNCE_DEGRADED},
                [LIFE_ASKED_TO_DRAIN] = {SLOT_DRAINING, ACT_TERM},
                [LIFE_ASKED_TO_DIE] = {SLOT_KILLING, ACT_KILL},
                [LIFE_CONDEMNED] = {SLOT_KILLING, ACT_KILL},
                [LIFE_OVERDUE] = STAY(READY),
                [LIFE_EXITED] = {SLOT_DEAD, ACT_BURY},
                [LIFE_LEAVE_EMPTY] = STAY(READY),
                [LIFE_RESTART] = STAY(READY),
                [LIFE_WAIT] = STAY(READY),
                [LIFE_QUARANTINE] = STAY(READY),
                [LIFE_WAIT_OVER] = STAY(READY),
            },
        [SLOT_DEGRADED] =
            {
                [LIFE_FILL] = STAY(DEGRADED),
                [LIFE_SAID_READY] = {SLOT_READY, ACT_ANNOUNCE_READY},
                [LIFE_SAID_DEGRADED] = STAY(DEGRADED),
                [LIFE_ASKED_TO_DRAIN] = {SLOT_DRAINING, ACT_TERM},
                [LIFE_ASKED_TO_DIE] = {SLOT_KILLING, ACT_KILL},
                [LIFE_CONDEMNED] = {SLOT_KILLING, ACT_KILL},
                [LIFE_OVERDUE] = STAY(DEGRADED),
                [LIFE_EXITED] = {SLOT_DEAD, ACT_BURY},
                [LIFE_LEAVE_EMPTY] = STAY(DEGRADED),
                [LIFE_RESTART] = STAY(DEGRADED),
                [LIFE_WAIT] = STAY(DEGRADED),
                [LIFE_QUARANTINE] = STAY(DEGRADED),
                [LIFE_WAIT_OVER] = STAY(DEGRADED),
            },
        [SLOT_DRAINING] =
            {
                [LIFE_FILL] = STAY(DRAINING),
                [LIFE_SAID_READY] = STAY(DRAINING),
                [LIFE_SAID_DEGRADED] = STAY(DRAINING),
                [LIFE_ASKED_TO_DRAIN] = STAY(DRAINING),
                [LIFE_ASKED_TO_DIE] = {SLOT_KILLING, ACT_KILL},
                [LIFE_CONDEMNED] = {SLOT_KILLING, ACT_KILL},
                [LIFE_OVERDUE] = {SLOT_KILLING, ACT_KILL},
                [LIFE_EXITED] = {SLOT_DEAD, ACT_BURY},
                [LIFE_LEAVE_EMPTY] = STAY(DRAINING),
                [LIFE_RESTART] = STAY(DRAINING),
                [LIFE_WAIT] = STAY(DRAINING),
                [LIFE_QUARANTINE] = STAY(DRAINING),
                [LIFE_WAIT_OVER] = STAY(DRAINING),
            },
        [SLOT_KILLING] =
            {
                [LIFE_FILL] = STAY(KILLING),
                [LIFE_SAID_READY] = STAY(KILLING),
                [LIFE_SAID_DEGRADED] = STAY(KILLING),
                [LIFE_ASKED_TO_DRAIN] = STAY(KILLING),
                [LIFE_ASKED_TO_DIE] = STAY(KILLING),
                [LIFE_CONDEMNED] = STAY(KILLING),
                [LIFE_OVERDUE] = {SLOT_KILLING, ACT_UNKILLABLE},
                [LIFE_EXITED] = {SLOT_DEAD, ACT_BURY},
                [LIFE_LEAVE_EMPTY] = STAY(KILLING),
                [LIFE_RESTART] = STAY(KILLING),
                [LIFE_WAIT] = STAY(KILLING),
                [LIFE_QUARANTINE] = STAY(KILLING),
                [LIFE_WAIT_OVER] = STAY(KILLING),
            },
        [SLOT_DEAD] =
            {
                [LIFE_FILL] = STAY(DEAD),
                [LIFE_SAID_READY] = STAY(DEAD),
                [LIFE_SAID_DEGRADED] = STAY(DEAD),
                [LIFE_ASKED_TO_DRAIN] = STAY(DEAD),
                [LIFE_ASKED_TO_DIE] = STAY(DEAD),
                [LIFE_CONDEMNED] = STAY(DEAD),
                [LIFE_OVERDUE] = STAY(DEAD),
                [LIFE_EXITED] = STAY(DEAD),
                [LIFE_LEAVE_EMPTY] = {SLOT_EMPTY, ACT_NONE},
                [LIFE_RESTART] = {SLOT_STARTING, ACT_SPAWN},
                [LIFE_WAIT] = {SLOT_BACKOFF, ACT_NONE},
                [LIFE_QUARANTINE] = {SLOT_QUARANTINED, ACT_NONE},
                [LIFE_WAIT_OVER] = STAY(DEAD),
            },
        [SLOT_BACKOFF] =
            {
                [LIFE_FILL] = {SLOT_STARTING, ACT_SPAWN},
                [LIFE_SAID_READY] = STAY(BACKOFF),
                [LIFE_SAID_DEGRADED] = STAY(BACKOFF),
                [LIFE_ASKED_TO_DRAIN] = {SLOT_EMPTY, ACT_NONE},
                [LIFE_ASKED_TO_DIE] = {SLOT_EMPTY, ACT_NONE},
                [LIFE_CONDEMNED] = STAY(BACKOFF),
                [LIFE_OVERDUE] = STAY(BACKOFF),
                [LIFE_EXITED] = STAY(BACKOFF),
                [LIFE_LEAVE_EMPTY] = STAY(BACKOFF),
                [LIFE_RESTART] = STAY(BACKOFF),
                [LIFE_WAIT] = STAY(BACKOFF),
                [LIFE_QUARANTINE] = STAY(BACKOFF),
                [LIFE_WAIT_OVER] = {SLOT_STARTING, ACT_SPAWN},
            },
        [SLOT_QUARANTINED] =
            {
                [LIFE_FILL] = {SLOT_STARTING, ACT_SPAWN},
                [LIFE_SAID_READY] = STAY(QUARANTINED),
                [LIFE_SAID_DEGRADED] = STAY(QUARANTINED),
                [LIFE_ASKED_TO_DRAIN] = {SLOT_EMPTY, ACT_NONE},
                [LIFE_ASKED_TO_DIE] = {SLOT_EMPTY, ACT_NONE},
                [LIFE_CONDEMNED] = STAY(QUARANTINED),
                [LIFE_OVERDUE] = STAY(QUARANTINED),
                [LIFE_EXITED] = STAY(QUARANTINED),
                [LIFE_LEAVE_EMPTY] = STAY(QUARANTINED),
                [LIFE_RESTART] = STAY(QUARANTINED),
                [LIFE_WAIT] = STAY(QUARANTINED),
                [LIFE_QUARANTINE] = STAY(QUARANTINED),
                [LIFE_WAIT_OVER] = {SLOT_STARTING, ACT_SPAWN},
            },
};

_Static_assert(sizeof table / sizeof table[0] == SLOT_STATE_COUNT, "a row for every state");
_Static_assert(sizeof table[0] / sizeof table[0][0] == LIFE_EVENT_COUNT, "a cell for every event");

struct life_step lifecycle_step(enum slot_state state, enum life_event event)
{
    CHECK(state < SLOT_STATE_COUNT && event < LIFE_EVENT_COUNT);
    return table[state][event];
}

const char *life_event_name(enum life_event event)
{
#define X(id, name) name,
    static const char *const names[] = {LIFE_EVENT_LIST(X)};
#undef X
    return event < LIFE_EVENT_COUNT ? names[event] : "?";
}
