/* SPDX-License-Identifier: MIT */
/*
 * What an answer is worth: the status that was asked for, and the content that was written before.
 * Pure but for the notes it makes in the ledger.
 */
#ifndef BULKHEAD_LOADTEST_JUDGE_H
#define BULKHEAD_LOADTEST_JUDGE_H

#include <stdbool.h>

#include "tools/http/http_message.h"
#include "tools/loadtest/ledger.h"
#include "tools/loadtest/request.h"

/* The outcome of an answered attempt. A create's acknowledgement and any foreign payload are noted
 * in the ledger. A measured read of an item that was acknowledged must find it: 404 is `wrong`. */
struct outcome judge_answer(const struct request *request, const struct http_response *response,
                            struct ledger *ledger);

/* True when nobody knows whether an attempt of a create that did not succeed took effect: it was
 * sent and no answer came, the answer is no answer (500, 502, not HTTP, 2xx without sense), or it
 * says so itself (problem type write-outcome-unknown). response is NULL without an answer. */
bool judge_uncertain(const struct outcome *outcome, bool sent,
                     const struct http_response *response);

#endif
