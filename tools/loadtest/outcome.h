/* SPDX-License-Identifier: MIT */
/*
 * How one attempt, or one request, ended. A failure has a cause; the cause CAUSE_HTTP carries the
 * status. The names are keys of the reports: scripts read them.
 */
#ifndef BULKHEAD_LOADTEST_OUTCOME_H
#define BULKHEAD_LOADTEST_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>

enum cause {
    CAUSE_NONE,        /* success */
    CAUSE_REFUSED,     /* the connection was refused */
    CAUSE_UNREACHABLE, /* no connection for another reason: no route, no local port */
    CAUSE_RESET,       /* the connection was reset with a request outstanding */
    CAUSE_EOF,         /* it was closed with a request outstanding */
    CAUSE_TIMEOUT,     /* no complete answer within the client's timeout */
    CAUSE_MALFORMED,   /* the answer is not HTTP */
    CAUSE_DROPPED,     /* no connection was free within DROP_AFTER_NS of the intended time */
    CAUSE_WRONG,       /* an answer that contradicts what was written, or says nothing */
    CAUSE_HTTP,        /* another status than the one asked for */
    CAUSE_COUNT
};

struct outcome {
    enum cause cause;
    int status; /* 0 when there was no answer */
};

/* The key of a cause in reports. CAUSE_HTTP is reported by status instead: http_503. */
const char *cause_name(enum cause cause);

#endif
