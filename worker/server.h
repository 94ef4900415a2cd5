/* SPDX-License-Identifier: MIT */
/*
 * What civetweb calls: from the head of a request to its response, its metrics and its log line.
 * It owns the order of the steps (guards, deadline, who is asking, body, handler); the steps are
 * elsewhere. civetweb's own handlers, files and errors are never reached.
 */
#ifndef BULKHEAD_SERVER_H
#define BULKHEAD_SERVER_H

#include "worker/exchange.h"

/* Open the door on the inherited listeners. services must live as long as the process.
 * 0, or -1 with errno. */
int server_start(const struct services *services);

/* Every 100 ms from the main thread: cut bodies whose time is up. */
void server_tick(void);

/* Serve one real request to ourselves through the door, without the public port. True when it was
 * answered within a second. */
bool server_answers_itself(void);

#endif
