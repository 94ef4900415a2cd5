/* SPDX-License-Identifier: MIT */
#include "supervisor/reopen.h"

static enum reopen_action go(struct reopen *reopen, enum reopen_phase phase,
                             enum reopen_action action, uint64_t now_ns)
{
    *reopen = (struct reopen){.phase = phase, .since_ns = now_ns};
    return action;
}

/* Moved files may come back as they were: handles to them are kept, they are all that is left of
 * a deleted one. */
static bool must_let_go(const struct reopen_facts *facts)
{
    return facts->state == DB_STATE_REPLACED || facts->state == DB_STATE_CORRUPT ||
           facts->fsync_failed;
}

enum reopen_action reopen_step(struct reopen *reopen, const struct reopen_facts *facts,
                               uint64_t now_ns)
{
    switch (reopen->phase) {
    case REOPEN_SETTLED:
        if (facts->identity_known && must_let_go(facts))
            return go(reopen, REOPEN_CLOSING, REOPEN_CLOSE, now_ns);
        if (!facts->identity_known && facts->found)
            return go(reopen, REOPEN_SETTLED, REOPEN_ADOPT, now_ns);
        return REOPEN_NOTHING;
    case REOPEN_CLOSING:
        if (facts->all_closed)
            return go(reopen, REOPEN_SEEKING, REOPEN_OPEN, now_ns);
        return now_ns < reopen->since_ns + CLOSE_LIMIT_NS ? REOPEN_NOTHING : REOPEN_KILL;
    case REOPEN_SEEKING:
        if (facts->found)
            return go(reopen, REOPEN_SETTLED, REOPEN_ADOPT, now_ns);
        return REOPEN_NOTHING;
    default:
        return REOPEN_NOTHING;
    }
}
