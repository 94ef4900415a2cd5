/* SPDX-License-Identifier: MIT */
/*
 * The server under drill through its control socket and its shared region. It is bulkheadctl's
 * client (tools/bulkheadctl/server.h) with complaints kept instead of printed.
 */
#ifndef BULKHEAD_DRILL_REMOTE_H
#define BULKHEAD_DRILL_REMOTE_H

#include "tools/bulkheadctl/server.h"

struct remote {
    struct invocation invocation; /* first: complain() finds the rest from it */
    struct server server;
    char socket[108];
    char complaint[512];
};

void remote_init(struct remote *remote, const char *socket);

/* Look for a server and map its region. False, with a complaint, when there is none yet. */
bool remote_open(struct remote *remote);

/* Unmap and forget. */
void remote_close(struct remote *remote);

/* The heartbeat of the faults, once. A server that does not take it within a moment is not waited
 * for: the next one comes soon. */
void remote_beat(struct remote *remote);

/* One request. False, with a complaint, when it was not answered or refused. */
bool remote_ask(struct remote *remote, const char *request, struct answer *answer);

#endif
