/* SPDX-License-Identifier: MIT */
/*
 * What the last resort says to a request: bytes of its head in, bytes of an answer out. It knows no
 * socket. /health and its like are answered as a worker would, everything else with 503
 * /problems/no-workers. Every answer ends its connection: a client that comes back on a new one
 * finds a worker as soon as there is one.
 */
#ifndef BULKHEAD_LAST_RESORT_ANSWER_H
#define BULKHEAD_LAST_RESORT_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/region.h"

#define LAST_RESORT_ANSWER_SIZE 2560

struct last_resort_answer {
    unsigned endpoint; /* enum endpoint, what the request was for */
    unsigned status;
    bool refused; /* the request would have been a worker's */
    size_t length;
    char bytes[LAST_RESORT_ANSWER_SIZE];
};

/* The answer to a request whose head is here (or to bytes that will never be one). cause: of
 * last_resort_cause; random spreads when clients come back. */
void last_resort_answer(const struct region *region, const char *cause, const char *head,
                        size_t length, uint64_t random, struct last_resort_answer *answer);

/* The answer to what did not become a request: 408 when it took too long, 431 when it is too
 * large. */
void last_resort_turn_away(unsigned status, struct last_resort_answer *answer);

#endif
