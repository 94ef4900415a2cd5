/* SPDX-License-Identifier: MIT */
/*
 * Who asks too often: rate limits of logins, reads and writes (buckets in the region, one for the
 * fleet, so they outlive a worker), and this worker's retry budget. It owns which bucket a request
 * belongs to, its counters and its refusals; the arithmetic is common/gcra.c and
 * common/retry_budget.c.
 */
#ifndef BULKHEAD_LIMITS_H
#define BULKHEAD_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/exchange.h"

/* NULL when there is no memory. Lives as long as the process. */
struct limits *limits_start(struct child *child);

/* Each takes its share or makes the refusal; false when that is made. */

/* Any login, read or write: a retry beyond the budget is refused before anything is done for it. */
bool limits_take_attempt(struct exchange *exchange);

/* A read or write of exchange->user. */
bool limits_take_request(struct exchange *exchange);

/* A login by this name, before anything is known of it. */
bool limits_take_login(struct exchange *exchange, const char *name, size_t length);

/* That login was wrong. */
void limits_login_failed(struct exchange *exchange, const char *name, size_t length);

#endif
