/* SPDX-License-Identifier: MIT */
/*
 * Which routes kill workers, and what becomes of them. Pure: a state for each endpoint, deaths and
 * times in, decisions out.
 *
 * OPEN → SHUT when ROUTE_DEATHS deaths within ROUTE_WINDOW name the route. SHUT → TRIAL when its
 * time is over: one worker lets one request through. Answered, and its worker alive a second later:
 * OPEN. Its worker died a death that is charged, or any death names the route again: SHUT for twice
 * as long, at most ROUTE_SHUT_CAP. A trial that ends without an answer either way (the worker was
 * drained, or killed from outside) is held again.
 */
#ifndef BULKHEAD_ROUTE_GUARD_H
#define BULKHEAD_ROUTE_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/region.h"
#include "common/route_word.h"

#define ROUTE_DEATHS      3
#define ROUTE_WINDOW_NS   (10 * NS_PER_S)
#define ROUTE_SHUT_CAP_NS (300 * NS_PER_S)
#define ROUTE_FORGET_NS   (600 * NS_PER_S) /* released this long: start from the first length */
#define ROUTE_SURVIVED_NS NS_PER_S
#define ROUTE_TAKE_NS     NS_PER_S        /* no request came to this worker: try another */
#define ROUTE_ANSWER_NS   (65 * NS_PER_S) /* longer than any deadline can be */

struct route_death {
    uint64_t at_ns;
    unsigned slot;
};

/* All zero is a route nobody died of. */
struct route_guard {
    enum guard_state state;
    struct route_death death[ROUTE_DEATHS]; /* the last ones, oldest first */
    unsigned deaths;
    unsigned shuts; /* in a row, for doubling */
    uint64_t until_ns, released_ns;
    uint32_t number; /* of the trial */
    unsigned slot;   /* that holds it */
    uint32_t generation;
    uint64_t began_ns, taken_ns, answered_ns; /* 0: not yet */
};

enum guard_change {
    GUARD_UNCHANGED,
    GUARD_KNOWN,    /* a death by a route that is shut already: a request admitted before */
    GUARD_NOW_SHUT, /* until until_ns */
    GUARD_NOW_OPEN,
};

/* The endpoint a charged death is blamed on, ENDPOINT_COUNT when that cannot be said: the route of
 * the thread that crashed or is stuck; for a crash without one, the only route in flight, unless it
 * came before the worker served. Routes for health and requests that matched none are never blamed.
 */
unsigned route_guard_blame(const struct death_report *report);

/* A charged death named this route. first_ns: length of the first quarantine. */
enum guard_change route_guard_death(struct route_guard *guard, unsigned slot, uint64_t first_ns,
                                    uint64_t now_ns);

/* The worker that holds the trial is gone, without having named the route. */
enum guard_change route_guard_lost(struct route_guard *guard, bool charged, uint64_t first_ns,
                                   uint64_t now_ns);

/* Whether some worker is to hold a trial now; then route_guard_try says which. */
bool route_guard_wants_trial(const struct route_guard *guard, uint64_t now_ns);
void route_guard_try(struct route_guard *guard, unsigned slot, uint32_t generation,
                     uint64_t now_ns);

/* What the worker that holds the trial says of it: slot.route_trial. Anything but "taken" and
 * "answered" of this very trial means nothing. */
enum guard_change route_guard_listen(struct route_guard *guard, uint64_t said, uint64_t first_ns,
                                     uint64_t now_ns);

#endif
