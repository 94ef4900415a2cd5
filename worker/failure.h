/* SPDX-License-Identifier: MIT */
/* What a handler answers when a compartment, the store or the clock said no. */
#ifndef BULKHEAD_FAILURE_H
#define BULKHEAD_FAILURE_H

#include "worker/exchange.h"

/* The answer for any result but STORE_OK and STORE_REPLAYED. */
void failure_of_store(struct exchange *exchange, enum store_result result);

/* 503: everything of this kind is busy. The refusal was counted by who refused. */
void failure_compartment_full(struct exchange *exchange);

/* 504, counted under the stage the time ran out in; nothing was changed. */
void failure_deadline(struct exchange *exchange, enum stage stage);

#endif
