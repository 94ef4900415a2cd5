/* SPDX-License-Identifier: MIT */
/*
 * Clients that hold connections and give nothing for them: idle keep-alives, heads that come line
 * by line, bodies that come byte by byte. A thread of its own keeps them up: what the load measures
 * must not wait for thousands of sockets. A client that is cut comes back after a second, as an
 * attacker would.
 */
#ifndef BULKHEAD_LOADTEST_SLOW_CLIENTS_H
#define BULKHEAD_LOADTEST_SLOW_CLIENTS_H

#include <stdint.h>

#include "tools/http/http_message.h"
#include "tools/http/target.h"
#include "tools/loadtest/outcome.h"

enum slow_kind { SLOW_IDLE, SLOW_HEADERS, SLOW_BODIES, SLOW_KINDS };

struct slow_settings {
    const struct target *target;
    const char *token; /* bodies are sent by somebody who may send them */
    unsigned count[SLOW_KINDS];
};

struct slow_counts {
    uint64_t opened;   /* connections that came to stand */
    uint64_t refused;  /* ... that did not */
    uint64_t cut;      /* closed or reset by the server, after an answer or without */
    uint64_t answered; /* got an answer where none was due: 408, 503, ... */
    uint64_t held;     /* open now */
    uint64_t held_most;
    double life_s; /* mean, from connected to cut; NaN when none was cut */
    uint64_t status[STATUS_LIMIT];
};

struct slow_clients;

/* Ends the process when there are no descriptors or threads for it. */
struct slow_clients *slow_clients_start(const struct slow_settings *settings);

/* End the thread and close all its connections; counts may be NULL. */
void slow_clients_stop(struct slow_clients *clients, struct slow_counts counts[SLOW_KINDS]);

const char *slow_kind_name(enum slow_kind kind);

#endif
