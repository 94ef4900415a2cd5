/* SPDX-License-Identifier: MIT */
/*
 * Routes the supervisor has shut because workers died of them: they are refused here, but for the
 * one request of a trial. Costs one load of a word for a route that is open. It decides nothing:
 * supervisor/route_guard.c does.
 */
#ifndef BULKHEAD_ROUTE_GATE_H
#define BULKHEAD_ROUTE_GATE_H

#include <stdbool.h>

#include "worker/exchange.h"

/* Before anything is done for the request. False when the refusal is made. */
bool route_gate_pass(struct exchange *exchange);

/* When its head is in order: a trial held by this worker is for the first that gets here, so a
 * request that would be refused anyway does not use it up. False when the refusal is made. */
bool route_gate_enter(struct exchange *exchange);

/* The response is out. */
void route_gate_leave(struct exchange *exchange);

#endif
