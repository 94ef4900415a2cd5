/* SPDX-License-Identifier: MIT */
/* What is told of a request when it is over: its metrics and its log line. */
#ifndef BULKHEAD_ACCOUNT_H
#define BULKHEAD_ACCOUNT_H

#include "worker/exchange.h"

/* The response is out, at end_ns. Requests of our own (server_answers_itself) leave no trace. */
void account_request(const struct exchange *exchange, uint64_t end_ns);

#endif
