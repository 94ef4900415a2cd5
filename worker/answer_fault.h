/* SPDX-License-Identifier: MIT */
/*
 * What faults of the kinds partial, omission and wrong do to an answer (common/fault.h decides
 * whether one strikes). The request was handled, and is counted and logged as it was: like a
 * network that loses or damages an answer, the fault is the client's to find out.
 */
#ifndef BULKHEAD_ANSWER_FAULT_H
#define BULKHEAD_ANSWER_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/exchange.h"

/* The response is made and not sent. True when it is not to be sent: the connection will be reset.
 * Otherwise it may be marked to be cut, or have one byte changed. */
bool answer_fault_strikes(struct exchange *exchange);

/* Nothing is answered, and the connection is reset. */
void answer_fault_omit(struct exchange *exchange);

/* Change one letter or digit in a string of a JSON text, by preference in what a client wrote
 * ("title" and "body" of an item), so that it is still JSON; where no string has one, any byte.
 * Returns the place. */
size_t answer_fault_alter(char *json, size_t length, uint64_t random);

#endif
