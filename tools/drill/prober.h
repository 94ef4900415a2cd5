/* SPDX-License-Identifier: MIT */
/*
 * Asks GET /health many times a second on a connection of its own and writes down how long each
 * answer took and what it said. Never blocks. The connection is opened anew after some requests,
 * so that every worker is asked.
 */
#ifndef BULKHEAD_DRILL_PROBER_H
#define BULKHEAD_DRILL_PROBER_H

#include <poll.h>

#include "tools/drill/evidence.h"

struct prober;

/* address is "127.0.0.1:8080". */
struct prober *prober_open(struct evidence *evidence, const char *address);
void prober_close(struct prober *prober);

/* What to poll for; fd is -1 while there is nothing. */
struct pollfd prober_poll(const struct prober *prober);

/* Do what can be done now: send what is due, take what came, give up what is too late. */
void prober_step(struct prober *prober, uint64_t now_ns);

/* What a whole answer says of the service. /health is 200 whatever it says: anything else is a look
 * that was lost. */
enum look_result prober_meaning(const char *answer);

/* When prober_step has something to do without the descriptor. */
uint64_t prober_due_ns(const struct prober *prober);

#endif
