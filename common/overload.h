/* SPDX-License-Identifier: MIT */
/*
 * Who is refused at the door, and who is served next: the decisions, pure. The queues are the
 * caller's (common/http/), the test for overload is codel.h's.
 *
 * A request that waits is worth less every moment, and one whose client has given up is worth
 * nothing but costs as much as any other: a server that works through an old queue in order can be
 * busy with nothing else for good, because clients ask again. So an overloaded class is served
 * newest first, and keeps nobody longer than CoDel's target.
 */
#ifndef BULKHEAD_OVERLOAD_H
#define BULKHEAD_OVERLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/codel.h"

enum overload_verdict {
    OVERLOAD_KEEP,
    OVERLOAD_REFUSE,          /* its class is overloaded, or it waited too long */
    OVERLOAD_REFUSE_DEADLINE, /* it cannot be answered in time any more */
    OVERLOAD_REFUSE_RETRY,    /* of an overloaded class, retries go first */
};

/* A request at the door, and the state of its class. */
struct overload_view {
    bool shed;             /* overload.shed: else nobody is ever refused */
    bool class_overloaded; /* by CoDel */
    bool any_overloaded;   /* this or another class: they share the threads */
    bool retry;            /* its client asked before */
    bool login;            /* the dearest work there is */
    uint64_t waited_ns;    /* complete, at the door */
    uint64_t left_ns;      /* to its deadline; 0 when that has passed */
    uint64_t service_ns;   /* what its class takes, on average; 0 unknown */
    uint64_t class_ns;     /* the class's own deadline */
};

enum overload_verdict overload_judge(const struct overload_view *view);

/* How long a request of the class may wait at most. Twice the mean and at least a millisecond must
 * be left for the work; at most a quarter of the class's time, so that one call that hung cannot
 * make all later ones look hopeless. */
uint64_t overload_longest_ns(bool class_overloaded, uint64_t class_ns);
uint64_t overload_needs_ns(uint64_t service_ns, uint64_t class_ns);

#endif
