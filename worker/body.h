/* SPDX-License-Identifier: MIT */
/*
 * Reading a request's body under our own time limit, and JSON out of it. civetweb looks at its
 * clock only when a read timed out, so a body that drips would hold a thread for hours: a body
 * not there after 5 s is cut by shutting down the socket's reading half from the main thread.
 */
#ifndef BULKHEAD_BODY_H
#define BULKHEAD_BODY_H

#include <jansson.h>

#include "worker/exchange.h"

#define BODY_LIMIT_MS 5000

/* Read the whole body into request.body, asking for it first where the client waits to be asked.
 * PROBLEM_NONE, or the problem and *detail; then the connection must be closed. */
enum problem body_read(struct exchange *exchange, const char **detail);

/* From the main thread, every now and then: cut the body if its time is up. */
void body_cut_when_late(struct exchange *exchange, uint64_t now_ns);

/* Let go of the body. */
void body_free(struct request *request);

/* The JSON object in the body; json_decref() it. NULL when there is none: then the response is
 * made. Duplicate keys, bad UTF-8 and NUL are malformed. */
json_t *body_json(struct exchange *exchange);

#endif
