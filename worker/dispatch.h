/* SPDX-License-Identifier: MIT */
/*
 * The order of the steps from the head of a request to its response: guards, resource, deadline,
 * who is asking, body, handler. Each step may make the response; then the rest is left out.
 */
#ifndef BULKHEAD_DISPATCH_H
#define BULKHEAD_DISPATCH_H

#include "worker/exchange.h"

/* Make the response to the exchange's request. */
void dispatch_request(struct exchange *exchange);

/* Make the response to something civetweb could not read as a request and would have answered with
 * `status`. The connection ends with it. */
void dispatch_broken(struct exchange *exchange, int status);

#endif
